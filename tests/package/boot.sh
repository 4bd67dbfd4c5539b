#!/bin/bash
# tests/package/boot.sh BASE FILE.deb [CUTS]: the package in a virtual machine (software emulation, 512 MiB):
# installed, read from a meter on its serial port, watched by systemd; then the power cut CUTS times
# (one when absent) by killing the machine in the middle of a month's bill run, and the journal
# verified after the next boot. As root. Says how long it took.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
tree=$here/../..
export BASE
BASE=$(realpath "$1")
package=$(realpath "$2")
cuts=${3:-1}
bash "$here/base.sh" "$BASE"
work=$(mktemp -d "${TMPDIR:-/var/tmp}/boot.XXXX")
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap finish EXIT

cp "$package" "$work/blockgate.deb"
cp "$tree/rules/tariffs/property.toml" "$work/property-fee.toml"
cp "$tree/rules/tariffs/electricity.toml" "$work/electricity.toml"
{
  cat <<'CONFIG'
[gateway]
id = "gw-1"
tenant = "test"
zone = "Asia/Shanghai"
state_dir = "/var/lib/blockgate"
[clock]
trust = "always"
[billing]
close_grace = "1s"
[http]
listen = "127.0.0.1:8443"
[[line]]
id = "a"
kind = "serial"
path = "/dev/ttyS1"
baud = 9600
parity = "none"
[[meter]]
id = "m-0101"
line = "a"
address = 1
profile = "eastron-sdm120"
poll_every = "1s"
record_every = "1s"
max_per_hour = "1000"
[[account]]
id = "a-0000"
building = "1"
charges = [{ item = "electricity", tariff = "electricity-tiered", meter = "m-0101", register = "energy_import" }]
CONFIG
} >"$work/head.toml"
# The block of so many households.
block() {
  cat "$work/head.toml"
  for n in $(seq 1 "$1"); do
    printf '[[account]]\nid = "a-%04d"\nbuilding = "1"\narea_m2 = "%d.%02d"\ncharges = [{ item = "property-fee", tariff = "property-fee" }]\n' \
      "$n" $((50 + n % 90)) $((n % 100))
  done
}
block "${HOUSEHOLDS:-1500}" >"$work/vm.toml"

python3 "$here/wire.py" "$work/wire" &
pids+=($!)
export WIRE=$work/wire
until [ -S "$WIRE" ]; do sleep 0.1; done
files=("$work/blockgate.deb" "$work/vm.toml" "$work/property-fee.toml" "$work/electricity.toml")

report() { tr -d '\r' <"$1" | grep -aE '^(ok|FAIL|resident|durable|records|→|EXT4|.*EXT4-fs.*recover)' || true; }

started=$SECONDS
echo "== the package in a booted machine"
rc=0
"$here/vm.sh" "$work/boot.log" "$BASE/base.ext4" "$here/boot-check.sh" "${files[@]}" || rc=1
report "$work/boot.log"
[ $rc = 0 ] || { tail -n 40 "$work/boot.log"; exit 1; }
echo "== took $((SECONDS - started)) s"

# So many that the run takes seconds: the cut comes in its middle.
block "${CUT_HOUSEHOLDS:-12000}" >"$work/vm.toml"
middle=0
for cut in $(seq 1 "$cuts"); do
  echo "== power cut $cut in a bill run"
  cp --sparse=always "$BASE/base.ext4" "$work/disk"
  machine=$(BACKGROUND=1 KEEP=1 CACHE=writeback RTC=2026-11-30T15:56:30 \
    "$here/vm.sh" "$work/cut.log" "$work/disk" "$here/write-check.sh" "${files[@]}")
  pids+=("$machine")
  # The journal has more than readings make: the run has begun. Then a moment more, another one each time.
  for _ in $(seq 30000); do
    if grep -aq '^RUNNING' "$work/cut.log"; then break; fi
    kill -0 "$machine" || { tail -n 30 "$work/cut.log"; exit 1; }
    sleep 0.02
  done
  sleep "0.$((RANDOM % 4))"
  kill -9 "$machine"
  while kill -0 "$machine" 2>/dev/null; do sleep 0.1; done
  grep -aE '^(acked|RUNNING)' "$work/cut.log" | tail -n 2
  RTC=2026-11-30T16:10:00 KEEP=1 CACHE=writeback \
    "$here/vm.sh" "$work/after.log" "$work/disk" "$here/verify-check.sh" || rc=1
  report "$work/after.log"
  [ $rc = 0 ] || { tail -n 40 "$work/after.log"; exit 1; }
  # What was read from the journal before the cut is what a person had seen: it is there.
  acked=$(grep -ao 'acked [0-9]* records' "$work/cut.log" | tail -n 1 | grep -o '[0-9]*')
  found=$(grep -ao '^records [0-9]*' "$work/after.log" | tail -n 1 | grep -o '[0-9]*')
  [ "${found:-0}" -ge "${acked:-1}" ] || { echo "FAIL  $acked records were seen, $found are there"; exit 1; }
  echo "ok    $acked records were seen before the cut, $found are there after it"
  read -r durable wanted < <(tr -d '\r' <"$work/after.log" | sed -n 's/^durable \([0-9]*\) of \([0-9]*\) .*/\1 \2/p')
  if [ "$durable" -gt 0 ] && [ "$durable" -lt "$wanted" ]; then middle=$((middle + 1)); fi
done
echo "== $middle of $cuts cuts came between the first bill of a run and its last"
echo "== all took $((SECONDS - started)) s"
