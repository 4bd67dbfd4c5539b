#!/bin/bash
# cross/toolchain.sh: the C compilers and the Rust standard libraries for arm64 and armhf, on Debian
# 12 or newer with rustup. NOT TRIED from this tree yet.
set -euo pipefail
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get -qq update
"${as_root[@]}" apt-get -qq install -y --no-install-recommends \
  gcc libc6-dev \
  gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
  gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
  qemu-user-static
# Not `dpkg --add-architecture`: the cross packages bring what is needed, and apt's choice of
# compiler stays what it was.
rustup target add aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf
