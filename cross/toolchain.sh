#!/bin/bash
# cross/toolchain.sh [FOLDER]: one Rust compiler and one linker for amd64, arm64 and armhf, from Debian's own
# packages, unpacked into FOLDER (target/toolchain when absent) and nowhere else; and the C cross compilers,
# installed. Debian 12 on amd64, as root or with sudo. About 700 MB; a second call changes nothing.
#
# Not rustup: its standard libraries come from a host that a build machine need not reach. Not
# `dpkg --add-architecture`: apt then silently takes an older compiler where one index is behind.
# The standard library of one version is refused by any other compiler, so everything is named by
# version here, and what lies outside apt's signed index of this machine by its SHA-256.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.96.0+dfsg1-1~deb12u2
llvm=1:22.1.8-1~deb12u1
declare -A sha256=(
  [arm64]=02419380801b9f61391294823659b17b90f7a863ca3bbccb9140d2f0f8a2c910
  [armhf]=b9f9dd1d03a903680f918cb2bba00a2a3d76558545d5e6a8061072ab461bb989
)

folder=$(realpath -m "${1:-target/toolchain}")
packages=(gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user-static)

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  "${as_root[@]}" apt-get -qq update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

[ "$(cat "$folder/version" 2>/dev/null)" != "$version lld $llvm" ] || exit 0
rm -rf "$folder"
mkdir -p "$folder/packages" "$folder/root"
cd "$folder/packages"
apt-get -qq download "rustc-web=$version" "libstd-rust-web-1.96=$version" \
  "libstd-rust-web-dev=$version" "libllvm22=$llvm" "lld-22=$llvm" 2>/dev/null
# The other architectures lie beside amd64's file; where that is, apt knows. It prints nothing when
# the file is there already, so it is asked from another folder.
from=$(cd "$folder/root" && apt-get download --print-uris "libstd-rust-web-dev=$version" | cut -d"'" -f2)
for architecture in "${!sha256[@]}"; do
  /usr/lib/apt/apt-helper -qq download-file "${from%_amd64.deb}_$architecture.deb" \
    "libstd-rust-web-dev_${version}_$architecture.deb" "SHA256:${sha256[$architecture]}" 2>/dev/null
done
for package in *.deb; do dpkg-deb -x "$package" "$folder/root"; done
cd "$folder"
rm -rf "$folder/packages"

for tool in rustc rustdoc; do
  cat >"$folder/$tool" <<SCRIPT
#!/bin/sh
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
exec $folder/root/usr/bin/$tool "\$@"
SCRIPT
  chmod +x "$folder/$tool"
done
# What cargo links with: the C compiler of each architecture, and behind it lld, which folds equal functions
# and packs relative relocations (ADR 0034). The folder that -B names is where gcc looks for `ld.lld`.
mkdir -p "$folder/linker"
cat >"$folder/linker/ld.lld" <<SCRIPT
#!/bin/sh
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
exec $folder/root/usr/lib/llvm-22/bin/ld.lld "\$@"
SCRIPT
chmod +x "$folder/linker/ld.lld"
for tools in x86_64-linux-gnu aarch64-linux-gnu arm-linux-gnueabihf; do
  cat >"$folder/linker/$tools" <<SCRIPT
#!/bin/sh
exec $tools-gcc -B $folder/linker -fuse-ld=lld -Wl,--icf=all,-z,pack-relative-relocs "\$@"
SCRIPT
  chmod +x "$folder/linker/$tools"
done

"$folder/rustc" --version
echo "$version lld $llvm" >"$folder/version"
