# After the power cut: the journal is whole, what was seen before is there, the month closes once.
dmesg | grep -E 'EXT4-fs.*recover'
failed=0
is() { if eval "$2"; then echo "ok    $1"; else echo "FAIL  $1"; failed=1; fi; }
is "journal is whole before the start" "blockgate journal verify --state /var/lib/blockgate"
is "unit is active" "n=0; until systemctl is-active --quiet blockgate; do n=\$((n + 1)); [ \$n -lt 240 ] || break; sleep 0.5; done; systemctl is-active --quiet blockgate"
bills() { blockgate journal show --kind bill | wc -l; }
wanted=$(grep -c '^\[\[account\]\]' /etc/blockgate/blockgate.toml)
n=0; until [ "$(bills)" -ge "$wanted" ] || [ $n -gt 240 ]; do n=$((n + 1)); sleep 0.5; done
is "every household has its bill, once" "[ \"\$(bills)\" = $wanted ] && [ \"\$(blockgate journal show --kind bill | grep -o '\"bill\":\"[^\"]*\"' | sort -u | wc -l)\" = $wanted ]"
blockgate journal show | awk '/"what":"started"/ { durable = bills } /"kind":"bill"/ { bills++ }
  END { printf "durable %d of %d bills when the power went\n", durable, bills }'
echo "records $(blockgate journal show | wc -l), bills $(bills) of $wanted"
is "journal is whole after it" "blockgate journal verify"
exit $failed
