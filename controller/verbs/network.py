"""Networks: create, list, show, set, delete."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Annotated, Any

import msgspec
from sqlalchemy import func, select

from controller import model
from controller.database import write_meta
from controller.pools import usable_range
from controller.records import Network, Pool, sixteen
from controller.refusal import RefusedError
from controller.verbs.office import Items, Office, iso
from controller.work import Work
from protocol.ids import NETWORKS_MAX
from protocol.messages import Code
from protocol.packing import IPNetwork

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,62}\Z")
LIFE_MIN = 24 * 3600  # seconds


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str


class List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Create(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is made by the client: the same call again makes nothing new."""

    id: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    name: str
    ipv4: str = ""
    ipv6: str = ""
    desc: str = ""
    public: bool = False
    life: int = 0
    dns: tuple[str, ...] = ()
    mtu: int = 0


class Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    name: str | None = None
    desc: str | None = None
    private: bool | None = None
    life: int | None = None
    dns: tuple[str, ...] | None = None
    mtu: int | None = None


def create(office: Office, wanted: Create) -> Items:
    """Without ranges it gets a /16 and a /64 of its own."""
    for network in office.registry.networks.values():
        if network.request == wanted.id:
            return [describe(office, network)]
        if network.name == wanted.name:
            raise RefusedError(
                Code.CONFLICT,
                f"cannot create network {wanted.name}: it exists already",
                hint=f"see: ncadm network show {wanted.name}",
            )
    check_name(wanted.name)
    number = office.registry.last_number + 1  # never one that was: its certificates are about
    if number >= NETWORKS_MAX:
        raise RefusedError(Code.POOL_EXHAUSTED, "cannot create a network: no number is left")
    given = ((wanted.ipv4, 4), (wanted.ipv6, 6))
    ranges = [_range(text, version) for text, version in given if text]
    pools = [_pool(number, r) for r in ranges or default_ranges(office.registry.controller, number)]
    network = Network(
        number=number,
        name=wanted.name,
        desc=wanted.desc,
        private=not wanted.public,
        created_at=office.now_ms,
        topology="mesh",
        life=_life(wanted.life),
        dns=_dns(wanted.dns),
        mtu=_mtu(wanted.mtu),
        revision=0,
        purged=0,
        epoch=1,
        state_at=office.now_ms,
        state_revision=0,
        request=wanted.id,
    )

    def do(work: Work) -> None:
        work.put_network(network)
        write_meta(work.connection, "last network", b"%d" % number)
        for pool in pools:
            work.pools.put(pool)
        prefixes = ", ".join(pool.prefix for pool in pools)
        work.note("admin", "network.create", network.id(office.registry.controller), prefixes)

    office.change(do)
    for pool in pools:
        office.registry.book.add(pool)
    return [describe(office, network)]


def list_all(office: Office, _: List) -> Items:
    return [describe(office, network) for network in office.registry.networks.values()]


def show(office: Office, wanted: Name) -> Items:
    return [describe(office, office.network(wanted.network))]


def change(office: Office, wanted: Set) -> Items:
    network = office.network(wanted.network)
    values: dict[str, Any] = {}
    if wanted.name is not None and wanted.name != network.name:
        check_name(wanted.name)
        if any(other.name == wanted.name for other in office.registry.networks.values()):
            raise RefusedError(
                Code.CONFLICT, f"cannot rename network {network.name}: {wanted.name} exists already"
            )
        values["name"] = wanted.name
    for field in ("desc", "private"):
        if getattr(wanted, field) is not None:
            values[field] = getattr(wanted, field)
    if wanted.life is not None:
        values["life"] = _life(wanted.life)
    if wanted.dns is not None:
        values["dns"] = _dns(wanted.dns)
    if wanted.mtu is not None:
        values["mtu"] = _mtu(wanted.mtu)
    changed = msgspec.structs.replace(network, **values)

    def do(work: Work) -> None:
        work.put_network(changed)
        work.restate(network.number)  # a higher epoch: who is away asks anew
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        work.note("admin", "network.set", network.id(office.registry.controller), said)

    if changed != network:
        office.change(do)
        for session in office.sessions.watchers(network.number):
            office.desk.push.certificate(session.key, network.number, office.now_ms)
    return [describe(office, office.registry.networks[network.number])]


def delete(office: Office, wanted: Name) -> Items:
    """Only an empty one: members are forgotten first, one by one, knowingly."""
    network = office.network(wanted.network)
    members = count_members(office, network)
    if members:
        raise RefusedError(
            Code.CONFLICT,
            f"cannot delete network {network.name}: it has {members} members",
            hint=f"forget them first: ncadm member forget {network.name} MEMBER",
        )
    described = describe(office, network)

    def do(work: Work) -> None:
        for table in (model.POOL, model.TOKEN, model.ASSIGNMENT, model.FLOOR, model.MEMBER):
            work.connection.execute(table.delete().where(table.c.network == network.number))
        row = model.NETWORK.c.number == network.number
        work.connection.execute(model.NETWORK.delete().where(row))
        work.note("admin", "network.delete", network.id(office.registry.controller), network.name)

    office.change(do)
    office.registry.drop_network(network.number)
    return [described]


def describe(office: Office, network: Network) -> dict[str, Any]:
    pools = office.registry.book.pools(network.number)
    return {
        "id": network.id(office.registry.controller),
        "name": network.name,
        "desc": network.desc,
        "private": network.private,
        "topology": network.topology,
        "ranges": [pool.prefix for pool in pools],
        "members": count_members(office, network),
        "online": len(office.sessions.watchers(network.number)),
        "life": network.life // 1000,
        "dns": network.dns.split(),
        "mtu": network.mtu,
        "revision": network.revision,
        "epoch": network.epoch,
        "created": iso(network.created_at),
    }


def count_members(office: Office, network: Network) -> int:
    table = model.MEMBER
    query = select(func.count()).select_from(table)
    query = query.where(table.c.network == network.number, table.c.removed_at == 0)
    return int(office.connection.execute(query).scalar_one())


def default_ranges(controller: str, number: int) -> list[IPNetwork]:
    """10.(100…227).0.0/16 by the number, and a /64 of the /48 that the controller's id gives."""
    second = 100 + (number - 1) % 128
    base = int.from_bytes(b"\xfd" + bytes.fromhex(controller)) << 80
    return [
        IPv4Network(f"10.{second}.0.0/16"),
        IPv6Network((base | (number & 0xFFFF) << 64, 64)),
    ]


def check_name(name: str) -> None:
    if not _NAME.match(name):
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot call a network {name!r}: letters, digits and _.@+- make a name, 63 at most",
        )


def _range(text: str, version: int) -> IPNetwork:
    network, reason, hint = _read_range(text)
    if network is not None and network.version != version:
        reason, hint = f"it is IPv{network.version}", f"--ipv{network.version} {text}"
    if network is None or reason:
        raise RefusedError(Code.BAD_REQUEST, f"cannot use the range {text}: {reason}", hint=hint)
    return network


def _read_range(text: str) -> tuple[IPNetwork | None, str, str]:
    """The range, or why it is none and what to write."""
    try:
        return ip_network(text), "", ""
    except ValueError:
        pass
    try:
        around = ip_network(text, strict=False)
    except ValueError:
        return None, "it is no range of addresses", "such as 10.9.0.0/16 or fd00:9::/64"
    return None, "it is an address in a range", f"did you mean {around}?"


def _pool(number: int, network: IPNetwork) -> Pool:
    if network.is_multicast or network.is_loopback or network.prefixlen < 8:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use the range {network}: it is not one for an overlay",
            hint="such as 10.9.0.0/16 or fd00:9::/64",
        )
    try:
        first, last = usable_range(network)
    except ValueError as error:
        smallest = 30 if network.version == 4 else 126
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use the range {network}: it has no address for a member",
            hint=f"the smallest is a /{smallest}, with {1 if network.version == 4 else 2}",
        ) from error
    return Pool(number, str(network), network.version, sixteen(first), sixteen(last))


def _life(seconds: int) -> int:
    if seconds and seconds < LIFE_MIN:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot use a life of {seconds} s: a day is the least, 0 is no end"
        )
    return seconds * 1000


def _dns(servers: tuple[str, ...]) -> str:
    try:
        return " ".join(str(ip_address(server)) for server in servers)
    except ValueError as error:
        raise RefusedError(Code.BAD_REQUEST, f"cannot use this DNS server: {error}") from error


def _mtu(mtu: int) -> int:
    if mtu and not 1280 <= mtu <= 9000:
        raise RefusedError(Code.BAD_REQUEST, f"cannot use MTU {mtu}: 1280 to 9000, or 0 to choose")
    return mtu
