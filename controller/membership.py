"""A node's own connection: hello, join, refresh, leave, rows.

Handlers read and put values in a `Work` and answer with a reply, or with `JoinedLater`: the
certificate is signed when the whole batch is known, and sent after the commit. They look at the
member's state on every message, so a ban bites at once.
"""

from dataclasses import dataclass

import msgspec

from controller.admission import new_member
from controller.assignment import ensure_addresses, release_addresses
from controller.netmap import CURSOR_SIZE, Piece
from controller.publish import withdraw
from controller.records import Member, Network, Node, State, printable
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.work import Work
from protocol.messages import (
    WIRE_VERSION,
    Code,
    Done,
    FetchRows,
    Hello,
    Join,
    Joined,
    Leave,
    Refresh,
    Unchanged,
    Waiting,
    Welcome,
)
from protocol.packing import is_endpoint_address, parse_endpoint

WAIT = 30.0  # seconds until somebody who waits for a person may ask again


@dataclass(frozen=True, slots=True)
class JoinedLater:
    """A Joined whose certificate comes out of this batch."""

    id: int
    number: int
    key: bytes


def hello(registry: Registry, work: Work, key: bytes, message: Hello, observed: str) -> Welcome:
    if message.wire_version != WIRE_VERSION:
        raise RefusedError(
            Code.BAD_REQUEST,
            f"cannot talk to this node: it speaks version {message.wire_version},"
            f" this controller {WIRE_VERSION}",
            hint="update the older of the two",
        )
    node = known_node(work, key)
    now = msgspec.structs.replace(
        node,
        name=printable(message.name),
        client_version=printable(message.client_version),
        client_os=printable(message.client_os),
        generation=message.generation,
    )
    if now != node:
        work.put_node(now)
    members = (m for m in work.members_of(node.id) if not m.left_at and m.state != State.BANNED)
    return Welcome(
        id=message.id,
        time_ms=work.now_ms,
        address=node.address,
        keyset=registry.keyset,
        networks=tuple(sorted(registry.network_id(member.network) for member in members)),
        observed=observed,
    )


def join(
    registry: Registry, work: Work, key: bytes, message: Join | Refresh
) -> JoinedLater | Waiting:
    """Give the member its place, or change it to what it says now. Raises RefusedError."""
    number = _number(registry, message.network)
    node = known_node(work, key)
    network = registry.networks[number]
    member = work.member(number, node.id)
    if member is None and not network.private:
        member = _walk_in(work, network, node)
    if member is None or not member.live:
        raise RefusedError(
            Code.NOT_FOUND,
            f"cannot join network {message.network}: this node is no member of it",
            hint="join with a token of that network",
        )
    if member.state != State.AUTHORIZED:
        return Waiting(message.id, message.network, member.state, WAIT)
    wanted = msgspec.structs.replace(
        member,
        wireguard=message.wireguard,
        endpoints=clean_endpoints(message.endpoints),
        families=_families(message.families),
        left_at=0,
    )
    held = [row for row in work.addresses(number, node.id) if not row.released_at]
    assigned = ensure_addresses(registry.book, work, number, node.id)
    content = assigned != held or wanted.wireguard != member.wireguard or member.serial == 0
    placed = certified(wanted, network, work.now_ms, content=content)
    if placed != member:
        work.members.put(placed)
        work.touch(number, node.id)
    if member.serial == 0 or member.left_at:
        work.note(f"node {node.address}", "member.join", f"{message.network}/{node.address}")
    return JoinedLater(message.id, number, key)


def refresh(
    registry: Registry, work: Work, key: bytes, message: Refresh
) -> JoinedLater | Waiting | Unchanged:
    """Nothing new costs no look into the database and no signature."""
    number = _number(registry, message.network)
    netmap = registry.netmap(number)
    entry = netmap.entries.get(key)
    if entry is None or _differs(entry.member, netmap.network, message, work.now_ms):
        return join(registry, work, key, message)
    theirs = (message.serial, message.incarnation, message.epoch)
    if theirs == (entry.member.serial, registry.incarnation, netmap.network.epoch):
        return Unchanged(message.id, message.network, work.now_ms)
    return JoinedLater(message.id, number, key)


def leave(registry: Registry, work: Work, key: bytes, message: Leave) -> Done:
    """The node goes of its own will. It may join again, and has its addresses back unless they
    were given away meanwhile: they rest as a forgotten member's do.
    """
    number = _number(registry, message.network)
    node = known_node(work, key)
    member = work.member(number, node.id)
    if member is not None and member.live and not member.left_at:
        gone = withdraw(work, member, key)
        work.members.put(msgspec.structs.replace(gone, left_at=work.now_ms))
        release_addresses(registry.book, work, number, node.id)
        work.note(f"node {node.address}", "member.leave", f"{message.network}/{node.address}")
    return Done(message.id)


def piece(registry: Registry, key: bytes, message: FetchRows) -> Piece:
    """The rows that this node lacks; only for those who are in. Raises RefusedError."""
    number = _number(registry, message.network)
    netmap = registry.netmap(number)
    if key not in netmap.entries:
        raise RefusedError(
            Code.DENIED, f"cannot show network {message.network}: this node has not joined it"
        )
    if message.after and len(message.after) != CURSOR_SIZE:
        raise RefusedError(Code.BAD_REQUEST, "cannot continue a snapshot: `after` is not ours")
    return netmap.piece(message.revision, message.after)


def joined(registry: Registry, later: JoinedLater, now_ms: int) -> Joined:
    """After the commit. Raises RefusedError when it left again in the same batch."""
    netmap = registry.netmap(later.number)
    network_id = registry.network_id(later.number)
    if later.key not in netmap.entries:
        raise RefusedError(
            Code.NOT_FOUND, f"cannot join network {network_id}: this node has left it since"
        )
    return Joined(
        id=later.id,
        network=network_id,
        time_ms=now_ms,
        settings=registry.settings(later.number),
        membership=netmap.entries[later.key].signed,
        state=netmap.state,
        revision=netmap.head,
    )


def known_node(work: Work, key: bytes) -> Node:
    """The node of a connection, if it may still speak. Raises RefusedError."""
    node = work.node(key)
    members = work.members_of(node.id) if node is not None else []
    if node is None or not members:
        raise RefusedError(
            Code.DENIED, "cannot talk to this node: it was forgotten", hint="join with a new token"
        )
    if all(member.state == State.BANNED for member in members):
        raise RefusedError(Code.BANNED, "cannot talk to this node: it is banned")
    return node


def clean_endpoints(endpoints: tuple[str, ...]) -> str:
    """Checked, without those that lead nowhere; sorted. Raises RefusedError."""
    kept = set()
    for text in endpoints:
        try:
            address, _ = parse_endpoint(text)
        except ValueError as error:
            raise RefusedError(
                Code.BAD_REQUEST, f"cannot use endpoint {printable(text)}: it is none"
            ) from error
        if is_endpoint_address(address):
            kept.add(text)
    return " ".join(sorted(kept))


def certified(member: Member, network: Network, now_ms: int, *, content: bool) -> Member:
    """The member with a new serial when its certificate says something new (`content`), and with
    new times when it does or when half of its life is over.
    """
    if not content and not _renewal_due(member, network, now_ms):
        return member
    return msgspec.structs.replace(
        member,
        serial=member.serial + (1 if content else 0),
        issued_at=now_ms,
        not_after=now_ms + network.life if network.life else 0,
    )


def _differs(member: Member, network: Network, message: Refresh, now_ms: int) -> bool:
    return (
        member.wireguard != message.wireguard
        or member.families != _families(message.families)
        or member.endpoints != clean_endpoints(message.endpoints)
        or _renewal_due(member, network, now_ms)
    )


def _renewal_due(member: Member, network: Network, now_ms: int) -> bool:
    """At half of a certificate's life; also when the network got or lost a life."""
    if not network.life or not member.not_after:
        return bool(network.life) != bool(member.not_after)
    return now_ms >= member.issued_at + network.life // 2


def _families(families: tuple[int, ...]) -> str:
    if not set(families) <= {4, 6}:
        raise RefusedError(Code.BAD_REQUEST, "cannot use these families: only 4 and 6 exist")
    return "".join(str(family) for family in sorted(set(families)))


def _walk_in(work: Work, network: Network, node: Node) -> Member:
    """Anybody whom the controller knows may join a public network."""
    member = new_member(
        network.number,
        node.id,
        state=State.AUTHORIZED,
        name=node.name,
        roles="",
        by="public network",
        now_ms=work.now_ms,
    )
    work.members.put(member)
    return member


def _number(registry: Registry, network: str) -> int:
    number = registry.number_of(network)
    if number is None:
        raise RefusedError(
            Code.NOT_FOUND, f"cannot find network {network}", hint="see: ncadm network list"
        )
    return number
