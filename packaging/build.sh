#!/bin/bash
# packaging/build.sh [--version V] [amd64] [arm64] [armhf]: the Debian packages, all three when none
# is named, into target/debian/. On a plain Debian 12 with cargo, as root or with sudo; installs the
# cross compilers that it needs (cross/toolchain.sh). `--version` makes a package of another version
# from the same program, for tests of upgrades.
#
# Times are the commit's, owners root, order sorted, paths mapped away: two builds of one commit in two folders
# gave the same bytes (packaging/README.md).
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)-1
architectures=()
while [ $# -gt 0 ]; do
  case "$1" in
    --version) version=${2:?which version}; shift ;;
    amd64 | arm64 | armhf) architectures+=("$1") ;;
    *) echo "usage: packaging/build.sh [--version V] [amd64] [arm64] [armhf]" >&2; exit 2 ;;
  esac
  shift
done
[ ${#architectures[@]} -gt 0 ] || architectures=(amd64 arm64 armhf)

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
umask 022

triple_of() {
  case "$1" in
    amd64) echo x86_64-unknown-linux-gnu ;;
    arm64) echo aarch64-unknown-linux-gnu ;;
    armhf) echo armv7-unknown-linux-gnueabihf ;;
  esac
}

tools_of() {
  case "$1" in
    amd64) echo x86_64-linux-gnu ;;
    arm64) echo aarch64-linux-gnu ;;
    armhf) echo arm-linux-gnueabihf ;;
  esac
}

# Runs a program of an architecture on this machine.
run_on() {
  local architecture=$1
  shift
  case "$architecture-$(dpkg --print-architecture)" in
    amd64-amd64 | arm64-arm64 | armhf-armhf) "$@" ;;
    arm64-*) qemu-aarch64-static -L /usr/aarch64-linux-gnu "$@" ;;
    armhf-*) qemu-arm-static -L /usr/arm-linux-gnueabihf "$@" ;;
    *) echo "cannot run $architecture programs here" >&2; return 1 ;;
  esac
}

# The newest glibc symbol that the program needs. Packed relocations need 2.36, Debian 12's (ADR 0034).
check_glibc() {
  local needs
  needs=$(objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)
  if [ "$(printf '%s\n' "$needs" GLIBC_2.36 | sort -V | tail -n 1)" != GLIBC_2.36 ]; then
    echo "$1 needs $needs; packages promise libc6 (>= 2.36)" >&2
    return 1
  fi
}

build() {
  local architecture=$1 triple program stage doc size
  triple=$(triple_of "$architecture")
  bash cross/build.sh "$architecture" --bin blockgate
  program=target/$triple/packaged/blockgate
  check_glibc "$program"
  echo "self-test of $architecture:"
  run_on "$architecture" "$program" self-test

  stage=target/debian/stage-$architecture
  rm -rf "$stage"
  doc=$stage/usr/share/doc/blockgate
  install -D -m 0755 "$program" "$stage/usr/bin/blockgate"
  # The symbols stay here, for whoever reads a crash; a box has no use for megabytes of them.
  "$(tools_of "$architecture")-objcopy" --only-keep-debug "$program" "target/debian/blockgate_${version}_$architecture.debug"
  "$(tools_of "$architecture")-strip" "$stage/usr/bin/blockgate"
  install -D -m 0640 packaging/blockgate.toml "$stage/etc/blockgate/blockgate.toml"
  install -D -m 0644 systemd/blockgate.service "$stage/usr/lib/systemd/system/blockgate.service"
  install -D -m 0644 systemd/blockgate.sysusers "$stage/usr/lib/sysusers.d/blockgate.conf"
  install -D -m 0644 systemd/blockgate.tmpfiles "$stage/usr/lib/tmpfiles.d/blockgate.conf"
  install -D -m 0644 systemd/60-blockgate-rs485.rules "$stage/usr/lib/udev/rules.d/60-blockgate-rs485.rules"
  install -D -m 0644 packaging/lintian-overrides "$stage/usr/share/lintian/overrides/blockgate"
  install -D -m 0644 -t "$stage/usr/share/blockgate/rules" rules/tariffs/*.toml
  for folder in drivers/profiles/*/; do
    install -D -m 0644 -t "$stage/usr/share/blockgate/profiles/$(basename "$folder")" "$folder"*.toml
  done

  run_on "$architecture" "$program" generate "$stage/generated"
  install -D -m 0644 -t "$stage/usr/share/man/man8" "$stage"/generated/man8/*.8
  gzip -9n "$stage"/usr/share/man/man8/*.8
  install -D -m 0644 "$stage/generated/bash/blockgate.bash" "$stage/usr/share/bash-completion/completions/blockgate"
  install -D -m 0644 "$stage/generated/zsh/_blockgate" "$stage/usr/share/zsh/vendor-completions/_blockgate"
  install -D -m 0644 "$stage/generated/fish/blockgate.fish" "$stage/usr/share/fish/vendor_completions.d/blockgate.fish"
  rm -r "$stage/generated"

  install -D -m 0644 packaging/copyright "$doc/copyright"
  install -D -m 0644 -t "$doc" README.md README.zh-CN.md SECURITY.md docs/devices.md
  # What `blockgate contract` writes; the package's program is built without it (ADR 0034).
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --mode=u=rwX,go=rX \
    -cJf "$doc/contract.tar.xz" -C docs contract
  install -D -m 0644 CHANGELOG.md "$doc/changelog"
  sed "1s/([^)]*)/($version)/" packaging/changelog >"$doc/changelog.Debian"
  python3 packaging/third_party.py "$triple" "$doc"
  gzip -9n "$doc/changelog" "$doc/changelog.Debian" "$doc/third-party-licences" "$doc/sbom.cdx.json" \
    "$doc/devices.md"
  chmod 0644 "$doc"/*

  mkdir -p "$stage/DEBIAN"
  for script in preinst postinst prerm postrm; do
    install -m 0755 "packaging/debian/$script" "$stage/DEBIAN/$script"
  done
  echo /etc/blockgate/blockgate.toml >"$stage/DEBIAN/conffiles"
  (cd "$stage" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  size=$(du -sk --apparent-size --exclude=DEBIAN "$stage" | cut -f1)
  cat >"$stage/DEBIAN/control" <<CONTROL
Package: blockgate
Version: $version
Architecture: $architecture
Maintainer: blockgate maintainers <maintainers@blockgate.invalid>
Installed-Size: $size
Depends: libc6 (>= 2.36), libgcc-s1 (>= 4.2), init-system-helpers (>= 1.54), systemd | systemd-standalone-sysusers
Recommends: ca-certificates
Section: net
Priority: optional
Description: gateway daemon of a residential block
 Polls electricity, water, gas and heat meters, parking cameras, barriers and
 door controllers, computes charges on the spot with exact decimals, keeps
 everything through power cuts and weeks offline, notices leaks, and brings
 every bill and event to a cloud over MQTT with TLS, exactly once.
 .
 A local page in Chinese and English serves installers, caretakers and clerks;
 it needs no Internet.
CONTROL
  find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  dpkg-deb --root-owner-group -Zxz -b "$stage" "target/debian/blockgate_${version}_$architecture.deb" >/dev/null
  rm -r "$stage"
  echo "target/debian/blockgate_${version}_$architecture.deb ($(stat -c %s "target/debian/blockgate_${version}_$architecture.deb") bytes, $size KiB installed)"
}

mkdir -p target/debian
for architecture in "${architectures[@]}"; do build "$architecture"; done
