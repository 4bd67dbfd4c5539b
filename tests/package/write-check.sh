# Runs in the virtual machine whose power is going to be cut: closes a month of many households.
if [ ! -x /usr/bin/blockgate ]; then
  dpkg -i blockgate.deb >/dev/null 2>&1
  systemctl stop blockgate
  cp vm.toml /etc/blockgate/blockgate.toml
  cp property-fee.toml electricity.toml /etc/blockgate/rules.d/
  chown -R root:blockgate /etc/blockgate; chmod 640 /etc/blockgate/blockgate.toml /etc/blockgate/rules.d/*
fi
# Now, not by the machine's clock at its start: however long the installation took, the charges begin
# before the month's end.
date -u -s '2026-11-30 15:58:00' >/dev/null
sync
systemctl restart blockgate || { journalctl -u blockgate -n 30 -o cat; exit 4; }
echo WRITING
# What a person sees of it before the run; then a look at one place of its file, which costs nothing. A segment is
# zeros where no record is.
last=$(date +%s -u -d '2026-11-30 15:59:55')
while [ "$(date +%s)" -lt "$last" ]; do
  echo "acked $(blockgate journal show | wc -l) records"
  sleep 0.3
done
segment=$(ls /var/lib/blockgate/journal/*.bgj | tail -n 1)
is_written() { ! dd if="$segment" bs=64 skip=$(($1 / 64)) count=1 2>/dev/null | cmp -s -n 64 - /dev/zero; }
end=$(tr -d '\0' <"$segment" | wc -c)
while is_written $((end + 200000)); do end=$((end + 200000)); done
until is_written $((end + 400000)); do :; done
echo "RUNNING beyond byte $((end + 400000)) of $segment"
sleep 600
