"""A token's connection: let a node in.

One transaction consumes a use of the token and writes the node and its reserved member. The verb is
idempotent by the node's key: a node that is a member already is told so and costs no use, so an
answer that was lost is simply asked for again.
"""

from ipaddress import ip_address

import msgspec

from controller.addresses.fixed import assign_fixed, check_free
from controller.addresses.numbering import ADDRESSES, Numbering
from controller.members.door import take_place
from controller.members.management import ROLE, check_seat, take_seat
from controller.refusal import RefusedError, refuse_low_order
from controller.registry import Registry
from controller.store.records import Member, Node, State, Token, printable
from controller.store.work import Work
from protocol.messages import Admit, Code, Done


def admit(registry: Registry, work: Work, token_key: bytes, message: Admit) -> Done:
    """Raises RefusedError."""
    token = work.token(token_key)
    if token is None or token.revoked_at:
        raise RefusedError(
            Code.DENIED, "cannot admit this node: the token was revoked", hint=_NEW_TOKEN
        )
    registry.seals.check_network(token.network)
    refuse_low_order(message.node, "node")
    node = work.node(message.node)
    member = work.member(token.network, node.id) if node else None
    if member is not None and member.live:
        if member.state == State.BANNED:
            raise RefusedError(Code.BANNED, "cannot admit this node: it is banned")
        if member.left_at:
            work.members.put(msgspec.structs.replace(member, left_at=0))
        return Done(message.id)
    _check_token(token, work)
    if node is None:
        node = new_node(
            registry.numbering,
            work,
            message.node,
            printable(message.name),
            version=printable(message.client_version),
            system=printable(message.client_os),
        )
    _give(registry, work, token, node.id)
    put_node(registry.numbering, work, node)
    work.tokens.put(msgspec.structs.replace(token, uses_left=token.uses_left - 1))
    state = State.PENDING if token.ask else State.AUTHORIZED
    work.members.put(
        _revived(member, token, state, work.now_ms)
        if member is not None
        else new_member(
            token.network,
            node.id,
            state=state,
            name=printable(message.name),
            roles=token.roles,
            by=f"token {token.id}",
            now_ms=work.now_ms,
        )
    )
    network_id = registry.network_id(token.network)
    work.note(f"token {token.id}", "node.admit", f"{network_id}/{node.address}", state)
    return Done(message.id)


def _give(registry: Registry, work: Work, token: Token, node: int) -> None:
    """The places that the token promises; one that is refused keeps none of the others."""
    number, manages = token.network, ROLE in token.roles.split(",")
    address = ip_address(token.address) if token.address else None
    if address is not None:
        check_free(registry.book, work, number, node, address, token=token.key)
    if manages:
        check_seat(registry, work, number, node)
    if token.ask:
        take_place(registry.pending, work, registry.networks[number])
    if address is not None:
        assign_fixed(registry.book, work, number, node, address, kind="reserved", token=token.key)
    if manages:
        take_seat(registry, work, number, node)


def new_node(
    numbering: Numbering, work: Work, key: bytes, name: str, *, version: str = "", system: str = ""
) -> Node:
    """A node with the first free address; not put yet."""
    address = numbering.start(key)
    while address == 0 or work.node_by_id(address) is not None:
        address = (address + 1) % ADDRESSES
    return Node(
        id=address,
        key=key,
        name=name,
        first_seen=work.now_ms,
        last_seen=work.now_ms,
        last_at="",
        client_version=version,
        client_os=system,
        generation=0,
    )


def put_node(numbering: Numbering, work: Work, node: Node) -> None:
    """One that is new has its address from here on."""
    if work.node_by_id(node.id) is None:
        numbering.given(node.id)
    work.put_node(node)


def new_member(
    network: int, node: int, *, state: State, name: str, roles: str, by: str, now_ms: int
) -> Member:
    """A reserved member: it is let in (or waits to be) and has not joined."""
    authorized = state == State.AUTHORIZED
    return Member(
        network=network,
        node=node,
        state=state,
        hidden=False,
        name=name,
        notes="",
        roles=roles,
        wireguard=None,
        endpoints="",
        families="",
        serial=0,
        issued_at=0,
        not_after=0,
        revision=0,
        created_at=now_ms,
        authorized_at=now_ms if authorized else 0,
        authorized_by=by if authorized else "",
        left_at=0,
        removed_at=0,
    )


def _revived(member: Member, token: Token, state: State, now_ms: int) -> Member:
    """Somebody who was forgotten and comes again: serial and revision go on where they were, and
    whoever was hidden stays it.
    """
    authorized = state == State.AUTHORIZED
    return msgspec.structs.replace(
        member,
        state=state,
        roles=token.roles,
        created_at=now_ms,
        authorized_at=now_ms if authorized else 0,
        authorized_by=f"token {token.id}" if authorized else "",
        left_at=0,
        removed_at=0,
    )


def _check_token(token: Token, work: Work) -> None:
    if token.minter is not None and not may_mint(work.member(token.network, token.minter)):
        raise RefusedError(
            Code.DENIED,
            "cannot admit this node: the member that made the token may not make any now",
            hint=_NEW_TOKEN,
        )
    if work.now_ms >= token.expires_at:
        raise RefusedError(
            Code.TOKEN_EXPIRED, "cannot admit this node: the token has expired", hint=_NEW_TOKEN
        )
    if token.uses_left <= 0:
        raise RefusedError(
            Code.TOKEN_USED_UP, "cannot admit this node: the token is used up", hint=_NEW_TOKEN
        )


def may_mint(member: Member | None) -> bool:
    """Members with the role make tokens; those that they made are worth nothing without it."""
    return (
        member is not None
        and member.live
        and member.state == State.AUTHORIZED
        and "mint" in member.role_list
    )


_NEW_TOKEN = "make a new one with: ncadm token create NETWORK"  # noqa: S105
