#!/bin/bash
# tests/peers/bench.sh [PHASE...]: blockgate beside bare loops in Rust and C, on the same simulator and broker.
#
# PHASE: one free hz1 memory start journal close outage kill; without any: all but the last two.
#   one, free   every meter as fast as it can; all on one CPU, or where the kernel puts it
#   hz1         200 meters once a second
#   memory      1,000 meters once a second, on five ports
#   start       from exec to the first reading, with a new state folder and with a year of journal
#   journal     the journal beside a bare fdatasync loop (example journal_rate)
#   close       the close of a month for 1,000 households with eight lines each (example month_close)
#   outage      60 s without a broker, 20 meters once a second; kill: with SIGKILL in the middle
#
# At the end one table of everything that this call measured, from its log (tests/peers/table.py).
#
# BLOCKGATE_PEERS_KIT names the folder of the comparison kit (setup.sh, compare.py, harness.py). PEERS_DIR names where it
# is installed; without it, it is installed into a fresh folder. BLOCKGATE_BIN names another program than the release
# build. Quote only ratios out of one call, with the placement and the number of rounds.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD

: "${BLOCKGATE_PEERS_KIT:?set it to the folder of the comparison kit (the one with compare.py)}"
[ -x "$BLOCKGATE_PEERS_KIT/compare.py" ] || { echo "$BLOCKGATE_PEERS_KIT has no compare.py" >&2; exit 2; }
if [ -z "${PEERS_DIR:-}" ]; then
  PEERS_DIR=$(mktemp -d "${TMPDIR:-/tmp}/peers.XXXXXX")
  "$BLOCKGATE_PEERS_KIT/setup.sh" "$PEERS_DIR" debian c rust tls
fi
export PEERS_DIR

program=${BLOCKGATE_BIN:-${CARGO_TARGET_DIR:-$here/target}/release/blockgate}
[ -x "$program" ] || cargo build --release --locked --package blockgate --bin blockgate

export PRODUCT_PREPARE="$here/tests/peers/write-config {folder} {base} {ports} {units} {interval_ms} {tls_port} {ca}"
export PRODUCT_ARGV="$program run --config {folder}/blockgate.toml"
export PRODUCT_BESIDE="python3 $here/tests/peers/cloud.py {broker_port}"
export PRODUCT_PARSE="$here/tests/peers/parse.py"

rounds=${ROUNDS:-5}
work=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX")
trap 'rm -rf "$work"' EXIT

product() { # PHASE OPTION...: one JSON line
  "$BLOCKGATE_PEERS_KIT/peer-product.sh" "$@" --tls --slot "${SLOT:-7}"
}

measure() {
  local round
  case "$1" in
    one | free)
      "$BLOCKGATE_PEERS_KIT/compare.py" --rounds "$rounds" --placement "$1" --tls rustmin bare product ;;
    hz1)
      "$BLOCKGATE_PEERS_KIT/compare.py" --rounds "$rounds" --phase hz1 --secs 15 --tls rustmin bare product ;;
    memory)
      product hz1 --ports 5 --units 200 --secs 30 ;;
    start)
      "$program" demo --for 365d --headless --data "$work/year" >/dev/null 2>&1
      du -sh "$work/year/state/journal"
      for ((round = 0; round < rounds; round++)); do
        echo "start new"
        product startup --units 10
        echo "start year"
        BENCH_STATE="$work/year/state" product startup --units 10
      done ;;
    journal)
      cargo run --release --quiet --locked -p blockgate --example journal_rate -- "$work/journal" ;;
    close)
      cargo run --release --quiet --locked -p blockgate --example month_close -- "$work/close" "$rounds" ;;
    outage | kill)
      product "$1" --units 10 ;;
    *)
      echo "no phase named '$1'; there are: one free hz1 memory start journal close outage kill" >&2
      return 2 ;;
  esac
}

[ $# -gt 0 ] || set -- one free hz1 memory start journal close
for phase in "$@"; do
  echo "== $phase"
  measure "$phase" || echo "$phase: failed"
done 2>&1 | tee "$work/log"
echo
python3 tests/peers/table.py "$work/log"
