"""`member adopt`: an imported place gets the key of the node that it is kept for.

The node has the place's name, state and addresses from then on, in all networks that the place is in.
A place is in nobody's netmap, so nobody is told.
"""

from typing import Annotated

import msgspec

from controller.refusal import RefusedError, key_of
from controller.schema.records import is_place
from controller.store.records import State
from controller.store.work import Work
from controller.verbs.member import note
from controller.verbs.member_add import with_way_in
from controller.verbs.office import Found, Items, Office
from protocol.messages import Code


class Adopt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: the node's, in hex; the same call again changes nothing."""

    network: str
    member: str
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


def adopt(office: Office, wanted: Adopt) -> Items:
    network, key = office.network(wanted.network), key_of(wanted.key, "node")

    def do(work: Work) -> Found:
        found = office.member(work, network, wanted.member)
        if found.node.key == key:
            return found
        known = work.node(key)
        if not is_place(found.node) or known is not None:
            reason = "it has a key" if known is None else f"that key is {known.address}'s"
            raise RefusedError(
                Code.CONFLICT, f"cannot give {wanted.member} this key: {reason} already"
            )
        node = msgspec.structs.replace(found.node, key=key)
        work.put_node(node)
        note(office, work, "member.adopt", found, f"key {wanted.key[:12]}…")
        return Found(network, node, found.member)

    found = office.change(do)
    office.wake(found, State(found.member.state))
    return with_way_in(office, found)
