"""What the scenarios of bonds and VLANs are made of: a node that boots and tells how it fares, and
a machine at the other end of its cables, since the lab's kernel has neither.

    end = Machine(world, image, "end", {"/scenario": other_end("trunk")}, "c0", "c1")
    node = Machine(world, image, "n", {"/scenario": BOOT + TELL}, "c0", "c1", words="…")

    @@ internet 0                                     how the boot ended
    @@ zos eth1 192.168.7.123/24 answered             port, address and gateway of zos, again and again
    @@ bond eth1 eth0+eth1                            its active NIC, and those that have a carrier
"""

from ipaddress import IPv4Interface

SLOW = 400  # seconds; a quiet machine takes less than a tenth of it
TAG = 12
UNTAGGED, TAGGED = IPv4Interface("10.77.0.1/24"), IPv4Interface("10.12.0.1/24")
LINK = "link"  # of the other end: what the untagged part comes by

BOOT = """
zosnet-agent internet --supervisor none
echo "@@ internet $?"
"""
TELL = """
while :; do
    if [ -e /proc/net/bonding/zbond ]; then
        awk '/^Currently Active Slave/ {active = $4}
            /^Slave Interface/ {nic = $3}
            nic && /^MII Status: up/ {up = up (up ? "+" : "") nic}
            END {print "@@ bond", active, up}' /proc/net/bonding/zbond
    fi
    port=$(ls /sys/class/net/zos/brif)
    address=$(ip -4 -o addr show dev zos | awk '{print $4}')
    gateway=$(ip -4 route show default | awk '{print $3}')
    if ping -c1 -W1 "$gateway" >/dev/null; then answer=answered; else answer=silent; fi
    echo "@@ zos $port $address $answer"
    sleep 0.2
done
"""


def other_end(*, bonded: bool) -> str:
    """A machine's /scenario: DHCP on what is not tagged, and other DHCP on VLAN TAG."""
    return f"""
modprobe bonding max_bonds=0
modprobe 8021q
if {"true" if bonded else "false"}; then
    ip link add {LINK} type bond mode 802.3ad miimon 100 lacp_rate fast
    ip link set eth0 master {LINK}
    ip link set eth1 master {LINK}
else
    ip link set eth0 name {LINK}
fi
ip link add link {LINK} name tagged type vlan id {TAG}
ip addr add {UNTAGGED} dev {LINK}
ip addr add {TAGGED} dev tagged
ip link set {LINK} up
ip link set tagged up
dnsmasq --conf-file=/dev/null --no-resolv --user=root --group=root --no-ping --dhcp-authoritative \
    --bind-interfaces --except-interface=lo --interface={LINK} --interface=tagged \
    --dhcp-range={UNTAGGED.ip + 99},{UNTAGGED.ip + 150},1h \
    --dhcp-range={TAGGED.ip + 99},{TAGGED.ip + 150},1h
echo "@@ ready $(cat /sys/class/net/{LINK}/address)"
while :; do sleep 3600; done
"""
