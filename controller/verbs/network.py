"""Networks: create, list, show, set, give."""

import fnmatch
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from sqlalchemy import func, select

from controller.addresses.computed import computed_ranges
from controller.addresses.ranges import (
    check_apart,
    check_beside,
    default_ranges,
    pool_of,
    range_of,
)
from controller.config import NetworkConfig
from controller.members.renumber import addressing, refuse, settle
from controller.refusal import RefusedError
from controller.settings import Wanted, check_name, check_owner, check_whole, columns_of
from controller.store import model
from controller.store.loading import write_sealed
from controller.store.records import Network, Pool
from controller.store.work import Work
from controller.verbs.office import Items, Office, iso
from controller.verbs.paging import Paged, Told, page, position
from controller.verbs.routes import put_routes, routes_of, set_routes
from protocol.ids import NETWORKS_MAX
from protocol.messages import Code
from protocol.packing import IPNetwork

Ranges = str | tuple[str, ...]  # one, or several


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str


class List(Paged, frozen=True, forbid_unknown_fields=True):
    """`name` with * and ?."""

    name: Annotated[str, msgspec.Meta(max_length=256)] = ""


class Create(Wanted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`id` is made by the client: the same call again makes nothing new."""

    id: Annotated[str, msgspec.Meta(min_length=8, max_length=128)]
    name: str
    ipv4: Ranges = ""
    ipv6: Ranges = ""
    owner: str = ""


class Set(Wanted, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`routes`: "prefix via member" each, and these only. `renumber`: members whose addresses do
    not fit any more get others.
    """

    network: str
    name: str | None = None
    routes: tuple[str, ...] | None = None
    renumber: bool = False


class Give(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str
    owner: str


def create(office: Office, wanted: Create) -> Items:
    """Without ranges it gets a /16 and a /64 of its own."""
    return [describe(office, make(office, wanted))]


def make(office: Office, wanted: Create, *, infrastructure: bool = False) -> Network:
    for network in office.registry.networks.values():
        if network.request == wanted.id:
            return network
        if network.name == wanted.name:
            raise RefusedError(
                Code.CONFLICT,
                f"cannot create network {wanted.name}: it exists already",
                hint=f"see: ncadm network show {wanted.name}",
            )
    check_name(wanted.name)
    number = next_number(office)
    ranges = ranges_of(wanted) or default_ranges(office.registry.controller, number)
    pools = [pool_of(number, one) for one in ranges]
    network = _new_network(wanted, number, office.now_ms, infrastructure=infrastructure)
    check_whole(network, ranges)

    def do(work: Work) -> None:
        add_network(work, network, pools)
        last = b"%d" % number
        write_sealed(work.connection, "last network", last, work.seals.sums)
        prefixes = ", ".join(pool.prefix for pool in pools)
        work.note(office.actor, "network.create", network.id(office.registry.controller), prefixes)

    office.change(do)
    office.registry.last_number = number
    for pool in pools:
        office.registry.book.add(pool)
    return office.registry.networks[number]


def list_all(office: Office, wanted: List) -> Told:
    """In the order of their numbers."""
    behind = position(wanted)
    pattern = re.compile(fnmatch.translate(wanted.name or "*"), re.IGNORECASE)
    networks = office.registry.networks
    numbers = sorted(n for n in networks if n > behind and pattern.match(networks[n].name))
    rows = [networks[n] for n in numbers[: wanted.limit + 1]]
    counts = count_members(office, [network.number for network in rows])
    return page(
        rows,
        wanted.limit,
        lambda network: describe(office, network, counts),
        cursor=lambda network: str(network.number),
    )


def show(office: Office, wanted: Name) -> Items:
    return [describe(office, office.network(wanted.network))]


def change(office: Office, wanted: Set) -> Items:
    network = office.network(wanted.network)
    values = columns_of(wanted)
    if wanted.name is not None and wanted.name != network.name:
        check_name(wanted.name)
        if any(other.name == wanted.name for other in office.registry.networks.values()):
            raise RefusedError(
                Code.CONFLICT, f"cannot rename network {network.name}: {wanted.name} exists already"
            )
        if network.infrastructure:
            raise RefusedError(
                Code.DENIED,
                f"cannot rename network {network.name}: it is infrastructure",
                hint="controller.yaml names it",
            )
        values["name"] = wanted.name
    changed = msgspec.structs.replace(network, **values)
    check_whole(changed, [pool.range for pool in office.registry.book.pools(network.number)])
    _check_mesh(office, network, changed)
    if wanted.routes is not None:
        values["routes"] = ", ".join(wanted.routes)
    if changed != network or wanted.routes is not None:
        store(
            office, changed, "network.set", values, routes=wanted.routes, renumber=wanted.renumber
        )
    return [describe(office, office.registry.networks[network.number])]


def give(office: Office, wanted: Give) -> Items:
    """To another owner: the one way by which a network's owner changes."""
    network = office.network(wanted.network)
    owner = check_owner(wanted.owner)
    if owner != network.owner:
        changed = msgspec.structs.replace(network, owner=owner)
        store(office, changed, "network.give", {"owner": owner})
    return [describe(office, office.registry.networks[network.number])]


def describe(
    office: Office, network: Network, counts: dict[int, int] | None = None
) -> dict[str, Any]:
    """`counts`: the members of each network, when they were counted already."""
    pools = office.registry.book.pools(network.number)
    counted = count_members(office, [network.number]) if counts is None else counts
    return {
        "id": network.id(office.registry.controller),
        "name": network.name,
        "desc": network.desc,
        "owner": network.owner,
        "private": network.private,
        "infrastructure": network.infrastructure,
        "topology": network.topology,
        "mesh_max": network.mesh_max,
        "ranges": [pool.prefix for pool in pools],
        "member_prefix": network.member_prefix,
        "v4_assign": network.v4_assign,
        "v6_assign": network.v6_assign,
        "rfc4193": network.rfc4193,
        "sixplane": network.sixplane,
        "members": counted.get(network.number, 0),
        "online": len(office.sessions.watchers(network.number)),
        "life": network.life // 1000,
        "reclaim_after": network.reclaim_after // 1000,
        "dns": network.dns.split(),
        "routes": [str(route) for route in routes_of(network)],
        "mtu": network.mtu,
        "ether_types": network.ether_types,
        "enable_broadcast": network.enable_broadcast,
        "revision": network.revision,
        "epoch": network.epoch,
        "created": iso(network.created_at),
        "notes": network.notes,
        "ui": network.ui,
    }


def count_members(office: Office, numbers: list[int]) -> dict[int, int]:
    """Those that have not been forgotten, of each of these networks that has any."""
    table = model.MEMBER
    query = (
        select(table.c.network, func.count())
        .where(table.c.network.in_(numbers), table.c.removed_at == 0)
        .group_by(table.c.network)
    )
    return {row[0]: row[1] for row in office.connection.execute(query)}


def next_number(office: Office) -> int:
    """A number that no network ever had: certificates of a deleted one may be about.

    Raises RefusedError.
    """
    number = office.registry.last_number + 1
    while office.registry.is_taken(number):  # imported
        number += 1
    if number >= NETWORKS_MAX:
        raise RefusedError(
            Code.POOL_EXHAUSTED,
            f"cannot create a network: all {NETWORKS_MAX - 1} numbers of this controller are used",
            hint="numbers of deleted networks are not lent again; make another controller",
        )
    return number


def add_network(work: Work, network: Network, pools: list[Pool]) -> None:
    work.put_network(network)
    for pool in pools:
        work.pools.put(pool)


def _new_network(wanted: Create, number: int, now_ms: int, *, infrastructure: bool) -> Network:
    columns: dict[str, Any] = {
        "desc": "",
        "private": True,
        "topology": "mesh",
        "life": 0,
        "dns": "",
        "mtu": 0,
    }
    return Network(
        number=number,
        name=wanted.name,
        created_at=now_ms,
        revision=0,
        purged=0,
        epoch=1,
        state_at=now_ms,
        state_revision=0,
        request=wanted.id,
        owner=check_owner(wanted.owner),
        infrastructure=infrastructure,
        **(columns | columns_of(wanted)),
    )


def ranges_of(wanted: Create | NetworkConfig) -> list[IPNetwork]:
    """Raises RefusedError."""
    ranges: list[IPNetwork] = []
    for given, version in ((wanted.ipv4, 4), (wanted.ipv6, 6)):
        texts = (given,) if isinstance(given, str) else given
        ranges += [range_of(text, version) for text in texts if text]
    check_apart(ranges)
    return ranges


def store(
    office: Office,
    changed: Network,
    action: str,
    values: dict[str, Any],
    *,
    routes: Sequence[str] | None = None,
    renumber: bool = False,
) -> None:
    """Write it, with a higher epoch, so that who is away asks anew; tell who is there."""

    def do(work: Work) -> None:
        _settle(office, work, changed, renumber=renumber)
        work.put_network(changed)
        if routes is not None:
            put_routes(office, work, changed, set_routes(office, work, changed, routes))
        work.restate(changed.number)
        said = ", ".join(f"{name}={value}" for name, value in values.items())
        work.note(office.actor, action, changed.id(office.registry.controller), said)

    office.change(do)
    office.tell_settings(changed.number)


def _settle(office: Office, work: Work, changed: Network, *, renumber: bool) -> None:
    """When other rules for addresses are to hold: for everybody. Raises RefusedError."""
    registry = office.registry
    if addressing(changed) == addressing(registry.networks[changed.number]):
        return
    pools = registry.book.pools(changed.number)
    for pool in pools:
        check_beside(pool, (), computed_ranges(changed, changed.id(registry.controller)))
    stranded = settle(registry, work, changed, pools, actor=office.actor, move=renumber)
    if stranded and not renumber:
        raise refuse(work, f"change network {changed.name} so", stranded, force=False)


def _check_mesh(office: Office, network: Network, changed: Network) -> None:
    """A mesh that is too large already is none. Raises RefusedError."""
    if changed.topology != "mesh" or (changed.topology, changed.mesh_max) == (
        network.topology,
        network.mesh_max,
    ):
        return
    members = count_members(office, [network.number]).get(network.number, 0)
    if members > changed.mesh_max:
        raise RefusedError(
            Code.CONFLICT,
            f"cannot make {network.name} a mesh of at most {changed.mesh_max}:"
            f" it has {members} members",
            hint="a hub has no such limit: --topology hub; or raise --mesh-max",
        )
