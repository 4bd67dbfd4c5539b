#!/bin/bash
# tests/package/fleet.sh ROOT V1.deb V2.deb: a fleet's way: packaging/repository.sh makes a signed apt
# repository with V1, a box installs from it with apt, V2 is published, the box upgrades with apt; a
# repository signed with another key, and one that was changed after it was signed, are refused.
# Works on an overlay of ROOT (base.sh makes it). As root; ends with `N passed, N failed`.
set -u
here=$(dirname "$(realpath "$0")")
root=$(realpath "$1") one=$(realpath "$2") two=$(realpath "$3")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/fleet.XXXX")
[ -n "${FLEET_INSIDE:-}" ] || { FLEET_INSIDE=1 unshare -m --propagation private bash "$0" "$@"; code=$?; rm -rf "$work"; exit $code; }
trap 'GNUPGHOME=$work/keys gpgconf --kill all 2>/dev/null; umount "$work/root/proc" "$work/root" "$work" 2>/dev/null; rm -rf "$work"' EXIT

mount -t tmpfs tmpfs "$work"
mkdir -m 700 "$work/keys"
mkdir "$work"/{upper,lower,root}
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/lower" "$work/root"
mount -t proc proc "$work/root/proc"
r=$work/root repository=$work/root/srv/repository log=$work/log

passed=0 failed=0
is() {
  if eval "$2"; then
    passed=$((passed + 1)); echo "ok    $1"
  else
    failed=$((failed + 1)); echo "FAIL  $1"; tail -n 15 "$log" | sed 's/^/        /'
  fi
}
inside() { chroot "$r" /usr/bin/env -i DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$1" >"$log" 2>&1; }
# Only our repository: nothing is fetched from anywhere else.
apt_() { inside "apt-get -o Dir::Etc::sourceparts=/etc/apt/sources.list.d -o Dir::Etc::sourcelist=/dev/null $1"; }
publish() { GNUPGHOME=$work/keys bash "$here/../../packaging/repository.sh" "$repository" "$@" >"$log" 2>&1; }
version() { chroot "$r" dpkg-query -W -f '${db:Status-Status} ${Version}' blockgate 2>/dev/null; }
v1=$(dpkg-deb -f "$one" Version) v2=$(dpkg-deb -f "$two" Version)

for name in fleet stranger; do
  GNUPGHOME=$work/keys gpg --batch --quiet --passphrase '' --quick-generate-key "$name" ed25519 sign never 2>/dev/null
done
is "repository is made and signed" "publish fleet '$one'"
line=$(tail -n 1 "$log" | sed 's|ADDRESS|file:///srv/repository|')
install -D -m 0644 "$repository/blockgate.asc" "$r/etc/apt/keyrings/blockgate.asc"
rm -f "$r"/etc/apt/sources.list.d/*
echo "$line" >"$r/etc/apt/sources.list.d/blockgate.list"
is "apt takes its signature" "apt_ update && ! grep -E '^(E|W):' '$log'"
is "a box installs by name" "apt_ 'install -y --no-install-recommends blockgate' && [ \"\$(version)\" = 'installed $v1' ]"
is "a version that was published never changes" "cp '$two' '$work/${one##*/}' && ! publish fleet '$work/${one##*/}'"
is "the next version is published" "publish fleet '$two'"
is "the fleet upgrades" "apt_ update && apt_ 'upgrade -y' && [ \"\$(version)\" = 'installed $v2' ]"
is "and nothing is left to do" "apt_ 'upgrade -s' && ! grep -q '^Inst blockgate' '$log'"

cp -a "$repository" "$work/good"
sed -i 's/^Description: .*/Description: something else/' "$repository/dists/stable/main/binary-amd64/Packages"
xz -kf "$repository/dists/stable/main/binary-amd64/Packages"
is "an index that was changed after it was signed is refused" "inside 'rm -rf /var/lib/apt/lists/*'; ! apt_ update || grep -qE '^(E|W|Err)' '$log'"
rm -rf "$repository"; cp -a "$work/good" "$repository"
is "so is one that a stranger signed" "publish stranger '$two'; ! apt_ update || grep -qE 'NO_PUBKEY|not signed' '$log'"
is "and the box stays as it is" "[ \"\$(version)\" = 'installed $v2' ]"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
