"""A node's key gives way to another: the old one names it, and dies when it is first used.

    rotate(registry, work, key, message)     # the old key says which is next; nothing else changes
    take_up(registry, work, key)             # the next key says hello: the node is its own from now on

Both keys are let in until then (`front.zap`). Everything else of the node stays: its id, name, places,
addresses and WireGuard keys. Whoever holds the old key afterwards holds nothing: its certificates are
void by a floor, and its peers get one for the new key in the same transaction.
"""

import msgspec
from sqlalchemy import select

from controller.members.publish import certify_for_key
from controller.refusal import RefusedError, refuse_low_order
from controller.registry import Registry
from controller.store.model import NODE
from controller.store.records import Node, State
from controller.store.work import Work
from protocol.messages import Code, Done, Rotate


def rotate(work: Work, node: Node, message: Rotate) -> Done:
    """Idempotent by the next key; another one takes the place of one that was not used yet.

    Raises RefusedError.
    """
    refuse_low_order(message.next_key, "node")
    if message.next_key in (node.next_key, node.key):
        return Done(message.id)
    taken = work.node(message.next_key) is not None or work.token(message.next_key) is not None
    if taken or _named(work, message.next_key) is not None:
        raise RefusedError(
            Code.CONFLICT, "cannot rotate this node's key: somebody else has the next one"
        )
    work.put_node(msgspec.structs.replace(node, next_key=message.next_key))
    said = f"{node.key[:6].hex()}… names {message.next_key[:6].hex()}…"
    work.note(f"node {node.address}", "node.rotate", node.address, said)
    return Done(message.id)


def take_up(registry: Registry, work: Work, key: bytes) -> Node | None:
    """The node whose next key this is, with it as its key; None when it is nobody's.

    Raises RefusedError: the node may not speak.
    """
    number = _named(work, key)
    node = work.node_by_id(number) if number is not None else None
    if node is None or node.next_key != key:
        return None
    work.check_node(node.id)  # what names the next key is part of what may be damaged
    members = work.members_of(node.id)
    if all(member.state == State.BANNED for member in members):
        raise RefusedError(Code.BANNED, "cannot talk to this node: it is banned")
    work.rename(node, key)
    for member in members:
        if member.network not in registry.networks:
            continue  # it was deleted: all its certificates are void
        work.members.put(msgspec.structs.replace(member, cloned_at=0))  # a copy has the old key
        certify_for_key(work, member, node.key)
        thing = f"{registry.network_id(member.network)}/{node.address}"
        said = f"{key[:6].hex()}… for {node.key[:6].hex()}…"
        work.note(f"node {node.address}", "node.rotated", thing, said)
    work.dismiss(node.key, Code.DENIED, "its key was replaced by another")
    return work.node(key)


def _named(work: Work, key: bytes) -> int | None:
    """The node that has named this key as its next one."""
    fresh = (n.id for n in work.nodes.rows.values() if n is not None and n.next_key == key)
    stored = work.connection.execute(select(NODE.c.id).where(NODE.c.next_key == key)).scalar()
    return next(fresh, stored)
