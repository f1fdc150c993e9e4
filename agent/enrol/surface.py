"""What a farm needs of the node around it."""

from collections.abc import Callable

import zmq
from msgspec import Struct

from agent.enrol.actions import Controller, Me, Presence
from agent.enrol.sink import Sink
from agent.enrol.store import FarmFile, Store
from agent.enrol.turning import OwnKeys
from protocol.keys import CurvePublic
from protocol.statements import Keyset


class Surface(Struct, frozen=True):
    me: Me
    own: OwnKeys
    store: Store
    sink: Sink
    context: "zmq.Context[zmq.Socket[bytes]]"
    fraction: Callable[[], float]
    elapsed: Callable[[], float]  # seconds since boot
    on_time: Callable[[int], None]
    on_observed: Callable[[str], None]
    presence: Callable[[str], Presence]  # of this node in a network
    forget: Callable[[str], None]  # a network that was left
    on_turned: Callable[[], None] = lambda: None  # a farm has let in the next key
    on_change: Callable[[], None] = lambda: None  # `status` may say something else now
    endpoints: tuple[str, ...] = ()  # instead of those that the farm names

    def controllers(self, file: FarmFile, keyset: Keyset | None) -> tuple[Controller, ...]:
        """Those of the keyset; before there is one, those of the join string."""
        known = [
            Controller(endpoint, CurvePublic(entry.key))
            for entry in (keyset.controllers if keyset else ())
            for endpoint in entry.endpoints
        ] or [Controller(c.endpoint, CurvePublic(c.key)) for c in file.controllers]
        if self.endpoints:
            keys = dict.fromkeys(controller.key for controller in known)
            known = [Controller(e, key) for e in self.endpoints for key in keys]
        return tuple(known)
