#!/bin/bash
# tests/package/base.sh FOLDER: what the other scripts here need, made once: FOLDER/root, a small
# Debian 12 for the install cycle and the container; FOLDER/{vmlinuz,initrd,base.ext4}, the same as a
# virtual machine's disk. As root; about 40 CPU seconds. A second call changes nothing.
set -euo pipefail
folder=$(realpath -m "${1:?folder}")
mkdir -p "$folder"
[ ! -e "$folder/done" ] || exit 0

packages=(debootstrap qemu-system-x86 systemd-container lintian e2fsprogs apt-utils gnupg)
missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

root=$folder/root
rm -rf "$root" "$folder/machine"
debootstrap --variant=minbase \
  --include=systemd,systemd-sysv,dbus,udev,init,kmod,iproute2,procps,zstd,ca-certificates,curl,python3-minimal,libpython3-stdlib \
  bookworm "$root" >"$folder/debootstrap.log"
rm -rf "$root"/var/cache/apt/archives/*.deb

# The machine: a kernel, an initrd with just these modules, and a unit that runs what is injected.
machine=$folder/machine
cp -a "$root" "$machine"
mkdir -p "$machine/etc/initramfs-tools/conf.d" "$machine/etc/systemd/system/multi-user.target.wants" \
  "$machine/etc/systemd/journald.conf.d"
printf 'MODULES=list\nCOMPRESS=zstd\n' >"$machine/etc/initramfs-tools/conf.d/machine"
printf '%s\n' virtio_pci virtio_blk ext4 virtio_rng >"$machine/etc/initramfs-tools/modules"
mount -t proc proc "$machine/proc"
trap 'umount "$machine/proc" || true' EXIT
DEBIAN_FRONTEND=noninteractive chroot "$machine" apt-get -qq install -y --no-install-recommends \
  -o Dpkg::Options::=--force-confold linux-image-cloud-amd64 initramfs-tools >"$folder/kernel.log" 2>&1
chroot "$machine" passwd -d root >/dev/null
umount "$machine/proc"
trap - EXIT
echo gateway >"$machine/etc/hostname"
: >"$machine/etc/fstab"
echo 127.0.0.1 localhost gateway >"$machine/etc/hosts"
rm -f "$machine/usr/sbin/policy-rc.d"
cat >"$machine/etc/systemd/system/inject.service" <<'UNIT'
[Unit]
After=basic.target dbus.service network.target
Wants=dbus.service
ConditionPathExists=/dev/vdb
[Service]
Type=oneshot
TimeoutStartSec=900
ExecStart=/bin/sh -c 'mkdir -p /run/inject && tar xf /dev/vdb -C /run/inject && cd /run/inject && sh ./check.sh >/dev/ttyS0 2>&1; echo "INJECT-RC=$?" >/dev/ttyS0; sync; echo o >/proc/sysrq-trigger'
UNIT
ln -sf ../inject.service "$machine/etc/systemd/system/multi-user.target.wants/"
printf '[Journal]\nStorage=volatile\n' >"$machine/etc/systemd/journald.conf.d/volatile.conf"
for unit in serial-getty@ttyS0.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer \
  systemd-timesyncd.service e2scrub_reap.service dpkg-db-backup.timer fstrim.timer; do
  ln -sf /dev/null "$machine/etc/systemd/system/$unit"
done
cp "$machine"/boot/vmlinuz-* "$folder/vmlinuz"
cp "$machine"/boot/initrd.img-* "$folder/initrd"
rm -rf "$machine"/var/cache/apt/archives/*.deb "$machine"/var/lib/apt/lists/*
rm -f "$folder/base.ext4"
truncate -s 1500M "$folder/base.ext4"
mkfs.ext4 -q -L root -E lazy_itable_init=0,lazy_journal_init=0 -d "$machine" "$folder/base.ext4"
rm -rf "$machine"
touch "$folder/done"
