"""What the scenarios of bonds and VLANs are made of: a node that boots and tells how it fares, and
a machine at the other end of its cables, since the lab's kernel has neither.

    end = Machine(world, image, "end", {"/scenario": other_end("trunk")}, "c0", "c1")
    node = Machine(world, image, "n", {"/scenario": BOOT + TELL}, "c0", "c1", words="…")

    @@ nics eth0.12 eth1.12                           what it looked at
    @@ internet 0                                     how it ended
    @@ zos eth1 192.168.7.123/24 answered             port, address and gateway of zos, again and again
    @@ bond eth1 eth0+eth1                            of a bond: the active NIC, those with a carrier
    @@ lacp 2 52:54:00:12:34:56                       how many NICs carry it together, and with whom
"""

from ipaddress import IPv4Interface

SLOW = 400  # seconds; a quiet machine takes less than a tenth of it
TAG = 12
UNTAGGED, TAGGED = IPv4Interface("10.77.0.1/24"), IPv4Interface("10.12.0.1/24")
TRUNK = "trunk"  # of the other end: what the untagged part comes by

BOOT = """
zosnet-agent internet --supervisor none
code=$?
echo "@@ nics" $(awk -F'"' '$2 == "name" {print $4}' /run/zosnet/internet.json)
echo "@@ internet $code"
"""
_TELL = """
tell() {
    if [ -e /proc/net/bonding/zbond ]; then
        awk '/^Currently Active Slave/ {active = $4}
            /^Slave Interface/ {nic = $3}
            nic && /^MII Status: up/ {up = up (up ? "+" : "") nic}
            /Number of ports/ {ports = $4}
            /Partner Mac Address/ {partner = $4}
            END {print "@@ bond", active, up; print "@@ lacp", ports, partner}' /proc/net/bonding/zbond
    fi
    port=$(ls /sys/class/net/zos/brif)
    address=$(ip -4 -o addr show dev zos | awk '{print $4}')
    gateway=$(ip -4 route show default | awk '{print $3}')
    if ping -c1 -W1 "$gateway" >/dev/null; then answer=answered; else answer=silent; fi
    echo "@@ zos $port $address $answer"
    sleep 0.2
    [ $answer = answered ]
}
"""
TELL = f"{_TELL}\nwhile :; do tell; done\n"
UNTIL_ANSWERED = f"{_TELL}\nuntil tell; do :; done\n"


def other_end(*, bonded: bool) -> str:
    """A machine's /scenario: DHCP on what is not tagged, and other DHCP on VLAN TAG."""
    return f"""
set -e
modprobe bonding max_bonds=0
modprobe 8021q
if {"true" if bonded else "false"}; then
    ip link add {TRUNK} type bond mode 802.3ad miimon 100 lacp_rate fast
    ip link set eth0 master {TRUNK}
    ip link set eth1 master {TRUNK}
else
    ip link set eth0 name {TRUNK}
fi
ip link add link {TRUNK} name tagged type vlan id {TAG}
ip addr add {UNTAGGED} dev {TRUNK}
ip addr add {TAGGED} dev tagged
ip link set {TRUNK} up
ip link set tagged up
dnsmasq --conf-file=/dev/null --no-resolv --user=root --group=root --no-ping --dhcp-authoritative \
    --dhcp-leasefile=/run/dnsmasq.leases --bind-interfaces --except-interface=lo --interface={TRUNK} --interface=tagged \
    --dhcp-range={UNTAGGED.ip + 99},{UNTAGGED.ip + 150},1h \
    --dhcp-range={TAGGED.ip + 99},{TAGGED.ip + 150},1h
echo "@@ ready $(cat /sys/class/net/{TRUNK}/address)"
while :; do sleep 3600; done
"""


def answered(said: str) -> bool:
    """Of mark `zos`."""
    return said.endswith(" answered")
