"""The peers of one device: kept as the plan says, started by kicks, endpoints learnt.

    peering = Peering(backend, "w-1a2b")
    peering.renew(from_cache=True)            # the device is new: every pair starts anew
    next_at = await peering.tend(plan, key, now)

Peers that are as they should be are not touched: their sessions live. An endpoint that was learnt
by roaming is newer than any hint and stays.
"""

import errno
import logging
from collections.abc import Iterable

from agent.enrol.store import WireGuardKey
from agent.overlay.kick import Do, Kick
from agent.overlay.peers import PeerPlan, Plan
from netns.wireguard.backend import WireGuardBackend, WireGuardError
from netns.wireguard.device import (
    Device,
    Endpoint,
    Op,
    Peer,
    PeerStat,
    Place,
    Reading,
    Reset,
    Upsert,
    diff,
    keep_roamed,
    validate,
)

log = logging.getLogger(__name__)

_NEVER = PeerStat()
_Step = Upsert | Reset | Place


class DeviceGoneError(Exception):
    """There is no device (any more)."""


class PortTakenError(Exception):
    """Somebody else listens on our port."""


class Peering:
    def __init__(self, backend: WireGuardBackend, device: str) -> None:
        self._backend, self._device = backend, device
        self._kicks: dict[bytes, Kick] = {}
        self._from_cache = False
        self._elsewhere = False
        self.reading: Reading | None = None
        self.learnt: dict[bytes, Endpoint] = {}

    def renew(self, *, from_cache: bool) -> None:
        """The device is new. `from_cache`: all others may have started at the same moment."""
        self._kicks.clear()
        self._from_cache = from_cache
        self.reading = None

    def restart(self) -> None:
        """The node is elsewhere: pairs that it begins begin anew at the next `tend`, and of the others
        the device forgets from which address it answered: wireguard-go goes on for 15 s.
        """
        self._elsewhere = True

    async def tend(self, plan: Plan, key: WireGuardKey, now: float) -> float | None:
        """Look, repair, kick; returns when to come again at the latest (None: no hurry).

        Raises DeviceGoneError, PortTakenError, WireGuardError, DeviceError.
        """
        reading = await self._backend.read(self._device)
        if reading is None:
            raise DeviceGoneError
        self.reading = reading
        self._learn(reading)
        steps = self._steer(plan, reading, now)
        want = Device(
            bytes(key.secret), key.port, {k: self._peer(p) for k, p in plan.peers.items()}
        )
        validate(want)
        # a peer that is stepped gets all of its values with the step, and only once: two requests
        # are two initiations in a moment, the second forgets the first and is dropped as a flood
        stepped = {step.peer.key for step in steps if not isinstance(step, Place)}
        repairs = diff(reading.device, keep_roamed(reading.device, want))
        ops = [*(op for op in repairs if _key_of(op) not in stepped), *steps]
        if ops:
            await self._apply(ops)
        return self._deadline()

    async def _apply(self, ops: Iterable[Op]) -> None:
        try:
            await self._backend.apply(self._device, ops)
        except WireGuardError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError from error
            raise

    def _steer(self, plan: Plan, reading: Reading, now: float) -> list[_Step]:
        """Start pairs that are new, move those whose hints changed, kick those that are due."""
        for key in self._kicks.keys() - plan.peers.keys():
            del self._kicks[key]
        steps: list[_Step] = []
        for key, peer in plan.peers.items():
            kick, do = self._kicks.get(key), None
            begins = kick is None or kick.initiator != peer.initiator
            if kick is None or begins:
                kick = self._kicks[key] = self._start(peer, reading, now)
            else:
                do = kick.move(peer.endpoints, now, last=peer.last)
                do = do or kick.wake(reading.stats.get(key, _NEVER), now)
            if self._elsewhere:
                do = kick.restart(now) or do
            match do:
                case Do.RESET:
                    steps.append(Reset(self._peer(peer)))
                case Do.SET:
                    steps.append(Upsert(self._peer(peer)))
                case None if begins or self._elsewhere:
                    steps += self._place_again(peer, reading)
                case None:
                    pass
        self._elsewhere = False
        return steps

    def _start(self, peer: PeerPlan, reading: Reading, now: float) -> Kick:
        known = reading.stats.get(peer.key, _NEVER)
        return Kick(
            peer.endpoints,
            initiator=peer.initiator,
            last=peer.last,
            settled=known.handshake is not None,
            from_cache=self._from_cache,
            now=now,
        )

    def _place_again(self, peer: PeerPlan, reading: Reading) -> list[Place]:
        """To be told where a peer is makes a device choose its own address anew; that of a device that
        we found may have gone while we were away.
        """
        known = reading.device.peers.get(peer.key)
        if known is None or known.endpoint is None:
            return []
        return [Place(peer.key, known.endpoint)]

    def _peer(self, peer: PeerPlan) -> Peer:
        kick = self._kicks[peer.key]
        return Peer(peer.key, peer.allowed, kick.endpoint, kick.keepalive)

    def _deadline(self) -> float | None:
        deadlines = (kick.deadline for kick in self._kicks.values())
        return min((moment for moment in deadlines if moment is not None), default=None)

    def _learn(self, reading: Reading) -> None:
        for key, peer in reading.device.peers.items():
            stat = reading.stats.get(key, _NEVER)
            if peer.endpoint is not None and stat.handshake is not None:
                self.learnt[key] = peer.endpoint


def _key_of(op: Op) -> bytes | None:
    """Whose peer it makes or changes."""
    return op.peer.key if isinstance(op, Upsert | Reset) else None
