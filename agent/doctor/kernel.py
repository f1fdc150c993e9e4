"""What the kernel can do of what zosnet asks of it, found out by doing it in a throw-away namespace.

    findings = examine()

Each trial is independent of the others. Modules that the kernel loads for one stay loaded.
"""

import asyncio
import fcntl
import os
import socket
import struct
import subprocess
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Interface, IPv6Network

from msgspec import Struct

from agent.doctor.finding import Finding, ok, refused, unknown
from agent.ndmz.guard import Guard, Port, render
from agent.ndmz.plan import INSIDE4
from netns.netlink import Netlink
from netns.nft import Nft
from netns.spaces import HOST, Spaces, in_nameless_space
from netns.sysctl import read_sysctl
from netns.values import IPAddress
from netns.wireguard.userspace import PROGRAM, TUN
from runtime.cli import require_tool
from runtime.failure import CannotError, Exit

ROLE = "doctor"
_ULA = IPv6Network("fd00::/64")
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x1, 0x1000
_FLOWS = "net/netfilter/nf_conntrack_max"


class Place(Struct, frozen=True):
    """The throw-away namespace, as HOST of `spaces`."""

    spaces: Spaces
    netlink: Netlink


class Trial(Struct, frozen=True):
    """`attempt` returns what to say of it, or raises CannotError or OSError."""

    about: str
    attempt: Callable[[Place], Awaitable[str]]
    todo: str


def examine() -> list[Finding]:
    try:
        return in_nameless_space(lambda: asyncio.run(_try_all()))
    except CannotError as error:
        first = refused("namespaces", error, "a kernel with CONFIG_NET_NS, and the right to use it")
        return [first, *(unknown(t.about, "not tried: it takes a namespace") for t in TRIALS)]


async def _try_all() -> list[Finding]:
    spaces = Spaces()
    try:
        netlink = await Netlink.open(spaces)
        try:
            place = Place(spaces, netlink)
            tried = [await _try(trial, place) for trial in TRIALS]
        finally:
            await netlink.close()
    finally:
        spaces.close()
    return [ok("namespaces", "one was made and entered"), *tried]


async def _try(trial: Trial, place: Place) -> Finding:
    try:
        return ok(trial.about, await trial.attempt(place))
    except (CannotError, OSError) as error:
        return refused(trial.about, error, trial.todo)


async def _veth(place: Place) -> str:
    await place.netlink.add_veth("veth0", role=ROLE, peer="veth1")
    return "a pair was made"


async def _bridge(place: Place) -> str:
    bridge = await place.netlink.add_bridge("bridge0", role=ROLE)
    port = await place.netlink.add_veth("port0", role=ROLE, peer="port1")
    await place.netlink.set_link(port.index, master=bridge.index)
    await place.netlink.set_link(port.index, isolated=True)
    return "one was made, with a port that is isolated"


async def _ipv6(place: Place) -> str:
    link = await place.netlink.add_veth("six0", role=ROLE, peer="six1")
    await place.netlink.replace_address(link.index, IPv6Interface("fd00::1/64"))
    return "a link took an address"


async def _packets(place: Place) -> str:
    (await place.spaces.run(HOST, socket.socket, socket.AF_PACKET, socket.SOCK_DGRAM, 0)).close()
    return "a socket was opened"


async def _tables(place: Place) -> str:
    await _load(place, "add table inet trial")
    return "a table was made"


async def _nat(place: Place) -> str:
    chain = "type nat hook postrouting priority 100 ;"
    mask = "meta l4proto { tcp, udp } masquerade to :1024-49151 fully-random"
    await _load(place, f"table inet nat {{ chain masks {{ {chain} {mask} ; }} ; }}")
    return "a masquerade was loaded"


async def _conntrack(place: Place) -> str:
    chain = "type filter hook forward priority 0 ;"
    await _load(
        place, f"table inet flows {{ chain through {{ {chain} ct state established ; }} ; }}"
    )
    most = await read_sysctl(place.spaces, HOST, _FLOWS)
    return f"{most} flows at most" if most else "flows are tracked"


async def _guard(place: Place) -> str:
    """Every rule of ndmz's guard, with something in every set."""
    six = _ULA[2]
    port = Port("w-trial", "02:00:00:00:00:02", INSIDE4[2], six, six)
    gateways: frozenset[IPAddress] = frozenset({IPv4Address("192.0.2.1"), _ULA[1]})
    await _load(place, render(Guard(INSIDE4, _ULA, gateways, ports=frozenset({port}))))
    return "all rules of ndmz were loaded"


async def _load(place: Place, text: str) -> None:
    nft = await Nft.open(place.spaces, HOST)
    try:
        await nft.run(text)
    finally:
        await nft.close()


async def _tun(place: Place) -> str:
    await place.spaces.run(HOST, _make_tun)
    return f"{TUN} made one"


def _make_tun() -> None:
    tun = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", b"tun0", _IFF_TUN | _IFF_NO_PI))
    finally:
        os.close(tun)


async def _wireguard(place: Place) -> str:
    try:
        await place.netlink.add_link("wireguard0", "wireguard", role=ROLE)
    except CannotError:
        return await asyncio.to_thread(_wireguard_program)
    return "the kernel has it"


def _wireguard_program() -> str:
    program = require_tool(PROGRAM, package=PROGRAM, what="make a WireGuard device")
    try:
        ran = subprocess.run([program, "--version"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotError(f"cannot run {program}: {error}", code=Exit.USAGE) from error
    if ran.returncode:
        raise CannotError(f"cannot run {program}: exit code {ran.returncode}", code=Exit.USAGE)
    return f"by {program}, as the kernel has none"


TRIALS = (
    Trial("veth pairs", _veth, "modprobe veth (CONFIG_VETH)"),
    Trial("bridges", _bridge, "modprobe bridge (CONFIG_BRIDGE); port isolation takes Linux 4.18"),
    Trial("IPv6", _ipv6, "boot without ipv6.disable=1 (CONFIG_IPV6)"),
    Trial("packet sockets", _packets, "modprobe af_packet (CONFIG_PACKET)"),
    Trial("nftables", _tables, "modprobe nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)"),
    Trial("NAT", _nat, "modprobe nft_masq nft_chain_nat (CONFIG_NFT_MASQ, CONFIG_NFT_NAT)"),
    Trial("conntrack", _conntrack, "modprobe nft_ct (CONFIG_NFT_CT, CONFIG_NF_CONNTRACK)"),
    Trial("guard", _guard, "a kernel with all of nftables: CONFIG_NFT_*, CONFIG_NF_TABLES_BRIDGE"),
    Trial("tun devices", _tun, "modprobe tun (CONFIG_TUN); in a container: pass the device in"),
    Trial("WireGuard", _wireguard, "modprobe wireguard, or apt-get install wireguard-go"),
)
