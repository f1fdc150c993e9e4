"""`ncadm import`: keys of the Redis schema become networks, members, addresses and users.

A document comes in parts, under an id that the client made, and is taken whole or not at all with the
last one. A network keeps its number under this controller's id; nothing that exists is changed: what
clashes is refused. A member whose identity is one of ours brings its key. A ZeroTier identity is no key
of ours: its member becomes a *place*, which holds name, notes and addresses for somebody whose key is
not known yet, and with which nobody can connect.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from sqlalchemy import select

from controller.addresses.ranges import IPV4_LENGTHS, check_apart, pool_of
from controller.refusal import RefusedError
from controller.schema.document import Told, ToldNetwork, sort_out
from controller.schema.keys import Document, Hash
from controller.schema.records import is_place, kept_of, member_hash, network_hash
from controller.store import model
from controller.store.records import Assignment, Member, Network, Node, Pool, sixteen
from controller.store.work import Work
from controller.verbs.configured import IMPORTED
from controller.verbs.office import Items, Office
from protocol.messages import Code
from protocol.packing import IPInterface, IPNetwork

STAGED_MAX = 64 * 1024 * 1024  # bytes of parts that wait for the last one
SAID_MAX = 5  # clashes that are told one by one


class Import(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    part: dict[str, dict[str, str] | str]
    number: int  # of this part, from 0
    last: bool


@dataclass(slots=True)
class Staged:
    """The parts of one document so far."""

    id: str
    document: Document
    parts: int = 0
    size: int = 0


def take(office: Office, wanted: Import) -> Items:
    staged = _stage(office, wanted)
    if not wanted.last:
        return []
    office.staged = None
    told = sort_out(staged.document)
    importer = Importer(office, told)
    office.change(importer.write)
    importer.finish()
    return importer.items


def _stage(office: Office, wanted: Import) -> Staged:
    """Raises RefusedError: out of order, or too much."""
    staged = office.staged
    if not isinstance(staged, Staged) or staged.id != wanted.id or wanted.number == 0:
        staged = Staged(wanted.id, {})
    if wanted.number != staged.parts:
        office.staged = None
        raise RefusedError(
            Code.CONFLICT,
            "cannot import: a part is missing, or somebody else imports at the same time",
            hint="begin anew",
        )
    staged.size += len(msgspec.msgpack.encode(wanted.part))
    if staged.size > STAGED_MAX:
        office.staged = None
        raise RefusedError(
            Code.POOL_EXHAUSTED,
            f"cannot import: it is larger than {STAGED_MAX >> 20} MiB",
            hint="import network by network",
        )
    for key, value in wanted.part.items():
        before = staged.document.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            staged.document[key] = before | value
        else:
            staged.document[key] = value
    staged.parts += 1
    office.staged = staged
    return staged


class Importer:
    """One document on its way into the database."""

    def __init__(self, office: Office, told: Told) -> None:
        self._office, self._told = office, told
        self._clashes: list[str] = []
        self._pools: list[Pool] = []
        self.items: Items = []

    def write(self, work: Work) -> None:
        """Raises RefusedError with all that clashes."""
        self._put_users(work)
        numbers = self._choose_numbers()
        for told in self._told.networks.values():
            if told.id in numbers:
                self._put_network(work, told, numbers[told.id])
        if self._clashes:
            said = "; ".join(self._clashes[:SAID_MAX])
            more = len(self._clashes) - SAID_MAX
            said += f"; and {more} more" if more > 0 else ""
            raise RefusedError(Code.CONFLICT, f"cannot import: {said}", hint="nothing was changed")

    def finish(self) -> None:
        """After the commit."""
        for pool in self._pools:
            self._office.registry.book.add(pool)

    def _put_users(self, work: Work) -> None:
        table = model.USER
        rows = work.connection.execute(select(table.c.id, table.c.body)).all()
        known = {row.id: row.body for row in rows}
        fresh = []
        for user, body in self._told.users.items():
            if user not in known:
                fresh.append({"id": user, "body": msgspec.json.encode(body).decode()})
            elif msgspec.json.decode(known[user], type=Hash) != body:
                self._clashes.append(f"user {user} is here with other fields")
        if fresh:
            work.connection.execute(table.insert(), fresh)
            work.note(self._office.actor, "import.users", "users", f"{len(fresh)} of them")

    def _choose_numbers(self) -> dict[str, int]:
        """Network id of the document: number here."""
        registry = self._office.registry
        names = {network.name: network for network in registry.networks.values()}
        numbers: dict[str, int] = {}
        for told in self._told.networks.values():
            number, name = int(told.id[10:], 16), told.columns["name"]
            if not number:
                self._clashes.append(f"network {told.id} has the number 0")
            elif number in registry.networks:
                taken = registry.networks[number]
                self._clashes.append(
                    f"number {number:06x} of network {told.id} is that of {taken.name} here"
                )
            elif number in registry.seals.networks:
                self._clashes.append(f"number {number:06x} of network {told.id} is damaged here")
            elif number in registry.closed:
                self._clashes.append(
                    f"number {number:06x} of network {told.id} is that of a network that was deleted"
                )
            elif number in numbers.values():
                self._clashes.append(f"two networks have the number {number:06x}")
            elif name in names:
                self._clashes.append(f"a network is called {name} already")
            else:
                numbers[told.id] = number
                names[name] = registry.networks.get(number) or _blank(number, name)
        return numbers

    def _put_network(self, work: Work, told: ToldNetwork, number: int) -> None:
        registry = self._office.registry
        network = _network(told, number, self._office.now_ms)
        pools = self._ranges(told, number)
        original = network_hash(network, pools, registry.controller)
        kept = kept_of("network", told.original, original)
        work.put_network(msgspec.structs.replace(network, kept=kept))
        for pool in pools:
            work.pools.put(pool)
        self._pools += pools
        nodes = self._put_nodes(work, told)
        self._put_members(work, told, network, nodes)
        places = sum(is_place(node) for node in nodes.values())
        network_id = network.id(registry.controller)
        said = (
            f"from {told.id}: {network.name}, {len(nodes)} members, of them {places} places"
            f" without a key, {len(told.assigned)} addresses"
        )
        work.note(self._office.actor, "import.network", network_id, said)
        self.items.append(
            {
                "from": told.id,
                "id": network_id,
                "name": network.name,
                "ranges": [pool.prefix for pool in pools],
                "members": len(nodes),
                "places": places,
                "addresses": len(told.assigned),
            }
        )

    def _ranges(self, told: ToldNetwork, number: int) -> list[Pool]:
        """Its pools; and for addresses beside them the networks that their bits name."""
        ranges = list(told.ranges)
        try:
            check_apart(ranges)
            for assigned in told.assigned:
                if not _covered(assigned, ranges):
                    ranges.append(_around(assigned))
                    check_apart(ranges)
            return [pool_of(number, one) for one in ranges]
        except RefusedError as error:
            self._clashes.append(f"network {told.id}: {error.message}")
            return []

    def _put_nodes(self, work: Work, told: ToldNetwork) -> dict[str, Node]:
        work.prefetch_ids([member.node["id"] for member in told.members.values()])
        work.prefetch([member.node["key"] for member in told.members.values()])
        nodes = {}
        for address, member in told.members.items():
            wanted = Node(**member.node, generation=0)
            here, twin = work.node_by_id(wanted.id), work.node(wanted.key)
            if here is not None and here.key != wanted.key:
                self._clashes.append(f"the address {address} is that of another node here")
            elif twin is not None and twin.id != wanted.id:
                self._clashes.append(f"the key of {address} is that of node {twin.address} here")
            elif here is None:
                work.put_node(wanted)
            nodes[address] = here or wanted
        return nodes

    def _put_members(
        self, work: Work, told: ToldNetwork, network: Network, nodes: dict[str, Node]
    ) -> None:
        network_id = network.id(self._office.registry.controller)
        held: dict[str, list[Assignment]] = {}
        for assigned, address in sorted(told.assigned.items(), key=_order):
            row = _assignment(network.number, assigned, nodes[address].id)
            held.setdefault(address, []).append(row)
            work.assignments.take_over(row)
        for address, found in told.members.items():
            node = nodes[address]
            member = _member(network.number, node.id, found.columns)
            told_hash = member_hash(network_id, node, member, held.get(address, []))
            kept = kept_of("member", found.original, told_hash)
            work.members.put(msgspec.structs.replace(member, kept=kept))


def _network(told: ToldNetwork, number: int, now_ms: int) -> Network:
    columns: dict[str, Any] = {"topology": "mesh", "life": 0, "dns": "", "mtu": 0}
    return Network(
        number=number,
        revision=0,
        purged=0,
        epoch=1,
        state_at=now_ms,
        state_revision=0,
        request=f"{IMPORTED}{number:06x}",
        **(columns | told.columns),
    )


def _blank(number: int, name: str) -> Network:
    return Network(number, name, "", True, 0, "mesh", 0, "", 0, 0, 0, 0, 0, 0, "")


def _member(network: int, node: int, columns: dict[str, Any]) -> Member:
    return Member(
        network=network,
        node=node,
        wireguard=None,
        endpoints="",
        families="",
        serial=0,
        issued_at=0,
        not_after=0,
        revision=0,
        left_at=0,
        removed_at=0,
        **columns,
    )


def _assignment(network: int, assigned: IPInterface, node: int) -> Assignment:
    length = assigned.network.prefixlen
    return Assignment(
        network, sixteen(assigned.ip), assigned.version, length, node, "reserved", released_at=0
    )


def _covered(assigned: IPInterface, ranges: Iterable[IPNetwork]) -> bool:
    return any(one.version == assigned.version and assigned.ip in one for one in ranges)


def _around(assigned: IPInterface) -> IPNetwork:
    """The network of an address, not larger than a network of ours may be."""
    wide = assigned.network.prefixlen < IPV4_LENGTHS[0]
    kind = type(assigned.network)
    return kind((assigned.ip, IPV4_LENGTHS[0]), strict=False) if wide else assigned.network


def _order(item: tuple[IPInterface, str]) -> tuple[int, int]:
    return item[0].version, int(item[0].ip)
