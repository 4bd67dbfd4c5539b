#!/bin/bash
# tests/package/cycle.sh ROOT V1.deb V2.deb: the package's life in a chroot (base.sh makes ROOT):
# install, upgrade, a refused upgrade, a killed dpkg, a refused downgrade, remove, purge. V2 is a
# later version. Works on an overlay of ROOT. As root; ends with `N passed, N failed`.
set -u
root=$(realpath "$1") one=$(realpath "$2") two=$(realpath "$3")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cycle.XXXX")
export root one two work
[ -n "${CYCLE_INSIDE:-}" ] || { CYCLE_INSIDE=1 unshare -m --propagation private bash "$0" "$@"; code=$?; rm -rf "$work"; exit $code; }
trap 'umount "$work/root/proc" "$work/root" "$work" 2>/dev/null; rm -rf "$work"' EXIT

mount -t tmpfs tmpfs "$work"
mkdir "$work"/{upper,lower,root,log}
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/lower" "$work/root"
mount -t proc proc "$work/root/proc"
r=$work/root
cp "$one" "$r/srv/one.deb"
cp "$two" "$r/srv/two.deb"

passed=0 failed=0 last=
inside() { chroot "$r" /usr/bin/env -i DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$1"; }
dpkg_() { last=$work/log/$((passed + failed)); inside "dpkg --force-confdef --force-confold $1" >"$last" 2>&1; }
is() { # NAME CONDITION: a line of the report
  if eval "$2"; then
    passed=$((passed + 1)); echo "ok    $1"
  else
    failed=$((failed + 1)); echo "FAIL  $1"; [ -z "$last" ] || sed 's/^/        /' "$last" | tail -n 15
  fi
}
config=/etc/blockgate/blockgate.toml
state=$r/var/lib/blockgate
wants=$r/etc/systemd/system/multi-user.target.wants/blockgate.service
status() { inside "dpkg-query -W -f '\${db:Status-Status} \${Version}' blockgate"; }
v1=$(dpkg-deb -f "$one" Version) v2=$(dpkg-deb -f "$two" Version)

is "installs" "dpkg_ '-i /srv/one.deb'"
is "asks nothing and warns of nothing" "! grep -iE 'error|warning|not found|No such' $last"
is "its files are as they were packed" "[ -z \"\$(inside 'dpkg -V blockgate')\" ]"
is "has its user" "grep -q ^blockgate: $r/etc/passwd"
is "may open serial ports" "grep -q '^dialout:.*blockgate' $r/etc/group"
is "config is root's and the daemon's alone" "[ \"\$(inside 'stat -c %a:%U:%G $config')\" = 640:root:blockgate ]"
is "unit is enabled" "[ -L $wants ]"
is "unit is whole" "inside 'systemd-analyze verify --man=no blockgate.service' 2>&1 | tee $work/log/unit | { ! grep -i blockgate; }"
is "says its version" "[ \"\$(inside 'blockgate --version')\" = \"blockgate ${v1%-*}\" ]"
is "shipped config is good for the daemon's user" "inside 'runuser -u blockgate -- blockgate check'"
is "shipped rules are found" "[ \$(ls $r/usr/share/blockgate/rules | wc -l) -gt 3 ]"
is "manual pages and completions" "[ -e $r/usr/share/man/man8/blockgate.8.gz ] || [ -e $r/usr/share/bash-completion/completions/blockgate ]"

# A short life, so that there is a store: the daemon runs in the chroot as its user for a moment.
inside 'install -d -o blockgate -g blockgate -m 0750 /var/lib/blockgate'
cat >"$r/srv/live.sh" <<'LIVE'
sed -i 's/^listen = .*/listen = "127.0.0.1:18099"/' /etc/blockgate/blockgate.toml
runuser -u blockgate -- blockgate run >/srv/live.log 2>&1 &
pid=$!
for _ in $(seq 100); do [ -s /var/lib/blockgate/format ] && blockgate journal verify >/dev/null 2>&1 && break; sleep 0.1; done
kill "$pid"; wait "$pid"
LIVE
is "daemon runs and stops in order" "inside 'sh /srv/live.sh'; [ -s $state/format ]"
before=$(inside 'blockgate journal show' | md5sum)

echo '# an admin was here' >>"$r$config"
is "upgrades" "dpkg_ '-i /srv/two.deb'"
is "is the new version" "[ \"\$(status)\" = 'installed $v2' ]"
is "admin's config stays" "grep -q 'an admin was here' $r$config"
is "journal is the same" "[ \"\$(inside 'blockgate journal show' | md5sum)\" = \"$before\" ]"
is "journal is whole" "inside 'blockgate journal verify' >/dev/null"
is "leaves no copy behind" "[ ! -e $r/var/lib/blockgate-upgrade ]"

# The new version cannot read the store: the old one stays in charge.
is "goes back to the same format" "dpkg_ '-i /srv/one.deb'"
old=$(md5sum <"$r/usr/bin/blockgate")
cat >"$r/srv/refuse.sh" <<'REFUSE'
#!/bin/sh
case "$*" in *--store*) echo 'blockgate.toml:3:1: no such key' >&2; exit 1 ;; *) exit 0 ;; esac
REFUSE
chmod 755 "$r/srv/refuse.sh"
rm -rf "$work/bad"
dpkg-deb -R "$two" "$work/bad"
cp "$r/srv/refuse.sh" "$work/bad/usr/bin/blockgate"
dpkg-deb -b "$work/bad" "$r/srv/bad.deb" >/dev/null
is "refuses a version that cannot go on" "! dpkg_ '-i /srv/bad.deb'"
is "says why" "grep -q 'no such key' $last"
is "has put the old program back" "[ \"\$(md5sum <$r/usr/bin/blockgate)\" = '$old' ]"
is "tries again on request, and refuses again" "! dpkg_ '--configure blockgate' && [ \"\$(md5sum <$r/usr/bin/blockgate)\" = '$old' ]"
is "a good version mends it" "dpkg_ '-i /srv/two.deb' && [ \"\$(status)\" = 'installed $v2' ]"

# dpkg is killed in the middle of configuring.
is "goes back once more" "dpkg_ '-i /srv/one.deb'"
cat >"$r/srv/kill.sh" <<'KILL'
mv /usr/bin/systemd-tmpfiles /srv/tmpfiles
printf '#!/bin/sh\nkill -9 "$(cat /srv/dpkg.pid)"\n' >/usr/bin/systemd-tmpfiles; chmod 755 /usr/bin/systemd-tmpfiles
sh -c 'echo $$ >/srv/dpkg.pid; exec dpkg --force-confdef --force-confold -i /srv/two.deb' >/srv/kill.log 2>&1
mv /srv/tmpfiles /usr/bin/systemd-tmpfiles
KILL
inside 'sh /srv/kill.sh' 2>/dev/null
is "was left half-way by a killed dpkg" "[ \"\$(status | cut -d' ' -f1)\" != installed ]"
is "is finished by dpkg --configure -a" "dpkg_ '--configure -a' && [ \"\$(status)\" = 'installed $v2' ]"
is "journal survived it" "inside 'blockgate journal verify' >/dev/null && [ \"\$(inside 'blockgate journal show' | md5sum)\" = \"$before\" ]"

# A store of a later format.
echo 'blockgate-state 99' >"$state/format"
is "downgrade that could not read the store is refused" "! dpkg_ '-i /srv/one.deb'"
is "names both formats" "grep -q 'format 99' $last"
is "is still what it was" "[ \"\$(status)\" = 'installed $v2' ]"
echo 'blockgate-state 1' >"$state/format"

is "removes" "dpkg_ '-r blockgate'"
is "config and journal stay" "[ -f $r$config ] && [ -d $state/journal ]"
is "purges" "dpkg_ '-P blockgate'"
is "nothing stays" "[ ! -e $r/etc/blockgate ] && [ ! -e $state ] && [ ! -L $wants ] && [ ! -e $r/var/lib/blockgate-upgrade ]"
is "installs again" "dpkg_ '-i /srv/two.deb'"
mkdir -p "$state/journal"; touch "$state/keep"
is "a purge leaves a journal that is to be kept" "dpkg_ '-P blockgate' && [ -d $state/journal ]"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
