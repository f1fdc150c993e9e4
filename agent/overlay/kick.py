"""How one pair starts: who speaks when, until packets have come back. Pure.

    kick = Kick(plan, now, ...)
    peer = Peer(key, allowed, kick.endpoint, kick.keepalive)     # what to set at first
    match kick.wake(stat, now):                                  # at kick.deadline, or more often
        case Do.RESET: remove the peer and set it again, in one request
        case Do.SET:   give it the endpoint
        case None:     nothing

Two ends that both begin drop each other's answers for 5 to 15 seconds, and an initiation that
comes before the other end knows us bars us for 5 seconds. So one end begins, and sets the peer anew
each time it has waited in vain: a new peer has forgotten the five seconds. The other end waits to
be spoken to; it speaks itself after 3 s (0.5 s when it boots from its cache), and once more:
the beginner may have lost it, or be behind something that lets nothing in.
"""

from enum import Enum, auto

from netns.wireguard.device import Endpoint, PeerStat

FIRST_KICK = 0.15  # seconds
GROWTH = 1.6
LAST_KICK = 3.0
FOLLOWER_WAIT = 3.0
FOLLOWER_WAIT_AT_BOOT = 0.5
ASK_AGAIN, ASKS = 1.1, 2  # seconds, times; WireGuard's own repeat comes after 5
KEEPALIVE = 25
KICKS_PER_ENDPOINT = 3
PROOF_WAIT = 5.0
RESPONSE_SIZE = 92  # bytes of a handshake response: one that received more has received data


class Do(Enum):
    SET = auto()
    RESET = auto()


class Phase(Enum):
    KICKING = auto()  # the beginner, no handshake yet
    WAITING = auto()  # the other end, not spoken to yet
    ASKED = auto()  # the other end, has spoken itself
    PROVING = auto()  # the beginner, handshake but no data yet
    SETTLED = auto()


class Kick:
    def __init__(
        self,
        endpoints: tuple[Endpoint, ...],
        *,
        initiator: bool,
        last: Endpoint | None = None,
        settled: bool = False,
        from_cache: bool = False,
        now: float,
    ) -> None:
        """`last`: where to try when `endpoints` fail. `settled`: the device has a session with it
        that we found (we were restarted).
        """
        self._endpoints, self._last = endpoints, last
        self.initiator = initiator
        self._pause = FIRST_KICK
        self._kicks = self._asks = 0
        self._proved_again = False
        self.endpoint: Endpoint | None = endpoints[0] if initiator and endpoints else None
        self.keepalive = KEEPALIVE if initiator else 0
        if settled:
            self.phase, self.deadline = Phase.SETTLED, None
        elif initiator:
            self.phase, self.deadline = Phase.KICKING, now + FIRST_KICK
        else:
            wait = FOLLOWER_WAIT_AT_BOOT if from_cache else FOLLOWER_WAIT
            self.phase, self.deadline = Phase.WAITING, now + wait

    phase: Phase
    deadline: float | None

    def move(
        self, endpoints: tuple[Endpoint, ...], now: float, *, last: Endpoint | None = None
    ) -> Do | None:
        """The hints may have changed. A beginner whose endpoint is not among the new ones takes the
        first; a session stays, WireGuard itself begins anew if the old place is dead.
        """
        stays = self.endpoint in endpoints or endpoints == self._endpoints
        self._endpoints, self._last = endpoints, last
        if self.phase is Phase.WAITING and self.deadline is None and endpoints:
            self.deadline = now  # the time to ask had come, and there was nobody to ask
        if not self.initiator or not endpoints or stays:
            return None
        self.endpoint = endpoints[0]
        if self.phase is Phase.KICKING:
            self._pause, self.deadline = FIRST_KICK, now + FIRST_KICK
            return Do.RESET
        return Do.SET

    def restart(self, now: float) -> Do | None:
        """We are elsewhere: a session's way is of no use any more. A beginner begins anew; the other
        end only has to say something, and is followed.
        """
        if not self.initiator or not self._endpoints:
            return None
        self.phase, self._kicks, self._proved_again = Phase.KICKING, 0, False
        self.endpoint = self._endpoints[0]
        self._pause, self.deadline = FIRST_KICK, now + FIRST_KICK
        return Do.RESET

    def wake(self, stat: PeerStat, now: float) -> Do | None:
        """Time has passed; `stat` is what the device says of the peer now."""
        match self.phase:
            case Phase.SETTLED:
                return None
            case Phase.KICKING if stat.handshake is not None:
                self.phase, self.deadline = Phase.PROVING, now + PROOF_WAIT
                return self._prove(stat, now)
            case Phase.KICKING:
                return self._kick(now)
            case Phase.PROVING:
                return self._prove(stat, now)
            case Phase.WAITING | Phase.ASKED if stat.handshake is not None:
                self.phase, self.deadline = Phase.SETTLED, None
                return None
            case Phase.WAITING | Phase.ASKED:
                return self._ask(now)

    def _due(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline

    def _kick(self, now: float) -> Do | None:
        if not self._due(now) or not self._endpoints:
            return None
        self._kicks += 1
        turn = self._kicks // KICKS_PER_ENDPOINT
        places = self._endpoints if self._last is None else (*self._endpoints, self._last)
        self.endpoint = places[turn % len(places)]
        self._pause = min(self._pause * GROWTH, LAST_KICK)
        self.deadline = now + self._pause
        return Do.RESET

    def _prove(self, stat: PeerStat, now: float) -> Do | None:
        """A handshake is no proof: it may be one of a session that the other end dropped."""
        if stat.rx > RESPONSE_SIZE or (self._due(now) and self._proved_again):
            self.phase, self.deadline = Phase.SETTLED, None
            return None
        if not self._due(now):
            return None
        self._proved_again = True
        self.phase = Phase.KICKING
        self._pause, self.deadline = FIRST_KICK, now + FIRST_KICK
        return Do.RESET

    def _ask(self, now: float) -> Do | None:
        if not self._due(now):
            return None
        self.deadline = None
        if not self._endpoints:
            return None
        self._asks += 1
        if self._asks < ASKS:
            self.deadline = now + ASK_AGAIN
        self.phase = Phase.ASKED
        self.endpoint, self.keepalive = self._endpoints[0], KEEPALIVE
        # made anew: what was to be sent before there was an endpoint has begun the five seconds
        return Do.RESET
