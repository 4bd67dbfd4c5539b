#!/bin/bash
# cross/build.sh arm64|armhf|amd64 [cargo arguments]: the release binary for another architecture.
# CMD=test runs the tests under qemu-user instead. NOT TRIED from this tree yet.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:?which architecture: arm64, armhf or amd64}" in
  amd64) triple=x86_64-unknown-linux-gnu tools=x86_64-linux-gnu emulator=() ;;
  arm64) triple=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu emulator=(qemu-aarch64-static -L /usr/aarch64-linux-gnu) ;;
  armhf) triple=armv7-unknown-linux-gnueabihf tools=arm-linux-gnueabihf emulator=(qemu-arm-static -L /usr/arm-linux-gnueabihf) ;;
  *) echo "unknown architecture $1: arm64, armhf or amd64" >&2; exit 2 ;;
esac
shift

# ring compiles C, so the C compiler must be the target's too.
lower=${triple//-/_} upper=$(tr a-z- A-Z_ <<<"$triple")
export "CC_$lower=$tools-gcc" "AR_$lower=$tools-ar"
export "CARGO_TARGET_${upper}_LINKER=$tools-gcc"
[ ${#emulator[@]} = 0 ] || export "CARGO_TARGET_${upper}_RUNNER=${emulator[*]}"

exec cargo "${CMD:-build}" --release --locked --target "$triple" --package blockgate "$@"
