"""Which part of the controller handles which message of a node."""

from controller.front.request import Request
from controller.members import admission, membership, minting, rotation
from controller.members.membership import JoinedLater
from controller.refusal import RefusedError
from controller.registry import Registry
from controller.store.work import Work
from protocol.messages import Admit, Hello, Join, Leave, Mint, Refresh, Reply, Rotate

Outcome = Reply | JoinedLater


def handle(registry: Registry, work: Work, request: Request) -> Outcome:
    key = request.key
    try:
        match request.message:
            case Admit() as message:
                return admission.admit(registry, work, key, message)
            case Hello() as message:
                return membership.hello(registry, work, key, message, request.observed)
            case Refresh() as message:
                return membership.refresh(registry, work, key, message)
            case Join() as message:
                return membership.join(registry, work, key, message)
            case Leave() as message:
                return membership.leave(registry, work, key, message)
            case Mint() as message:
                return minting.mint(registry, work, key, message)
            case Rotate() as message:
                return rotation.rotate(work, membership.known_node(work, key), message)
            case _:
                raise TypeError(type(request.message).__name__)
    except RefusedError as refusal:
        return refusal.reply(request.id)
