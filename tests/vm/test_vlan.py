"""B9. A site whose network is tagged: its VLAN is the uplink, and what is not tagged is left alone."""

from ipaddress import IPv4Interface

import pytest

from lab.world import World
from tests.vm.image import Image
from tests.vm.machine import Machine
from tests.vm.site import BOOT, SLOW, TAG, TAGGED, UNTIL_ANSWERED, other_end

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

# Killed while the VLANs are in probe namespaces; then to the end; then as if it had never been.
SCENARIO = f"""
zosnet-agent internet --supervisor none &
until grep -qs '"step": "probe"' /run/zosnet/internet.json; do sleep 0.1; done
kill -9 $!
echo "@@ killed" $(ip -n znp-4 -br link show type vlan) $(ip -n znp-5 -br link show type vlan)
{BOOT}
{UNTIL_ANSWERED}
zosnet-agent reset --yes
echo "@@ reset $? "$(ls /sys/class/net)
echo "@@ as-before" $(cat /sys/class/net/eth*/flags /proc/sys/net/ipv6/conf/eth*/disable_ipv6)
poweroff -f
"""


def test_a_tagged_uplink_survives_a_kill_and_leaves_nothing(world: World, image: Image) -> None:
    """eth1 leads to a LAN where nobody answers, and the other end's untagged part would answer."""
    end = Machine(world, image, "end", {"/scenario": other_end(bonded=False)}, "cable")
    node = Machine(
        world, image, "n", {"/scenario": SCENARIO}, "cable", "quiet", words=f"vlan:priv={TAG}"
    )
    end.start()
    node.start()
    node.await_mark("as-before", SLOW)
    said = node.marks()

    assert said["killed"].count(".12@") == 2
    assert (said["nics"], said["internet"]) == ("eth0.12 eth1.12", "0")
    port, address, _ = said["zos"].split()
    assert port == "eth0.12"
    assert IPv4Interface(address).network == TAGGED.network
    assert said["reset"] == "0 eth0 eth1 lo"
    assert said["as-before"] == "0x1002 0x1002 0 0"  # down, and with IPv6 to come
