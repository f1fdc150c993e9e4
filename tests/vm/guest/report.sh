#!/bin/sh
# Runs on a test node: says on the console when each of its peers answers, then how it all went.
#
#     @@ ping 10.90.0.2 41.20                when it answered, in seconds after power-on
#     @@ overlay {"seconds": …}              what report.py has to say
#
# A shell: where a Python takes seconds to start, the one that looks would be in the way of those it
# looks at.
status=/run/zosnet/networkd.json

# The addresses of the first peer.
peer() {
    awk '/"peers": \[$/ {peers = 1}
        peers && /"addresses": \[$/ {addresses = 1; next}
        addresses && /\]/ {exit}
        addresses {gsub(/[", ]/, ""); print}' $status 2>/dev/null
}

until set -- /run/netns/n-* && [ -e "$1" ]; do sleep 1; done  # before that there is nothing to read
space=${1##*/}
until [ -n "$(peer)" ]; do sleep 0.5; done
answered=$(peer)
for address in $answered; do
    until ip netns exec "$space" ping -c1 -W1 "$address" >/dev/null 2>&1; do :; done
    read -r uptime _ </proc/uptime
    echo "@@ ping $address $uptime" >/dev/console
done
exec python "${0%.sh}.py" "$space" $answered
