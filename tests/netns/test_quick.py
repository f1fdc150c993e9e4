"""What makes the package quick: nothing is forked, nothing is read twice."""

import sys
from ipaddress import IPv4Interface

import pytest

from netns.monitor import Monitor
from netns.nft import Nft
from netns.packet import ETH_P_IP, close_packet_socket, open_packet_socket
from netns.sysctl import set_sysctls
from tests.netns.look import opened_netlink, opened_spaces, shell

FORKS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}


@pytest.mark.lab
async def test_no_program_is_forked_for_anything_but_children() -> None:
    forked: list[str] = []
    sys.addaudithook(lambda event, _: forked.append(event) if event in FORKS else None)
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        monitor = await Monitor.open(spaces, "a")
        async with opened_netlink(spaces) as here, opened_netlink(spaces, "a") as there:
            bridge = await here.add_bridge("br", role="bridge")
            port = await here.add_veth("p", role="port", peer="eth0", peer_space="a")
            await here.set_link(port.index, master=bridge.index, up=True, isolated=True)
            (far,) = [link for link in await there.links() if link.name == "eth0"]
            await there.set_link(far.index, up=True)
            await there.replace_address(far.index, IPv4Interface("10.0.0.1/24"))
            await there.routes()
        await set_sysctls(spaces, "a", {"net/ipv4/ip_forward": "1"})
        rules = await Nft.open(spaces, "a")
        await rules.run("add table inet zosnet_t")
        await rules.close()
        await close_packet_socket(await open_packet_socket(spaces, "a", "eth0", ETH_P_IP))
        monitor.close()
        await spaces.delete("a")
    quiet = list(forked)
    shell("true")

    assert quiet == []
    assert forked  # the control: the hook hears a fork
