"""A node's own connection: hello, join, refresh, leave, rows.

Handlers read and put values in a `Work` and answer with a reply, or with `JoinedLater`: the
certificate is signed when the whole batch is known, and sent after the commit. They look at the
member's state on every message, so a ban bites at once. Whatever they refuse they refuse before they put
anything: the rest of the batch is committed.
"""

from datetime import UTC, datetime

import msgspec

from controller.addresses.assignment import ensure_addresses, in_use, release_addresses
from controller.addresses.prefixes import release_prefixes
from controller.members.admission import new_member
from controller.members.certificate import certified, differs, endpoints_of, families_of
from controller.members.copies import note_copy
from controller.members.departure import end_if_all_left
from controller.members.publish import withdraw
from controller.members.rotation import take_up
from controller.netmap.netmap import CURSOR_SIZE, Netmap
from controller.netmap.rows import Piece
from controller.refusal import RefusedError, refuse_low_order
from controller.registry import Registry
from controller.store.records import Assignment, Member, Network, Node, State, printable
from controller.store.work import Work
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
    Rows,
    Unchanged,
    Waiting,
    Welcome,
)

WAIT = 30.0  # seconds until somebody who waits for a person may ask again


class JoinedLater(msgspec.Struct, frozen=True, gc=False):
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
    if work.node(key) is None:
        take_up(registry, work, key)
    node = known_node(work, key)
    if message.generation < node.generation:
        started = f"start {message.generation} after start {node.generation}, from {observed}"
        note_copy(registry, work, node, f"an older copy of its disk came: {started}")
    now = msgspec.structs.replace(
        node,
        name=printable(message.name),
        client_version=printable(message.client_version),
        client_os=printable(message.client_os),
        generation=message.generation,
        first_seen=node.first_seen or work.now_ms,
    )
    if now != node:
        work.put_node(now)
    members = (
        member
        for member in work.members_of(node.id)
        if not member.left_at
        and member.state != State.BANNED
        and member.network in registry.networks
    )
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
    node = work.node(key)
    network = registry.networks[number]
    member = work.member(number, node.id) if node is not None else None
    if node is None or member is None or not member.live or member.state == State.BANNED:
        node = known_node(work, key)
    refuse_low_order(message.wireguard, "WireGuard")
    if member is None and not network.private:
        member = _walk_in(work, network, node)
    if member is None or not member.live:
        raise _no_member(message.network)
    if member.state != State.AUTHORIZED:
        return Waiting(message.id, message.network, member.state, WAIT)
    wanted = msgspec.structs.replace(
        member,
        wireguard=message.wireguard,
        endpoints=endpoints_of(member, message),
        families=families_of(message.families),
        name=member.name or node.name,
        left_at=0,
    )
    netmap = registry.netmap(number)
    floor = netmap.floors.get(key) if member.serial == 0 else None
    if floor is not None:  # a key that another node had before: what it showed then stays void
        wanted = msgspec.structs.replace(wanted, serial=max(0, floor.serial - network.fold))
    via = netmap.via(wanted)
    if via != wanted.via:
        wanted = msgspec.structs.replace(wanted, via=via)
    if not member.visible:
        _check_mesh(work, network, netmap)
    held = in_use(work.addresses(number, node.id))
    assigned = ensure_addresses(
        registry.book,
        work,
        number,
        node.id,
        idle=registry.idle,
        evict=lambda row: _evict(registry, work, row, node),
    )
    content = (
        assigned != held
        or (wanted.wireguard, wanted.via) != (member.wireguard, member.via)
        or member.serial == 0
    )
    placed = certified(wanted, network, work.now_ms, content=content)
    if placed != member:
        work.members.put(placed)
        work.touch(number, node.id)
    if member.serial == 0 or member.left_at:
        work.note(f"node {node.address}", "member.join", f"{message.network}/{node.address}")
    return JoinedLater(message.id, number, key)


def refresh(
    registry: Registry, work: Work, key: bytes, message: Refresh
) -> JoinedLater | Waiting | Unchanged | Rows:
    _check_left(registry, work, key, message.network)
    if (closed := _closed(registry, work, key, message.network)) is not None:
        return farewell(registry, closed, key, message.id)
    number = _number(registry, message.network)
    netmap = registry.netmap(number)
    if is_unchanged(netmap, key, message, registry.incarnation, work.now_ms):
        return Unchanged(message.id, message.network, work.now_ms)
    entry = netmap.entry(key)
    if entry is None or differs(entry.member, netmap.network, message, work.now_ms):
        return join(registry, work, key, message)
    return JoinedLater(message.id, number, key)


def is_unchanged(
    netmap: Netmap, key: bytes, message: Refresh, incarnation: int, now_ms: int
) -> bool:
    """Whether a refresh finds nothing new: no look into the database, no signature."""
    entry = netmap.entry(key)
    if (
        entry is None
        or entry.serial != message.serial
        or incarnation != message.incarnation
        or not netmap.is_known(key, message.epoch)
    ):
        return False
    try:
        return not differs(entry.member, netmap.network, message, now_ms)
    except RefusedError:  # it makes no sense, which `refresh` says
        return False


def leave(registry: Registry, work: Work, key: bytes, message: Leave) -> Done:
    """The node goes of its own will. It may join again, and has its addresses back unless they
    were given away meanwhile: they rest as a forgotten member's do. Fixed ones stay its own.
    """
    number = _number(registry, message.network)
    node = known_node(work, key)
    member = work.member(number, node.id)
    if member is None or not member.live:
        raise _no_member(message.network)
    if not member.left_at:
        gone = withdraw(work, member, key)
        gone = release_prefixes(work, gone)
        work.members.put(msgspec.structs.replace(gone, left_at=work.now_ms))
        release_addresses(registry.book, work, number, node.id, all_kinds=False)
        work.note(f"node {node.address}", "member.leave", f"{message.network}/{node.address}")
        end_if_all_left(work, node)
    return Done(message.id)


def piece(registry: Registry, key: bytes, message: FetchRows) -> Piece:
    """The rows that this node lacks; only for those who are in. Raises RefusedError."""
    number = registry.number_of(message.network)
    netmap = registry.netmap(number) if number is not None else None
    if netmap is None or netmap.entry(key) is None:
        raise RefusedError(
            Code.DENIED, f"cannot show network {message.network}: this node has not joined it"
        )
    if message.after and len(message.after) != CURSOR_SIZE:
        raise RefusedError(Code.BAD_REQUEST, "cannot continue a snapshot: `after` is not ours")
    return netmap.piece(key, message.revision, message.after)


def joined(registry: Registry, later: JoinedLater, now_ms: int) -> Joined:
    """After the commit. Raises RefusedError when it left again in the same batch."""
    netmap = registry.netmap(later.number)
    network_id = registry.network_id(later.number)
    entry = netmap.entry(later.key)
    if entry is None:
        raise RefusedError(
            Code.NOT_FOUND, f"cannot join network {network_id}: this node has left it since"
        )
    return Joined(
        id=later.id,
        network=network_id,
        time_ms=now_ms,
        settings=registry.settings(later.number),
        membership=entry.signed,
        state=netmap.state(later.key),
        revision=netmap.head,
    )


def farewell(registry: Registry, network: Network, key: bytes, request: int = 0) -> Rows:
    """What a member of a deleted network is told."""
    return Rows(
        id=request,
        network=network.id(registry.controller),
        since=network.revision,
        revision=network.revision,
        full=False,
        rows=(),
        gone=(key,),
        state=registry.closed_state(network),
    )


def known_node(work: Work, key: bytes) -> Node:
    """The node of a connection, if it may still speak. Raises RefusedError."""
    node = work.node(key)
    members = work.members_of(node.id) if node is not None else []
    if node is not None and all(member.state == State.BANNED for member in members):
        work.check_node(node.id)
    if node is None or not members:
        raise RefusedError(
            Code.DENIED, "cannot talk to this node: it was forgotten", hint="join with a new token"
        )
    if all(member.state == State.BANNED for member in members):
        raise RefusedError(Code.BANNED, "cannot talk to this node: it is banned")
    return node


def _check_left(registry: Registry, work: Work, key: bytes, network: str) -> None:
    """Who left of its own will comes back by `join` only: a refresh may have been on its way, or be of
    a copy. Raises RefusedError.
    """
    number, node = registry.number_of(network), work.node(key)
    member = work.member(number, node.id) if number is not None and node is not None else None
    if member is not None and member.live and member.left_at and member.state == State.AUTHORIZED:
        raise RefusedError(
            Code.NOT_FOUND,
            f"cannot refresh network {network}: this node has left it",
            hint="to come back: join",
        )


def _check_mesh(work: Work, network: Network, netmap: Netmap) -> None:
    """Raises RefusedError when one more member of a mesh is too many."""
    everybody, most = netmap.everybody, network.mesh_max
    touched = work.touched.get(network.number, {})
    if everybody is None or len(everybody) + len(touched) < most:
        return
    nodes = filter(None, map(work.node_by_id, touched))
    coming = sum(1 for node in nodes if node.key not in everybody)
    if len(everybody) + coming >= most:
        raise RefusedError(
            Code.MESH_FULL,
            f"cannot join network {network.name}: a mesh of {most} members has no place for more",
            hint=f"ncadm network set {network.name} --topology hub (members with the role hub"
            " then carry for the others), or --mesh-max with a larger number",
            retry_after=60.0,
        )


def _evict(registry: Registry, work: Work, row: Assignment, newcomer: Node) -> None:
    """The holder of an address was silent for so long that it goes to a newcomer: it stays a member
    and gets another one when it comes back.
    """
    node, member = work.node_by_id(row.node), work.member(row.network, row.node)
    if node is None or member is None:
        raise LookupError(f"member {row.node:010x} is gone")
    work.members.put(withdraw(work, member, node.key))
    seen = datetime.fromtimestamp(node.last_seen / 1000, UTC)
    work.note(
        "controller",
        "address.reclaim",
        f"{registry.network_id(row.network)}/{node.address}",
        f"{row.interface.ip} goes to {newcomer.address}; last seen {seen:%Y-%m-%dT%H:%M:%SZ}",
    )


def _walk_in(work: Work, network: Network, node: Node) -> Member:
    """Anybody whom the controller knows may join a public network. It is not put yet: it may be
    refused.
    """
    return new_member(
        network.number,
        node.id,
        state=State.AUTHORIZED,
        name=node.name,
        roles="",
        by="public network",
        now_ms=work.now_ms,
    )


def _closed(registry: Registry, work: Work, key: bytes, network: str) -> Network | None:
    """A network that was deleted, when this node was a member of it."""
    closed = registry.closed.get(int(network[10:], 16))
    if closed is None or closed.id(registry.controller) != network:
        return None
    member = work.member(closed.number, known_node(work, key).id)
    return closed if member is not None and member.live else None


def _number(registry: Registry, network: str) -> int:
    number = registry.number_of(network)
    if number is None:
        registry.check_network(network)
        raise _no_member(network)
    return number


def _no_member(network: str) -> RefusedError:
    """The same words whether there is such a network or not: others' networks are not its matter."""
    return RefusedError(
        Code.NOT_FOUND,
        f"cannot join network {network}: this node is no member of such a network",
        hint="join with a token of that network",
    )
