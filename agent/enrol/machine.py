"""Admission to one farm and the connection that is kept to its controllers. Pure.

    machine.start(now)
    loop:
        for action in machine.actions(): perform(action)
        wait for an event, at most until machine.deadline
        machine.shaken(now) | refused(why, now) | lost(now) | received(reply, now) | wake(now)

A token's connection may only say Admit; what follows goes over a connection with the node's own
key. One socket an attempt: a refused one loses what is sent on it, and never says so.

What was asked and not answered is asked again after a while and on each handshake; all requests
are idempotent. No answer withdraws anything: a network that is joined stays joined.
"""

from collections.abc import Callable

from agent.enrol.actions import (
    Action,
    Admitted,
    Close,
    Controller,
    Deliver,
    Holding,
    LearnTime,
    Me,
    Open,
    Presence,
    Problem,
    Send,
    TakeKeys,
    TokenRefused,
    Turned,
    Welcomed,
)
from agent.enrol.approach import Approach, Failure, Own
from agent.enrol.asked import Asked, Request
from agent.enrol.networks import Networks
from agent.enrol.phase import Admitting, Connecting, Greeting, Idle, Online, State
from agent.enrol.standing import Membership, Standing
from protocol.keys import CurvePublic, CurveSecret
from protocol.messages import (
    AckKeys,
    Code,
    Done,
    Hello,
    Joined,
    Keys,
    Leave,
    Ping,
    Pong,
    Refused,
    Reply,
    Rotate,
    Rows,
    Unchanged,
    Waiting,
    Welcome,
)

PING = 10.0  # seconds
STALE, DEAD = PING + 1.0, 20.0  # nothing heard
BUSY = 1.0  # at least, before a busy controller is asked again
CONNECT = 5.0  # until the handshake
CLONED = 600.0  # the other machine with our key goes on; whoever comes later wins
LOOK_IN = 600.0  # a node that has left all networks: is there a place for it again?
STUMBLED = 10.0  # a disk is not emptied sooner


class Machine:
    def __init__(
        self,
        me: Me,
        controllers: tuple[Controller, ...],
        *,
        admitted: bool,
        keyset: int = 0,
        fraction: Callable[[], float],
    ) -> None:
        """`keyset`: the number of the newest one held. `fraction`: a random number in 0 … 1."""
        self._me = me
        self._keyset = keyset
        self._told_keyset = 0  # what the controller knows that we hold
        self._fraction = fraction
        self._approach = Approach(controllers, admitted=admitted, fraction=fraction)
        self._state: State = Idle(0.0)
        self._asked = Asked()
        self._heard_at = self._ping_at = 0.0
        self._actions: list[Action] = []
        self._next: CurvePublic | None = None
        self._networks = Networks(
            self._asked,
            self._actions.append,
            is_online=lambda: isinstance(self._state, Online),
            fraction=fraction,
        )

    # -- what the caller looks at

    def silence(self, now: float) -> int:
        """Seconds since the controller was heard, once it owes us the answer to a ping."""
        silent = now - self._heard_at if isinstance(self._state, Online) else 0.0
        return int(silent) if silent >= STALE else 0

    @property
    def state(self) -> State:
        return self._state

    @property
    def memberships(self) -> dict[str, Membership]:
        return dict(self._networks.known)

    @property
    def admitted(self) -> bool:
        return self._approach.admitted

    @property
    def controller(self) -> Controller:
        return self._approach.controller

    @property
    def problem(self) -> Problem | None:
        return self._approach.problem

    @property
    def deadline(self) -> float | None:
        """When to call `wake`; None: only something from outside can change anything."""
        moments = self._asked.moments
        match self._state:
            case Idle(until):
                return until if self._approach.has_way_in else None
            case Connecting(_, until):
                return until
            case Admitting():
                return min([*moments, self._heard_at + DEAD])
            case Greeting():
                return min([*moments, self._ping_at, self._heard_at + DEAD])
            case Online():
                due = self._networks.known.next_at
                return min([*moments, *due, self._ping_at, self._heard_at + DEAD])

    def actions(self) -> list[Action]:
        actions = self._actions.copy()
        self._actions.clear()
        return actions

    # -- what the caller tells

    def start(self, now: float) -> None:
        self._connect(now)

    def use_controllers(self, controllers: tuple[Controller, ...], keyset: int) -> None:
        """A newer keyset was verified. The present connection stays."""
        self._approach.use(controllers)
        self._keyset = keyset

    def reach(self, families: frozenset[int], now: float) -> None:
        """The families by which there is a way out of this node. Where IPv4 comes after IPv6 a controller
        shall see us by it: it tells as whom, and that address of the site is closed then.
        """
        turned = self._approach.reach(families)
        if turned and isinstance(self._state, Connecting | Greeting | Online):
            self._rest(0.0, now)

    def refresh(self, now: float) -> None:
        """Ask about all networks now: what we hold of them may not be believed any more."""
        for network in tuple(self._networks.known):
            self._networks.pursue_online(network, now)

    def holds(self, keyset: int) -> None:
        """The keyset of this number is stored: the controller waits to hear it."""
        if keyset != self._told_keyset and isinstance(self._state, Online):
            self._told_keyset = keyset
            self._actions.append(Send(AckKeys(keyset)))

    def add_token(self, token: CurveSecret, now: float, *, tried: bool = False) -> None:
        """A join string. `tried`: it was there before our start and may have been used."""
        self._approach.add(token, tried=tried)
        self._connect(now)

    def expect(self, now: float) -> None:
        """A join string without a token: our key is known there, or will be."""
        self._approach.expect()
        self._connect(now)

    def keep(self, network: str, holding: Holding) -> None:
        """A network that was joined before our start."""
        self._networks.known[network] = Membership(Standing.MEMBER, holding=holding)

    def rotate(self, key: CurvePublic, now: float, *, known: bool = False) -> None:
        """`key` is to be this node's; `known`: the controller has let us in with it before."""
        self._next = key
        self._approach.name_next(first=known)
        self._name_next(now)

    def settle(self, me: Me) -> None:
        """The next key is the present one, everywhere."""
        self._me, self._next = me, None
        self._approach.settle()

    def want(self, network: str, now: float) -> None:
        """Join `network` when we are let in."""
        self._networks.want(network, now)

    def leave(self, network: str, now: float) -> None:
        self._networks.leave(network, now)

    def present(self, network: str, presence: Presence, now: float) -> None:
        """What we offer to `network`, at first and whenever it changes."""
        self._networks.present(network, presence, now)

    def hold(self, network: str, holding: Holding) -> None:
        """What is stored of `network` now; acknowledged when the revision has moved."""
        self._networks.hold(network, holding)

    def fetch(self, network: str, revision: int, after: bytes, now: float) -> None:
        """Ask for the rows above `revision`."""
        self._networks.fetch(network, revision, after, now)

    def forget(self, network: str, now: float) -> None:
        """It was deleted: there is nobody to take leave of."""
        self._left(network, now)

    # -- events

    def shaken(self, now: float) -> None:
        """The handshake has succeeded."""
        if not isinstance(self._state, Connecting):
            return
        token = self._state.key
        self._approach.connected()
        self._heard_at, self._ping_at = now, now + PING
        if token is None or isinstance(token, Own):
            self._state = Greeting(token)
            self._told_keyset = self._keyset
            self._networks.ask(self._me.hello(self._asked.new_id(), self._keyset), now)
        else:
            self._approach.shown(token)
            self._state = Admitting(token)
            self._networks.ask(self._me.admit(self._asked.new_id()), now)

    def refused(self, why: Failure, now: float) -> None:
        """The handshake has failed."""
        if not isinstance(self._state, Connecting):
            return
        match why:
            case Failure.NO_DETAIL:
                self._rest(self._approach.failed_without_detail(), now)
            case Failure.AUTH:
                pause, settled = self._approach.denied(self._state.key)
                if settled is not None:
                    self._actions.append(Admitted(settled))
                self._rest(pause, now)

    def stumbled(self, now: float) -> None:
        """What the controller told could not be kept: let it tell again, over a new connection."""
        self._rest(STUMBLED, now)

    def lost(self, now: float) -> None:
        """The connection has ended, or could not be made."""
        match self._state:
            case Connecting():
                where = self.controller.endpoint
                problem = Problem(
                    f"cannot reach the controller at {where}",
                    "is it running, and does the node have a way to it?",
                )
                self._rest(self._approach.lost(problem), now)
            case Admitting() | Greeting() | Online():
                self._rest(self._approach.lost(), now)
            case Idle():
                pass

    def received(self, reply: Reply, now: float) -> None:
        self._heard_at = now
        request = self._asked.answered(reply.id)
        match self._state, reply:
            case ((Greeting() | Online()), Refused(0)):  # pushed: this connection is over
                pause = self._approach.dismissed(Problem(reply.message, reply.hint))
                self._rest(CLONED if reply.code == Code.CLONED else pause, now)
            case _, Ping(number):
                self._actions.append(Send(Pong(number, 0)))
            case _, Pong(_, time_ms):
                self._actions.append(LearnTime(time_ms))
            case Admitting(token), Done():
                self._approach.used(token)
                self._actions.append(Admitted(token))
                self._rest(0.0, now)
            case Admitting(token), Refused():
                self._admit_refused(token, reply, now)
            case Greeting(own), Welcome():
                self._welcomed(reply, own, now)
            case Online(), Joined():
                self._networks.joined(reply, now)
            case Online(), Keys(_, keyset):
                self._told_keyset = 0  # our word of it was lost, when we hold it already
                self._actions.append(TakeKeys(keyset))
            case Online(), Rows() if self._networks.known.is_kept(reply.network):
                self._actions.append(Deliver(reply))
            case Online(), Unchanged():
                self._networks.unchanged(reply, now)
            case Online(), Waiting():
                self._networks.waiting(reply, now)
            case Online(), Done() if isinstance(request, Rotate):
                self._approach.name_next(first=True)
                self._rest(0.0, now)
            case Online(), Done() if isinstance(request, Leave):
                self._left(request.network, now)
            case ((Greeting() | Online()), Refused()) if request is not None:
                self._request_refused(request, reply, now)
            case _:
                pass  # late, or an answer to what we did not ask

    def wake(self, now: float) -> None:
        """Time has passed; waking early is harmless."""
        if self.deadline is None or now < self.deadline:
            return
        match self._state:
            case Idle():
                self._connect(now)
            case Connecting():
                self.lost(now)
            case Admitting() | Greeting() | Online() if now >= self._heard_at + DEAD:
                said = f"it is silent for {DEAD:.0f} s"
                problem = Problem(
                    f"cannot reach the controller at {self.controller.endpoint}: {said}"
                )
                self._rest(self._approach.lost(problem), now)
            case Admitting() | Greeting() | Online():
                self._speak(now)

    def _speak(self, now: float) -> None:
        """What is due on a living connection."""
        for request in self._asked.due(now):
            self._networks.ask(request, now)
        if now >= self._ping_at and not isinstance(self._state, Admitting):
            self._ping_at = now + PING
            self._actions.append(Send(Ping(self._asked.new_id())))
        if isinstance(self._state, Online):
            self._networks.pursue_due(now)

    # -- connecting

    def _connect(self, now: float) -> None:
        self._asked.clear()
        if not self._approach.has_way_in:
            self._state = Idle(now)
            return
        key = self._approach.next_key()
        self._state = Connecting(key, now + CONNECT)
        token = None if isinstance(key, Own) else key
        self._actions.append(Open(self.controller, token, next=key is Own.NEXT))

    def _rest(self, pause: float, now: float) -> None:
        """Close, and connect again after `pause` seconds."""
        self._asked.clear()
        self._actions.append(Close())
        self._state = Idle(now + pause)
        if not pause:
            self._connect(now)

    def _admit_refused(self, token: CurveSecret, reply: Refused, now: float) -> None:
        if reply.code == Code.BUSY:
            self._asked.note(self._me.admit(reply.id), now, wait=self._patience(reply))
            return
        problem = Problem(reply.message, reply.hint)
        if reply.code == Code.FULL:
            self._rest(self._approach.postponed(token, problem, reply.retry_after), now)
            return
        self._approach.drop(token, problem)
        self._actions.append(TokenRefused(token, problem))
        self._rest(0.0, now)

    def _welcomed(self, welcome: Welcome, own: Own | None, now: float) -> None:
        self._state = Online(now, own)
        self._actions += [Admitted(token) for token in self._approach.welcomed()]
        self._actions += [LearnTime(welcome.time_ms), Welcomed(welcome)]
        if own is Own.NEXT:
            self._approach.name_next(first=True)
            self._actions.append(Turned())
        self._name_next(now)
        self._networks.welcomed(welcome.networks, now)

    # -- answers

    def _left(self, network: str, now: float) -> None:
        self._networks.left(network)
        if not self._networks.known:
            self._rest(LOOK_IN, now)

    def _patience(self, busy: Refused) -> float:
        """Not sooner than it says; and those who were told the same come one after the other."""
        return max(BUSY, busy.retry_after) * (1 + self._fraction())

    def _request_refused(self, request: Request, reply: Refused, now: float) -> None:
        if reply.code == Code.BUSY:
            self._asked.note(request, now, wait=self._patience(reply))
        elif isinstance(request, Rotate):
            self._approach.dismissed(Problem(reply.message, reply.hint))
        elif isinstance(request, Hello):
            self._rest(self._approach.lost(Problem(reply.message, reply.hint)), now)
        else:
            self._networks.refused(request, reply, now)

    def _name_next(self, now: float) -> None:
        """By the present key: the next one may take its place."""
        if self._next is not None and isinstance(self._state, Online) and not self._state.own:
            self._networks.ask(Rotate(self._asked.new_id(), bytes(self._next)), now)
