"""Routes of a network: prefixes beside its ranges that lie behind a member.

`10.50.0.0/24 via n1` gives the prefix to n1: its certificate lists it, so its peers send it there and
believe n1 as its source; the network's settings list it, so that every member has the route. On n1 it
is a prefix of its own: workloads of n1 live in it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import msgspec
from sqlalchemy import select

from controller.addresses.ranges import check_overlay, range_of
from controller.members.certificate import certified
from controller.members.publish import reissue_hubs
from controller.members.routed import holder_of
from controller.refusal import RefusedError
from controller.store.model import MEMBER, PREFIX_POOL
from controller.store.records import Member, Network, Node, sixteen
from controller.store.work import Work
from controller.verbs.office import Office
from protocol.messages import Code
from protocol.packing import IPAddress, IPNetwork

ROUTES_MAX = 32  # a hub's certificate lists them beside the ranges, 64 in all
PREFIXES_MAX = 60  # a certificate has 64, some of them for what follows from addresses
_ROUTE = re.compile(r"\s*(\S+)\s+via\s+(\S+)\s*\Z")


@dataclass(frozen=True, slots=True)
class Route:
    prefix: IPNetwork
    via: int  # the node

    def __str__(self) -> str:
        return f"{self.prefix} via {self.via:010x}"


def routes_of(network: Network) -> list[Route]:
    """As they are stored."""
    texts = [text.split(" via ") for text in network.routes.split(", ") if text]
    return [Route(ip_network(prefix), int(via, 16)) for prefix, via in texts]


def set_routes(office: Office, work: Work, network: Network, texts: Sequence[str]) -> str:
    """Have exactly these; returns the network's column. Raises RefusedError."""
    if len(texts) > ROUTES_MAX:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot have {len(texts)} routes: {ROUTES_MAX} at most"
        )
    before = routes_of(network)
    wanted = [_route(office, work, network, text) for text in texts]
    _check_apart(office, work, network, wanted)
    for route in before:
        if route not in wanted:
            _change(work, network, route, lambda has, one: has - {one})
    for route in wanted:
        _refuse_taken(work, network, route)
        _change(work, network, route, lambda has, one: has | {one})
    return ", ".join(str(route) for route in wanted)


def route_to(
    office: Office, work: Work, network: Network, node: int, prefixes: Sequence[str]
) -> None:
    """Route exactly these to a member by hand; what it leases stays. No part of them is another's.

    Raises RefusedError.
    """
    routes = routes_of(network)
    if [str(r.prefix) for r in routes if r.via == node] == list(prefixes):
        return
    for prefix in map(range_of, prefixes):
        check_overlay(prefix)
        holder = holder_of(work, network.number, prefix, but=node)
        if holder is not None:
            raise RefusedError(
                Code.CONFLICT, f"cannot route {prefix} to member {node:010x}: {holder}"
            )
    texts = [str(r) for r in routes if r.via != node]
    texts += [f"{prefix} via {node:010x}" for prefix in prefixes]
    put_routes(office, work, network, set_routes(office, work, network, texts))


def put_routes(office: Office, work: Work, network: Network, column: str) -> None:
    """Into the network's row; hubs get certificates anew, since they carry what is routed."""
    current = work.network(network.number) or network
    if column == current.routes:
        return
    work.put_network(msgspec.structs.replace(current, routes=column))
    work.restate(network.number)
    if current.topology == "hub":
        reissue_hubs(office.registry, work, network.number)


def drop_routes(office: Office, work: Work, network: Network, node: Node) -> None:
    """The member goes: what lay behind it is nowhere."""
    routes = routes_of(network)
    kept = [route for route in routes if route.via != node.id]
    if kept == routes:
        return
    for route in routes:
        if route.via == node.id:
            _change(work, network, route, lambda has, one: has - {one})
    put_routes(office, work, network, ", ".join(str(route) for route in kept))


def _route(office: Office, work: Work, network: Network, text: str) -> Route:
    match = _ROUTE.match(text)
    if match is None:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot use the route {text!r}: it is no prefix via a member",
            hint='such as "10.50.0.0/24 via n1"',
        )
    prefix = range_of(match[1])
    if not prefix.prefixlen:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot route {prefix}: the default route of a member's namespace leads to ndmz",
        )
    check_overlay(prefix)
    return Route(prefix, _member(office, work, network, match[2]).node)


def _member(office: Office, work: Work, network: Network, name: str) -> Member:
    """By an overlay address too."""
    address = _address(name)
    if address is None:
        return office.member(work, network, name).member
    held = work.holder(network.number, sixteen(address))
    member = work.member(network.number, held.node) if held and not held.released_at else None
    if member is None or not member.live:
        raise RefusedError(
            Code.NOT_FOUND, f"cannot route via {address}: no member of {network.name} has it"
        )
    return member


def _address(text: str) -> IPAddress | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _check_apart(office: Office, work: Work, network: Network, routes: Sequence[Route]) -> None:
    """Not the same twice, and nothing of the pools: those are the members' own addresses."""
    pools = [pool.range for pool in office.registry.book.pools(network.number)]
    leased = select(PREFIX_POOL.c.prefix).where(PREFIX_POOL.c.network == network.number)
    pools += [ip_network(text) for text in work.connection.execute(leased).scalars()]
    seen = set()
    for route in routes:
        if route.prefix in seen:
            raise RefusedError(Code.BAD_REQUEST, f"cannot route {route.prefix} twice")
        seen.add(route.prefix)
        for pool in pools:
            if pool.version == route.prefix.version and pool.overlaps(route.prefix):
                raise RefusedError(
                    Code.CONFLICT,
                    f"cannot route {route.prefix}: it overlaps the pool {pool} of {network.name}",
                    hint="addresses out of a pool are given to members one by one",
                )


def _refuse_taken(work: Work, network: Network, route: Route) -> None:
    """A prefix has one owner. Raises RefusedError."""
    query = select(MEMBER.c.node, MEMBER.c.name).where(
        MEMBER.c.network == network.number, MEMBER.c.prefixes != "", MEMBER.c.removed_at == 0
    )
    for node, name in work.connection.execute(query):
        member = work.sound_member(network.number, node)  # as this change leaves it
        if member is None or node == route.via or str(route.prefix) not in member.prefixes.split():
            continue
        raise RefusedError(
            Code.CONFLICT,
            f"cannot route {route.prefix} via {route.via:010x}: it belongs to {name or f'{node:010x}'}",
        )


def _change(
    work: Work, network: Network, route: Route, how: Callable[[set[str], str], set[str]]
) -> None:
    """The prefix to or from the member, and into its certificate."""
    member = work.sound_member(network.number, route.via)
    if member is None:
        return
    has = set(member.prefixes.split())
    now = how(has, str(route.prefix))
    if now == has:
        return
    if len(now) > PREFIXES_MAX:
        raise RefusedError(
            Code.POOL_EXHAUSTED, f"cannot give {route.via:010x} more than {PREFIXES_MAX} prefixes"
        )
    member = msgspec.structs.replace(member, prefixes=" ".join(sorted(now)))
    if member.visible:
        member = certified(member, network, work.now_ms, content=True)
        work.touch(network.number, route.via)
    work.members.put(member)
