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
date -u -s '2026-11-30 15:59:30' >/dev/null
sync
systemctl restart blockgate || { journalctl -u blockgate -n 30 -o cat; exit 4; }
echo WRITING
n=0
while [ $n -lt 600 ]; do
  n=$((n + 1))
  echo "acked $(blockgate journal show --kind bill | wc -l) bills, $(blockgate journal show | wc -l) records"
  sleep 0.3
done
