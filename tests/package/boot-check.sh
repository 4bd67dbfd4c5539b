# Runs as root inside the virtual machine, beside blockgate.deb: install it, let it run under systemd as
# an installer's box would, and look. Each line says `ok` or `FAIL`.
failed=0
is() { if eval "$2"; then echo "ok    $1"; else echo "FAIL  $1"; failed=1; fi; }
wait_for() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -lt "${2:-120}" ] || return 1; sleep 0.5; done; }

is "installs" "dpkg -i blockgate.deb >install.log 2>&1 || { cat install.log; false; }"
is "unit is active after the installation" "wait_for 'systemctl is-active --quiet blockgate'"
is "self-test on the state folder's disk" "blockgate self-test --folder /var/lib"
is "page answers over HTTPS" "wait_for '[ \"\$(curl -sk -o /dev/null -w %{http_code} https://127.0.0.1:8443/healthz)\" = 200 ]'"
is "set-up code is in the log" "journalctl -u blockgate -o cat | grep -q 'open /setup with the code '"

cp vm.toml /etc/blockgate/blockgate.toml
cp property-fee.toml electricity.toml /etc/blockgate/rules.d/
chown -R root:blockgate /etc/blockgate; chmod 640 /etc/blockgate/blockgate.toml /etc/blockgate/rules.d/*
is "reload takes the new config" "systemctl reload-or-restart blockgate && systemctl is-active --quiet blockgate"
is "meter on the serial line is read" "wait_for 'blockgate journal show --kind reading | grep -q m-0101'"
is "one reading on demand" "blockgate read m-0101 --json | tee read.json | grep -q energy_import || { cat read.json; false; }"
is "journal has the fields" "journalctl -u blockgate -o json | grep -q '\"BG_PAGE\"' && journalctl -u blockgate BG_METERS=1 -o cat | grep -q 'blockgate starts'"

pid=$(systemctl show -p MainPID --value blockgate)
echo "resident: $(grep VmRSS /proc/$pid/status)"
is "resident below 40 MiB" "[ \$(awk '/VmRSS/ {print \$2}' /proc/$pid/status) -lt 40960 ]"
is "runs as its user" "[ \"\$(stat -c %U /proc/$pid)\" = blockgate ]"
systemd-analyze security --no-pager blockgate.service | tail -n 1
is "sandbox score at most 2.0" "systemd-analyze security --no-pager --threshold=20 blockgate.service >/dev/null"

fed=$(systemctl show -p WatchdogTimestampMonotonic --value blockgate)
is "watchdog is fed" "wait_for '[ \"\$(systemctl show -p WatchdogTimestampMonotonic --value blockgate)\" != $fed ]' 100"
if [ -n "${WATCHDOG:-yes}" ]; then
  kill -STOP "$pid"
  is "a daemon that hangs is started again" "wait_for '[ \"\$(systemctl show -p MainPID --value blockgate)\" != $pid ] && systemctl is-active --quiet blockgate' 240"
  is "because of the watchdog" "journalctl -u blockgate | grep -qi watchdog"
fi
is "journal is whole" "blockgate journal verify"
is "stops in order" "systemctl stop blockgate && journalctl -u blockgate -o cat | grep -q 'blockgate has stopped'"
exit $failed
