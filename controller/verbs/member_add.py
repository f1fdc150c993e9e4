"""`member add`: a member whose key is known before it comes: authorized, with its addresses reserved.

The node needs no token. A join string without one tells it whom to trust and where to connect; the
key is let in because it is known.
"""

from typing import Annotated

import msgspec

from controller.addresses.assignment import ensure_addresses
from controller.addresses.fixed import change_fixed
from controller.members.admission import new_member, new_node, put_node
from controller.members.management import ROLE, take_seat
from controller.refusal import RefusedError, key_of
from controller.registry import Registry
from controller.settings import Notes
from controller.store.records import Member, Network, Node, State, printable
from controller.store.work import Work
from controller.verbs.member import check_roles, note
from controller.verbs.member_card import describe
from controller.verbs.member_set import addresses_of
from controller.verbs.office import Found, Items, Office
from controller.verbs.routes import route_to
from protocol.messages import Code


class Add(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: the node's, in hex; the same call again makes nothing new."""

    network: str
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    name: str = ""
    notes: Notes = ""
    roles: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


def add(office: Office, wanted: Add) -> Items:
    network, registry = office.network(wanted.network), office.registry
    key = key_of(wanted.key, "node")

    def do(work: Work) -> Found:
        node = work.node(key) or _expected(office, work, key, wanted)
        before = work.member(network.number, node.id)
        if before is not None and before.live:
            _refuse_other(network, node, before)
            return Found(network, node, before)
        put_node(registry.numbering, work, node)
        member = _member(office, work, network, node, wanted)
        work.members.put(member)
        _give(registry, work, member, wanted)
        route_to(office, work, network, node.id, wanted.prefixes)
        found = Found(network, node, member)
        note(office, work, "member.add", found, f"key {wanted.key[:12]}…")
        return found

    found = office.change(do)
    office.wake(found, State.AUTHORIZED)
    if registry.networks[network.number].routes != network.routes:
        office.tell_settings(network.number)
    return with_way_in(office, found)


def with_way_in(office: Office, found: Found) -> Items:
    """The member, and what a join string without a token is made of."""
    keys = office.registry.keyring
    return [
        item
        | {
            "root": keys.root.hex(),
            "curve": keys.curve_public.hex(),
            "controllers": list(office.registry.endpoints),
        }
        for item in describe(office, found)
    ]


def _expected(office: Office, work: Work, key: bytes, wanted: Add) -> Node:
    """A node that was never seen."""
    node = new_node(office.registry.numbering, work, key, printable(wanted.name)[:64])
    return msgspec.structs.replace(node, first_seen=0, last_seen=0)


def _member(office: Office, work: Work, network: Network, node: Node, wanted: Add) -> Member:
    member = work.member(network.number, node.id) or new_member(
        network.number,
        node.id,
        state=State.AUTHORIZED,
        name="",
        roles="",
        by=office.actor,
        now_ms=work.now_ms,
    )
    return msgspec.structs.replace(  # of one that was forgotten serial and revision go on
        member,
        state=State.AUTHORIZED,
        hidden=False,
        name=printable(wanted.name)[:64],
        notes=wanted.notes,
        roles=check_roles(wanted.roles),
        created_at=work.now_ms,
        authorized_at=work.now_ms,
        authorized_by=office.actor,
        left_at=0,
        removed_at=0,
    )


def _give(registry: Registry, work: Work, member: Member, wanted: Add) -> None:
    """Its addresses, those that it would get by itself too: reserved, for whoever is not here yet."""
    number, node = member.network, member.node
    change_fixed(registry.book, work, number, node, addresses_of(wanted.addresses))
    if ROLE in member.role_list:
        take_seat(registry, work, number, node)
    for row in ensure_addresses(registry.book, work, number, node):
        if row.kind == "auto":
            work.assignments.put(msgspec.structs.replace(row, kind="reserved"))


def _refuse_other(network: Network, node: Node, member: Member) -> None:
    """A repeated call is answered as the first one; anything else is said in its own words."""
    if member.state != State.AUTHORIZED:
        verb = "unban" if member.state == State.BANNED else "authorize"
        raise RefusedError(
            Code.CONFLICT,
            f"cannot add this key: it is member {node.address} already, {member.state}",
            hint=f"ncadm member {verb} {network.name} {node.address}",
        )
