#!/bin/bash
# tests/peers/bench.sh [PHASE...]: blockgate beside bare loops in Rust and C, on the same simulator and broker.
#
# PHASE: one free hz1 outage kill; without any: one free hz1.
#   one, free   every meter as fast as it can; all on one CPU, or where the kernel puts it
#   hz1         200 meters once a second
#   outage      60 s without a broker, 20 meters once a second; kill: with SIGKILL in the middle
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
[ $# -gt 0 ] || set -- one free hz1
for phase in "$@"; do
  case "$phase" in
    one | free)
      "$BLOCKGATE_PEERS_KIT/compare.py" --rounds "$rounds" --placement "$phase" --tls rustmin bare product ;;
    hz1)
      "$BLOCKGATE_PEERS_KIT/compare.py" --rounds "$rounds" --phase hz1 --secs 15 --tls rustmin bare product ;;
    outage | kill)
      "$BLOCKGATE_PEERS_KIT/peer-product.sh" "$phase" --units 10 --tls --slot "${SLOT:-7}" ;;
    *)
      echo "no phase named '$phase'; there are: one free hz1 outage kill" >&2
      exit 2 ;;
  esac
done
