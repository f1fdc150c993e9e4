"""What becomes of the connection of a node that has lost its place.

A node that is in no network any more, or banned in all, is told so and its session ends at once;
ZAP refuses it when it comes again. One that has a place elsewhere stays connected.
"""

from controller.store.records import Node, State
from controller.store.work import Work
from protocol.messages import Code


def dismiss_if_out(work: Work, node: Node, why: str) -> None:
    """`why` completes "cannot talk to this node: "."""
    members = work.members_of(node.id)
    if not work.is_whole(node.id):
        return
    if not members:
        work.dismiss(node.key, Code.DENIED, why, "join with a new token")
    elif all(member.state == State.BANNED for member in members):
        work.dismiss(node.key, Code.BANNED, why)


def end_if_all_left(work: Work, node: Node) -> None:
    """The node has left its last network of its own will: it needs no telling."""
    if work.is_whole(node.id) and all(member.left_at for member in work.members_of(node.id)):
        work.dismiss(node.key)
