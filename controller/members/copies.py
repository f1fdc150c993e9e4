"""A node of which there are two: marked in each of its networks, with an event.

It stays marked until somebody says that the copy is gone (`member set --not-cloned`); until then it is
noted once an hour at most.
"""

import msgspec

from controller.registry import Registry
from controller.store.records import Node
from controller.store.work import Work

AGAIN_MS = 3600 * 1000


def note_copy(registry: Registry, work: Work, node: Node, how: str) -> None:
    for member in work.members_of(node.id):
        if member.network not in registry.networks:
            continue  # it was deleted, and whoever was in it is yet to be told
        if member.cloned_at and work.now_ms < member.cloned_at + AGAIN_MS:
            continue
        work.members.put(msgspec.structs.replace(member, cloned_at=work.now_ms))
        thing = f"{registry.network_id(member.network)}/{node.address}"
        work.note("controller", "node.cloned", thing, how)
