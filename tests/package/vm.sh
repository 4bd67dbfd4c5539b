#!/bin/bash
# tests/package/vm.sh LOG DISK CHECK.sh [FILE...]: boots a copy of DISK in a virtual machine under
# software emulation, runs CHECK.sh beside the FILEs in it as root, and ends as it did. BASE: the folder
# of base.sh. KEEP=1 boots DISK itself. BACKGROUND=1 leaves it running and prints its process id.
# WIRE=PATH: a unix socket that is the machine's second serial port, ttyS1. RTC: the machine's clock at
# the start, UTC. MEMORY in MiB.
set -euo pipefail
base=${BASE:-target/package-test}
log=$1 disk=$2 check=$3
shift 3
work=$(mktemp -d "${TMPDIR:-/var/tmp}/vm.XXXX")
[ -n "${BACKGROUND:-}" ] || trap 'rm -rf "$work"' EXIT
mkdir "$work/inject"
cp "$check" "$work/inject/check.sh"
[ $# = 0 ] || cp "$@" "$work/inject/"
tar -C "$work/inject" -cf "$work/inject.tar" .
if [ -z "${KEEP:-}" ]; then
  cp --sparse=always --reflink=auto "$disk" "$work/disk"
  disk=$work/disk
fi
: >"$log"
machine=(qemu-system-x86_64
  -M q35,usb=off,vmport=off,hpet=off -accel tcg,thread=multi,tb-size=256 -cpu Nehalem-v1 -smp 2 -m "${MEMORY:-512}"
  -nodefaults -no-reboot -display none -rtc "base=${RTC:-utc},clock=host"
  -kernel "$base/vmlinuz" -initrd "$base/initrd"
  # By label and with fixed slots: on a busy machine the disk once came too late to be found by name.
  -append "root=LABEL=root rootdelay=120 rw console=ttyS0,115200 loglevel=4 systemd.show_status=0 panic=-1 net.ifnames=0 mitigations=off tsc=reliable nokaslr selinux=0 apparmor=0 audit=0"
  -drive "file=$disk,format=raw,if=none,id=root,cache=${CACHE:-unsafe}" -device virtio-blk-pci,drive=root,serial=root,addr=0x4
  -drive "file=$work/inject.tar,format=raw,if=none,id=inject,readonly=on" -device virtio-blk-pci,drive=inject,serial=inject,addr=0x5
  -device virtio-rng-pci -serial "file:$log")
[ -z "${WIRE:-}" ] || machine+=(-chardev "socket,id=wire,path=$WIRE" -serial chardev:wire)
if [ -n "${BACKGROUND:-}" ]; then
  "${machine[@]}" >/dev/null 2>&1 &
  echo $!
  exit 0
fi
timeout -k 5 "${PATIENCE:-900}" "${machine[@]}" || echo "the machine ended with $?" >&2
grep -aq 'INJECT-RC=0' "$log"
