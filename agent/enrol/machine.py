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
from dataclasses import replace

from agent.enrol.actions import (
    Action,
    Admitted,
    Close,
    Controller,
    Deliver,
    Holding,
    LearnTime,
    Left,
    Me,
    Open,
    Prepare,
    Presence,
    Problem,
    Send,
    TokenRefused,
    Welcomed,
)
from agent.enrol.approach import Approach, Failure
from agent.enrol.asked import Asked, Request
from agent.enrol.phase import Admitting, Connecting, Greeting, Idle, Online, State
from agent.enrol.standing import Membership, Memberships, Standing
from protocol.keys import CurveSecret
from protocol.messages import (
    Ack,
    Admit,
    Code,
    Done,
    FetchRows,
    Hello,
    Join,
    Joined,
    Leave,
    Ping,
    Pong,
    Refresh,
    Refused,
    Reply,
    Rows,
    Unchanged,
    Waiting,
    Welcome,
)

REFRESH = 60.0  # seconds, ± 20 %
PING = 10.0
DEAD = 20.0  # nothing heard
CONNECT = 5.0  # until the handshake
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
        self._fraction = fraction
        self._approach = Approach(controllers, admitted=admitted, fraction=fraction)
        self._memberships = Memberships()
        self._state: State = Idle(0.0)
        self._asked = Asked()
        self._heard_at = self._ping_at = 0.0
        self._actions: list[Action] = []

    # -- what the caller looks at

    @property
    def state(self) -> State:
        return self._state

    @property
    def memberships(self) -> dict[str, Membership]:
        return dict(self._memberships)

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
                due = self._memberships.next_at
                return min([*moments, *due, self._ping_at, self._heard_at + DEAD])

    def actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    # -- what the caller tells

    def start(self, now: float) -> None:
        self._connect(now)

    def use_controllers(self, controllers: tuple[Controller, ...], keyset: int) -> None:
        """A newer keyset was verified. The present connection stays."""
        self._approach.use(controllers)
        self._keyset = keyset

    def add_token(self, token: CurveSecret, now: float, *, tried: bool = False) -> None:
        """A join string. `tried`: it was there before our start and may have been used."""
        self._approach.add(token, tried=tried)
        self._connect(now)

    def keep(self, network: str, holding: Holding) -> None:
        """A network that was joined before our start."""
        self._memberships[network] = Membership(Standing.MEMBER, holding=holding)

    def want(self, network: str, now: float) -> None:
        """Join `network` when we are let in."""
        self._memberships.want(network)
        self._pursue_online(network, now)

    def leave(self, network: str, now: float) -> None:
        self._memberships[network] = Membership(Standing.LEAVING)
        self._pursue_online(network, now)

    def present(self, network: str, presence: Presence, now: float) -> None:
        """What we offer to `network`, at first and whenever it changes."""
        known = self._memberships.get(network)
        if known is None or known.presence == presence:
            return
        self._memberships[network] = replace(known, presence=presence)
        self._pursue_online(network, now)

    def hold(self, network: str, holding: Holding) -> None:
        """What is stored of `network` now; acknowledged when the revision has moved."""
        known = self._memberships.get(network)
        if known is None:
            return
        self._memberships[network] = replace(known, holding=holding)
        if holding.revision != known.holding.revision and isinstance(self._state, Online):
            self._actions.append(Send(Ack(network, holding.revision)))

    def fetch(self, network: str, revision: int, after: bytes, now: float) -> None:
        """Ask for the rows above `revision`."""
        if isinstance(self._state, Online):
            self._asked.give_up(network, FetchRows)
            self._ask(FetchRows(self._asked.new_id(), network, revision, after), now)

    # -- events

    def shaken(self, now: float) -> None:
        """The handshake has succeeded."""
        if not isinstance(self._state, Connecting):
            return
        token = self._state.key
        self._approach.connected()
        self._heard_at, self._ping_at = now, now + PING
        if token is None:
            self._state = Greeting()
            self._ask(self._me.hello(self._asked.new_id(), self._keyset), now)
        else:
            self._approach.shown(token)
            self._state = Admitting(token)
            self._ask(self._me.admit(self._asked.new_id()), now)

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
            case Greeting(), Welcome():
                self._welcomed(reply, now)
            case Online(), Joined():
                self._joined(reply, now)
            case Online(), Rows() if self._memberships.is_kept(reply.network):
                self._actions.append(Deliver(reply))
            case Online(), Unchanged(_, network, time_ms):
                self._actions.append(LearnTime(time_ms))
                at = self._refresh_at(now)
                self._memberships.change(network, Standing.MEMBER, next_at=at)
            case Online(), Waiting(_, network, said, retry_after):
                least = 1.0 if reply.id else 0.0  # a push says that something has changed
                at = now + max(least, retry_after)
                self._memberships.change(network, Standing.WAITING, next_at=at, said=said)
            case Online(), Done() if isinstance(request, Leave):
                self._left(request.network)
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
            self._ask(request, now)
        if now >= self._ping_at and not isinstance(self._state, Admitting):
            self._ping_at = now + PING
            self._actions.append(Send(Ping(self._asked.new_id())))
        if isinstance(self._state, Online):
            for network in self._memberships.due(now):
                self._pursue(network, now)

    # -- connecting

    def _connect(self, now: float) -> None:
        self._asked.clear()
        if not self._approach.has_way_in:
            self._state = Idle(now)
            return
        key = self._approach.next_key()
        self._state = Connecting(key, now + CONNECT)
        self._actions.append(Open(self.controller, key))

    def _rest(self, pause: float, now: float) -> None:
        """Close, and connect again after `pause` seconds."""
        self._asked.clear()
        self._actions.append(Close())
        self._state = Idle(now + pause)
        if not pause:
            self._connect(now)

    def _admit_refused(self, token: CurveSecret, reply: Refused, now: float) -> None:
        if reply.code == Code.BUSY:
            wait = max(1.0, reply.retry_after)
            self._asked.note(self._me.admit(reply.id), now, wait=wait)
            return
        problem = Problem(reply.message, reply.hint)
        self._approach.drop(token, problem)
        self._actions.append(TokenRefused(token, problem))
        self._rest(0.0, now)

    def _welcomed(self, welcome: Welcome, now: float) -> None:
        self._state = Online(now)
        self._actions += [Admitted(token) for token in self._approach.welcomed()]
        self._actions += [LearnTime(welcome.time_ms), Welcomed(welcome)]
        for network in welcome.networks:
            if network not in self._memberships:
                self._memberships.want(network)
        for network, membership in tuple(self._memberships.items()):
            self._pursue(network, now)
            if membership.holding.serial and membership.standing is Standing.MEMBER:
                # pushes went nowhere while we were away
                self.fetch(network, membership.holding.revision, b"", now)

    # -- networks

    def _pursue_online(self, network: str, now: float) -> None:
        if isinstance(self._state, Online):
            self._pursue(network, now)

    def _pursue(self, network: str, now: float) -> None:
        """Ask what there is to ask about `network` now, in place of what was asked before."""
        known = self._memberships[network]
        request = known.request(self._asked.new_id(), network)
        if request is None:
            # again later, if a full disk keeps the caller from it
            self._memberships[network] = replace(known, next_at=now + REFRESH)
            self._actions.append(Prepare(network))
            return
        self._asked.give_up(network, Join, Refresh, Leave)
        self._ask(request, now)
        again = self._refresh_at(now) if isinstance(request, Refresh) else None
        self._memberships[network] = replace(known, next_at=again)

    def _refresh_at(self, now: float) -> float:
        return now + REFRESH * (0.8 + 0.4 * self._fraction())

    def _joined(self, joined: Joined, now: float) -> None:
        network, at = joined.network, self._refresh_at(now)
        if not self._memberships.change(network, Standing.MEMBER, next_at=at):
            return
        self._actions += [LearnTime(joined.time_ms), Deliver(joined)]
        held = self._memberships[network].holding.revision
        if joined.revision != held:
            self.fetch(network, held, b"", now)

    def _left(self, network: str) -> None:
        self._memberships.pop(network, None)
        self._actions.append(Left(network))

    def _request_refused(self, request: Request, reply: Refused, now: float) -> None:
        wait = max(2.0, reply.retry_after)
        if reply.code == Code.BUSY:
            self._asked.note(request, now, wait=wait)
            return
        said = {"said": reply.message, "hint": reply.hint}
        match request:
            case Leave(_, network) if reply.code == Code.NOT_FOUND:
                self._left(network)
            case Refresh(_, network) if reply.code == Code.NOT_FOUND:
                # forgotten there, or restored without us: ask to be let in again
                self._memberships.change(network, Standing.JOINING, next_at=now + wait, **said)
            case Join(_, network) | Refresh(_, network):
                at = now + max(REFRESH, reply.retry_after)
                self._memberships.change(network, Standing.REFUSED, next_at=at, **said)
            case Hello():
                self._rest(self._approach.lost(Problem(reply.message, reply.hint)), now)
            case Admit() | FetchRows() | Leave():
                pass

    def _ask(self, request: Request, now: float) -> None:
        self._asked.note(request, now)
        self._actions.append(Send(request))
