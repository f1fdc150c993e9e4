"""Workload namespaces behind ndmz: who has which place, and their resolv.conf.

Numbers are kept in STATE, so that a workload has its addresses again after a reboot; which
workloads are attached is kept in RUN, so that a restarted networkd goes on letting them through.
"""

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv6Network
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from agent.identity import Identity
from agent.ndmz.cable import Cable
from agent.ndmz.plan import BRIDGE, GATEWAY6, INSIDE4_GATEWAY, SPACE
from agent.ndmz.policy import render_resolv_conf
from agent.ndmz.workload import Attachment, choose_number, place_of, port_name
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
    subnets: dict[str, str] = {}  # of the delegated prefix, by name


_File = TypeVar("_File", _Numbers, _Attached)


def _load(path: Path, kind: type[_File]) -> _File:
    """A damaged file costs stable addresses, not the network."""
    try:
        return files.load(path, kind) or kind()
    except files.DamagedFileError as error:
        log.warning("file not used", extra={"path": path, "reason": error})
        return kind()


class Workloads:
    """Who is attached, and where."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._ula = next(identity.ula.subnets(new_prefix=64))
        self._numbers = _load(NUMBERS, _Numbers).numbers
        self._attached: dict[str, Attachment] = {}
        self._ports: dict[str, str] = {}  # of whom a port's name is
        attached = _load(ATTACHED, _Attached)
        self.add(attached.names)
        with suppress(ValueError):  # damaged: they are handed out again
            self.hand({name: IPv6Network(text) for name, text in attached.subnets.items()})

    def __iter__(self) -> Iterator[Attachment]:
        return iter(tuple(self._attached.values()))

    def get(self, name: str) -> Attachment | None:
        return self._attached.get(name)

    def _place(self, name: str) -> Attachment | CannotError:
        """Where `name` belongs; the same for ever once asked."""
        other = self._ports.setdefault(port_name(name), name)
        if other != name:
            return CannotError(
                f"cannot attach {name}: its port has the name of {other}'s",
                hint="name the workload otherwise",
                code=Exit.CONFLICT,
            )
        if name not in self._numbers:
            taken = set(self._numbers.values())
            try:
                self._numbers[name] = choose_number(self._identity.origin, name, taken)
            except CannotError as error:
                return error
        mac = self._identity.mac(f"workload {name}")
        return place_of(self._numbers[name], name, self._ula, mac)

    def add(self, names: Iterable[str]) -> dict[str, Attachment | CannotError]:
        """Where each of them is attached from now on, or why it cannot be."""
        numbered = len(self._numbers)
        places = {name: self._attached.get(name) or self._place(name) for name in names}
        if len(self._numbers) != numbered:
            self._store_numbers()
        new = {n: p for n, p in places.items() if isinstance(p, Attachment)}
        if new.keys() - self._attached.keys():
            self._attached |= new
            self._store()
        return places

    def hand(self, subnets: Mapping[str, IPv6Network]) -> bool:
        """To each that is named its part of the delegated prefix, to all others none; whether that is
        something else than before.
        """
        new = {n: replace(p, subnet=subnets.get(n)) for n, p in self._attached.items()}
        changed = new != self._attached
        if changed:
            self._attached = new
            self._store()
        return changed

    def remove(self, names: Collection[str], *, forget: bool = False) -> None:
        """With `forget` their addresses are others' too."""
        gone = [place for name in names if (place := self._attached.pop(name, None))]
        for place in gone:
            self._ports.pop(place.port, None)
            remove_resolver(place.name)
        if gone:
            self._store()
        if forget and [name for name in names if self._numbers.pop(name, None)]:
            self._store_numbers()

    def _store_numbers(self) -> None:
        files.store(NUMBERS, _Numbers(self._numbers))

    def _store(self) -> None:
        subnets = {n: str(p.subnet) for n, p in self._attached.items() if p.subnet}
        files.store(ATTACHED, _Attached(list(self._attached), subnets), durable=False)


def no_space(name: str) -> CannotError:
    return CannotError(f"cannot attach {name}: there is no such namespace", code=Exit.NOT_FOUND)


def cable_of(place: Attachment, mtu: int) -> Cable:
    """From br-ndmz to the workload: isolated, as no workload may speak to another."""
    return Cable(
        space=SPACE,
        bridge=BRIDGE,
        port=place.port,
        isolated=True,
        workload=place.name,
        link=place.link,
        mac=place.mac,
        interfaces=(place.ip4, place.ip6),
        gateways=_GATEWAYS,
        mtu=mtu,
    )


def write_resolver(name: str, text: str) -> bool:
    """/etc/netns/NAME/resolv.conf; False when somebody else wrote one there.

    Overwritten in place: a file that is replaced stays old for a program that has it mounted, as
    all have that `ip netns exec` started.
    """
    path, data = f"{RESOLVERS}/{name}/resolv.conf", text.encode()
    old = _read(path)
    if old == data:
        return True
    if old and not old.startswith(_HEADER.encode()):
        return False
    Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.truncate()
    return True


def keep_resolver(name: str, text: str) -> str:
    """The same; what people are told when it cannot be."""
    try:
        ours = write_resolver(name, text)
    except OSError as error:
        return f"cannot write {error.filename}: {error.strerror}"
    return "" if ours else f"resolv.conf of {name} is not ours, left as it is"


def _read(path: str) -> bytes:
    """Each few seconds for each workload: pathlib would be half of what a look costs."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)


def remove_resolver(name: str) -> None:
    path = RESOLVERS / name / "resolv.conf"
    if path.exists() and path.read_bytes().startswith(_HEADER.encode()):
        path.unlink()
        with suppress(OSError):  # something else of the namespace is kept there
            path.parent.rmdir()
