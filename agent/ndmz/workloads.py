"""Workload namespaces behind ndmz: a veth to an isolated port, addresses, routes, resolv.conf.

Numbers are kept in STATE, so that a workload has its addresses again after a reboot; which
workloads are attached is kept in RUN, so that a restarted networkd goes on letting them through.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.identity import Identity
from agent.ndmz import settings
from agent.ndmz.apply import Hands
from agent.ndmz.apply import apply as apply_step
from agent.ndmz.plan import BRIDGE, GATEWAY6, INSIDE4_GATEWAY, SPACE, DeleteLink, SetPort
from agent.ndmz.policy import render_resolv_conf
from agent.ndmz.workload import Attachment, choose_number, place_of, port_name
from netns.netlink import Netlink
from netns.sysctl import set_sysctls
from netns.values import IPAddress, Link
from runtime import files, paths
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

NUMBERS = paths.STATE / "ndmz-numbers.json"
ATTACHED = paths.RUN / "ndmz-attached.json"
RESOLVERS = Path("/etc/netns")
_HEADER = render_resolv_conf(()).splitlines()[0]
_GATEWAYS = (INSIDE4_GATEWAY.ip, GATEWAY6.ip)


class _Numbers(msgspec.Struct):
    numbers: dict[str, int] = {}


class _Attached(msgspec.Struct):
    names: list[str] = []


_File = TypeVar("_File", _Numbers, _Attached)


def _load(path: Path, kind: type[_File]) -> _File:
    """A damaged file costs stable addresses, not the network."""
    try:
        return files.load(path, kind) or kind()
    except files.DamagedFileError as error:
        log.warning("file not used", extra={"path": path, "reason": error})
        return kind()


class Workloads:
    """Who is attached, and the work on their side of the cable."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._ula = next(identity.ula.subnets(new_prefix=64))
        self._numbers = _load(NUMBERS, _Numbers).numbers
        names = _load(ATTACHED, _Attached).names
        self._attached = {name: self.place(name) for name in names}

    def __iter__(self) -> Iterator[Attachment]:
        return iter(tuple(self._attached.values()))

    def get(self, name: str) -> Attachment | None:
        return self._attached.get(name)

    def place(self, name: str) -> Attachment:
        """Where `name` belongs; the same for ever once asked."""
        if name not in self._numbers:
            number = choose_number(self._identity.public, name, set(self._numbers.values()))
            self._numbers[name] = number
            files.store(NUMBERS, _Numbers(self._numbers))
        mac = self._identity.mac(f"workload {name}")
        return place_of(self._numbers[name], name, self._ula, mac)

    def add(self, name: str) -> Attachment:
        taken = {place.port: place.name for place in self._attached.values()}
        if taken.get(port_name(name), name) != name:
            raise CannotError(
                f"cannot attach {name}: its port has the name of {taken[port_name(name)]}'s",
                hint="name the workload otherwise",
                code=Exit.CONFLICT,
            )
        self._attached[name] = self.place(name)
        self._store()
        return self._attached[name]

    def remove(self, name: str) -> None:
        if self._attached.pop(name, None):
            self._store()

    def _store(self) -> None:
        files.store(ATTACHED, _Attached(list(self._attached)), durable=False)


async def plug(hands: Hands, place: Attachment) -> None:
    """Make the cable of `place`, or repair it. Its port must stand in the guard already."""
    port = await hands.ndmz.link(place.port)
    workload = await Netlink.open(hands.spaces, place.name)
    try:
        end = await workload.link(place.link)
        if port is not None and not _is_ours(port, place.port):
            raise _foreign(place, SPACE, place.port)
        if end is not None and not _is_ours(end, "uplink"):
            raise _foreign(place, place.name, place.link)
        if port is None or end is None or port.half_made or end.half_made:
            await _make_cable(hands, workload, place)
        bridge = await hands.ndmz.link(BRIDGE)
        if port is None or not _is_plugged(port, bridge):
            await apply_step(hands, SetPort(SPACE, place.port, BRIDGE, isolated=True))
        await _configure(workload, place)
    finally:
        await workload.close()


async def _make_cable(hands: Hands, workload: Netlink, place: Attachment) -> None:
    """New from the start: what is left of an old one goes first."""
    await apply_step(hands, DeleteLink(SPACE, place.port))
    if end := await workload.link(place.link):
        await workload.delete_link(end.index)
    await hands.ndmz.add_veth(
        place.port,
        role=place.port,
        peer=place.link,
        peer_space=place.name,
        peer_role="uplink",
        peer_mac=place.mac,
    )
    await set_sysctls(hands.spaces, SPACE, settings.port(place.port), skip_missing=True)
    await set_sysctls(hands.spaces, place.name, settings.workload(place.link), skip_missing=True)


async def _configure(workload: Netlink, place: Attachment) -> None:
    end = await workload.link(place.link)
    if end is None:
        raise CannotError(f"cannot attach {place.name}: its link {place.link} is gone")
    if end.mac != place.mac:
        await workload.set_link(end.index, mac=place.mac)
    held = {address.interface for address in await workload.addresses(end.index)}
    for interface in (place.ip4, place.ip6):
        if interface not in held:
            await workload.replace_address(end.index, interface, nodad=True)
    if not end.up:
        await workload.set_link(end.index, up=True)
    defaults = {route.via for route in await workload.routes() if route.destination is None}
    for gateway in _GATEWAYS:
        if gateway not in defaults:
            await workload.replace_route(None, link=end.index, via=gateway)


async def unplug(hands: Hands, name: str) -> None:
    """Both ends of the cable go; the workload's namespace is its owner's."""
    port = await hands.ndmz.link(port_name(name))
    if port is not None and _is_ours(port, port.name):
        await hands.ndmz.delete_link(port.index)


def write_resolver(name: str, servers: Iterable[IPAddress]) -> bool:
    """/etc/netns/NAME/resolv.conf; False when somebody else wrote one there.

    Overwritten in place: a file that is replaced stays old for a program that has it mounted, as
    all have that `ip netns exec` started.
    """
    path = RESOLVERS / name / "resolv.conf"
    data = render_resolv_conf(servers).encode()
    old = path.read_bytes() if path.exists() else b""
    if old == data:
        return True
    if old and not old.startswith(_HEADER.encode()):
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.truncate()
    return True


def remove_resolver(name: str) -> None:
    path = RESOLVERS / name / "resolv.conf"
    if path.exists() and path.read_bytes().startswith(_HEADER.encode()):
        path.unlink()
        with suppress(OSError):  # something else of the namespace is kept there
            path.parent.rmdir()


def _is_ours(link: Link, role: str) -> bool:
    return link.role == role or link.half_made


def _is_plugged(port: Link, bridge: Link | None) -> bool:
    return port.up and port.isolated and bridge is not None and port.master == bridge.index


def _foreign(place: Attachment, space: str, link: str) -> CannotError:
    return CannotError(
        f"cannot attach {place.name}: a link {link} exists in namespace {space} and is not ours",
        hint=f"look with: ip -n {space} link show {link}; remove it with: ip -n {space} link delete {link}",
        code=Exit.CONFLICT,
    )
