"""A token's connection: let a node in.

One transaction consumes a use of the token and writes the node and its reserved member. The verb is
idempotent by the node's key: a node that is a member already is told so and costs no use, so an
answer that was lost is simply asked for again.
"""

from ipaddress import ip_address

import msgspec

from controller.assignment import assign_fixed
from controller.records import Member, Node, State, Token, printable
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.work import Work
from protocol.ids import first_address_try
from protocol.keys import CurvePublic
from protocol.messages import Admit, Code, Done

_ADDRESSES = 1 << 40


def admit(registry: Registry, work: Work, token_key: bytes, message: Admit) -> Done:
    """Raises RefusedError."""
    token = work.token(token_key)
    if token is None:
        raise RefusedError(
            Code.DENIED, "cannot admit this node: the token was revoked", hint=_NEW_TOKEN
        )
    node = work.node(message.node)
    member = work.member(token.network, node.id) if node else None
    if member is not None and member.live:
        if member.state == State.BANNED:
            raise RefusedError(Code.BANNED, "cannot admit this node: it is banned")
        if member.left_at:
            work.members.put(msgspec.structs.replace(member, left_at=0))
        return Done(message.id)
    _check_token(token, work.now_ms)
    if node is None:
        node = new_node(work, message.node, printable(message.name))
        node = msgspec.structs.replace(
            node,
            client_version=printable(message.client_version),
            client_os=printable(message.client_os),
        )
    if token.address:  # refused before anything is written
        assign_fixed(registry.book, work, token.network, node.id, ip_address(token.address))
    work.put_node(node)
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


def new_node(work: Work, key: bytes, name: str) -> Node:
    """A node with the first free address from its key's hash on; not put yet."""
    address = first_address_try(CurvePublic(key))
    while address == 0 or work.node_by_id(address) is not None:
        address = (address + 1) % _ADDRESSES
    return Node(
        id=address,
        key=key,
        name=name,
        first_seen=work.now_ms,
        last_seen=work.now_ms,
        last_at="",
        client_version="",
        client_os="",
        generation=0,
    )


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
    """Somebody who was forgotten and comes again: serial and revision go on where they were."""
    authorized = state == State.AUTHORIZED
    return msgspec.structs.replace(
        member,
        state=state,
        roles=token.roles,
        authorized_at=now_ms if authorized else 0,
        authorized_by=f"token {token.id}" if authorized else "",
        left_at=0,
        removed_at=0,
    )


def _check_token(token: Token, now_ms: int) -> None:
    if now_ms >= token.expires_at:
        raise RefusedError(
            Code.TOKEN_EXPIRED, "cannot admit this node: the token has expired", hint=_NEW_TOKEN
        )
    if token.uses_left <= 0:
        raise RefusedError(
            Code.TOKEN_USED_UP, "cannot admit this node: the token is used up", hint=_NEW_TOKEN
        )


_NEW_TOKEN = "make a new one with: ncadm token create NETWORK"  # noqa: S105
