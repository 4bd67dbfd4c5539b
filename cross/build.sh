#!/bin/bash
# cross/build.sh amd64|arm64|armhf [cargo arguments]: the program of the package for an architecture, by the
# compiler of cross/toolchain.sh. `CMD=test` runs the tests under qemu-user instead.
#
# Reproducible: paths of the building machine are mapped away, and times are the commit's.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:?which architecture: amd64, arm64 or armhf}" in
  amd64) triple=x86_64-unknown-linux-gnu tools=x86_64-linux-gnu emulator= ;;
  arm64) triple=aarch64-unknown-linux-gnu tools=aarch64-linux-gnu emulator="qemu-aarch64-static -L /usr/aarch64-linux-gnu" ;;
  armhf) triple=armv7-unknown-linux-gnueabihf tools=arm-linux-gnueabihf emulator="qemu-arm-static -L /usr/arm-linux-gnueabihf" ;;
  *) echo "unknown architecture $1: amd64, arm64 or armhf" >&2; exit 2 ;;
esac
shift

toolchain=${BLOCKGATE_TOOLCHAIN:-$PWD/target/toolchain}
bash cross/toolchain.sh "$toolchain"
export RUSTC=$toolchain/rustc RUSTDOC=$toolchain/rustdoc

# ring compiles C, so the C compiler must be the target's too.
lower=${triple//-/_} upper=$(tr a-z- A-Z_ <<<"$triple")
export "CC_$lower=$tools-gcc" "AR_$lower=$tools-ar"
export "CARGO_TARGET_${upper}_LINKER=$toolchain/linker/$tools"
[ -z "$emulator" ] || export "CARGO_TARGET_${upper}_RUNNER=$emulator"

home=${CARGO_HOME:-$HOME/.cargo}
export "CARGO_TARGET_${upper}_RUSTFLAGS=--remap-path-prefix=$PWD=/build --remap-path-prefix=$home=/cargo"
export "CFLAGS_$lower=-ffile-prefix-map=$PWD=/build -ffile-prefix-map=$home=/cargo"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

# A package's program is small (ADR 0034); tests are built faster, and whole.
how=(--profile packaged --no-default-features)
[ "${CMD:-build}" = build ] || how=(--profile release)
exec cargo "${CMD:-build}" "${how[@]}" --locked --target "$triple" --package blockgate "$@"
