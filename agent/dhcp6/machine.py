"""The DHCPv6 client of RFC 8415 for a prefix, as a machine that does no I/O.

    machine.start(now, first=delegation)
    loop:
        for action in machine.actions(): perform it
        wait for an answer, at most until machine.deadline
        machine.receive(answer, now) or machine.wake(now)

`machine.query` is what an answer must answer. A prefix in hand stays in use through every state until
it expires, is taken back or is replaced: only `Drop` takes it away. Of what a server offers one prefix
is used: the one in hand, else the largest.
"""

import math
from collections.abc import Callable
from ipaddress import IPv6Network

from msgspec import Struct
from msgspec.structs import replace

from agent.dhcp6.delegation import Delegation
from agent.dhcp6.state import (
    Action,
    Bound,
    Confirming,
    Drop,
    Rebinding,
    Released,
    Releasing,
    Renewing,
    Requesting,
    Send,
    Soliciting,
    State,
    Use,
    Waiting,
)
from agent.dhcp6.wire import MIN_RENEW_S, Answer, MessageType, Offer, Query, Status

AT_ONCE = 255  # a preference that ends the wait for others (RFC 8415, 18.2.1)
SOL_MAX_DELAY = 1.0
REQ_MAX_RC, REL_MAX_RC = 10, 4
CNF_MAX_RD = 10.0
LONGEST_REST = 600.0  # after a server that advertises what it then refuses


class Pace(Struct, frozen=True):
    """First and largest time between repeats, in seconds (RFC 8415, 7.6)."""

    first: float
    most: float


SOLICIT, REQUEST = Pace(1, 3600), Pace(1, 30)
RENEW, REBIND, CONFIRM, RELEASE = Pace(10, 600), Pace(10, 600), Pace(1, 4), Pace(1, math.inf)


class Machine:
    """`jitter` gives numbers in [0, 1), `new_xid` 24-bit numbers; both are called at each need."""

    def __init__(
        self, client: bytes, *, new_xid: Callable[[], int], jitter: Callable[[], float]
    ) -> None:
        self._new_xid, self._jitter = new_xid, jitter
        self._query = Query(type=MessageType.SOLICIT, xid=0, client=client)
        self._state: State = Waiting(0.0)
        self._actions: list[Action] = []
        self._refusals = 0  # by servers that had advertised, in a row
        self._solicit = SOLICIT

    @property
    def state(self) -> State:
        return self._state

    @property
    def query(self) -> Query:
        """The last thing we asked; answers answer this."""
        return self._query

    @property
    def delegation(self) -> Delegation | None:
        """The one in use."""
        match self._state:
            case Waiting() | Releasing() | Released():
                return None
            case (
                Soliciting(held=held)
                | Requesting(held=held)
                | Bound(held=held)
                | Renewing(held=held)
                | Rebinding(held=held)
                | Confirming(held=held)
            ):
                return held

    @property
    def deadline(self) -> float:
        """When to call `wake`."""
        held = self.delegation
        return min(self._state.wake_at, held.expires_at) if held else self._state.wake_at

    def actions(self) -> list[Action]:
        """What is to be done since the last call."""
        actions, self._actions = self._actions, []
        return actions

    def start(
        self, now: float, *, first: Delegation | None = None, hint: IPv6Network | None = None
    ) -> None:
        """Begin: with one from before, use it at once and ask about it beside. `hint`: one that is
        over; servers may give it again.
        """
        if first is not None and first.is_valid(now):
            self._actions.append(Use(first))
            self._query = replace(self._query, xid=self._new_xid())
            self._send_confirm(Confirming(now, now, self._rest(CONFIRM), first), now)
        else:
            hint = first.prefix if first is not None else hint
            self._state = Waiting(now + SOL_MAX_DELAY * self._jitter(), hint)

    def release(self, now: float, held: Delegation) -> None:
        """Give it back; over when the state is Released."""
        self._query = replace(self._query, xid=self._new_xid())
        self._send_release(Releasing(now, 0, now, 0.0, held), now)

    def wake(self, now: float) -> None:
        """Time has passed. Too early is harmless."""
        if now < self.deadline:
            return
        held = self.delegation
        if held is not None and now >= held.expires_at:
            self._drop("it expired")
            self._begin(now, hint=held.prefix)
            return
        match self._state:
            case Waiting(hint=hint):
                self._begin(now, hint=hint)
            case Soliciting(best=Answer() as best, held=held):
                self._request(best, now, held=held)
            case Soliciting() as state:
                rest = self._rest(self._solicit, state.rest)
                self._send_solicit(replace(state, rest=rest, first=False), now)
            case Requesting(tries=tries) as state if tries < REQ_MAX_RC:
                self._send_request(replace(state, rest=self._rest(REQUEST, state.rest)), now)
            case Requesting(prefix=prefix, held=held):
                self._begin(now, hint=prefix, held=held)
            case Bound(held=held):
                self._extend(held, now)
            case Renewing(held=held) if now >= held.rebind_at:
                self._extend(held, now)
            case Renewing() as state:
                rest = self._rest(RENEW, state.rest)
                self._send_renew(replace(state, rest=rest), now)
            case Rebinding() as state:
                rest = self._rest(REBIND, state.rest)
                self._send_rebind(replace(state, rest=rest), now)
            case Confirming(began=began, held=held) if now >= began + CNF_MAX_RD:
                self._state = Bound(held, max(now, held.renew_at))
            case Confirming() as state:
                self._send_confirm(replace(state, rest=self._rest(CONFIRM, state.rest)), now)
            case Releasing(tries=tries) as state if tries < REL_MAX_RC:
                self._send_release(state, now)
            case Releasing():
                self._state = Released()
            case Released():
                pass

    def receive(self, answer: Answer, now: float) -> None:
        """An answer to `query`; one that does not fit where we are is ignored."""
        match self._state, answer.type:
            case Soliciting() as state, MessageType.ADVERTISE:
                self._hear(state, answer, now)
            case Requesting(server=server), MessageType.REPLY if answer.server == server:
                self._settle(answer, now)
            case Renewing(held=held), MessageType.REPLY if answer.server == held.server:
                self._settle(answer, now)
            case ((Rebinding() | Confirming()), MessageType.REPLY):
                self._settle(answer, now)
            case Releasing(given=given), MessageType.REPLY if answer.server == given.server:
                self._state = Released()
            case _:
                pass

    # -- what answers do

    def _hear(self, state: Soliciting, answer: Answer, now: float) -> None:
        if answer.sol_max_rt is not None:
            self._solicit = replace(SOLICIT, most=float(answer.sol_max_rt))
        if choose_offer(answer, None) is None:
            return
        if not state.first or answer.preference == AT_ONCE:
            self._request(answer, now, held=state.held)
        elif state.best is None or answer.preference > state.best.preference:
            self._state = replace(state, best=answer)

    def _settle(self, answer: Answer, now: float) -> None:
        """The REPLY of a server that we asked for a prefix, or about the one in hand."""
        held = self.delegation
        offer = choose_offer(answer, held)
        if offer is not None:
            self._refusals = 0
            self._hold(delegation_of(answer, offer, acquired=now))
        elif answer.status == Status.NO_BINDING and held is not None:
            self._request(answer, now, held=held)
        elif answer.status == Status.NO_PREFIX and isinstance(self._state, Requesting):
            self._refused("the server has none for us", now)
        elif held is not None and answer.server == held.server and _mentions(answer, held):
            self._refused("the server takes it back", now)

    def _refused(self, reason: str, now: float) -> None:
        """Later again: a server that offers and refuses in turn must not make us flood the link."""
        held = self.delegation
        self._drop(reason)
        rest = min(2.0**self._refusals, LONGEST_REST)
        self._refusals = min(self._refusals + 1, 10)
        hint = held.prefix if held is not None else None
        self._state = Waiting(now + rest * (0.9 + 0.2 * self._jitter()), hint)

    def _hold(self, held: Delegation) -> None:
        early = 0.1 * self._jitter() * held.renew_s  # not all nodes of a site in one second
        self._state = Bound(held, held.renew_at - early)
        self._actions.append(Use(held))

    def _drop(self, reason: str) -> None:
        if self.delegation is not None:
            self._actions.append(Drop(self.delegation, reason))

    # -- what is asked

    def _begin(
        self, now: float, *, hint: IPv6Network | None, held: Delegation | None = None
    ) -> None:
        self._query = replace(self._query, xid=self._new_xid())
        # RFC 8415, 15: strictly more than the first time, so that every answer has that long
        rest = self._solicit.first * (1.1 - 0.1 * self._jitter())
        self._send_solicit(Soliciting(now, now, rest, hint, held), now)

    def _send_solicit(self, state: Soliciting, now: float) -> None:
        self._state = replace(state, wake_at=now + state.rest)
        self._again(MessageType.SOLICIT, now, began=state.began, prefix=state.hint)

    def _request(self, answer: Answer, now: float, *, held: Delegation | None) -> None:
        offer = choose_offer(answer, held)
        prefix = offer.prefix if offer is not None else held.prefix if held is not None else None
        if prefix is None:
            return
        self._query = replace(self._query, xid=self._new_xid())
        rest = self._rest(REQUEST)
        self._send_request(Requesting(now, 0, now, rest, answer.server, prefix, held), now)

    def _send_request(self, state: Requesting, now: float) -> None:
        self._state = replace(state, tries=state.tries + 1, wake_at=now + state.rest)
        self._again(
            MessageType.REQUEST, now, began=state.began, server=state.server, prefix=state.prefix
        )

    def _extend(self, held: Delegation, now: float) -> None:
        """RENEW: our server; after T2 REBIND: any."""
        self._query = replace(self._query, xid=self._new_xid())
        if now < held.rebind_at:
            self._send_renew(Renewing(now, now, self._rest(RENEW), held), now)
        else:
            self._send_rebind(Rebinding(now, now, self._rest(REBIND), held), now)

    def _send_renew(self, state: Renewing, now: float) -> None:
        held = state.held
        self._state = replace(state, wake_at=min(now + state.rest, held.rebind_at))
        self._again(
            MessageType.RENEW, now, began=state.began, server=held.server, prefix=held.prefix
        )

    def _send_rebind(self, state: Rebinding, now: float) -> None:
        self._state = replace(state, wake_at=now + state.rest)
        self._again(MessageType.REBIND, now, began=state.began, prefix=state.held.prefix)

    def _send_release(self, state: Releasing, now: float) -> None:
        rest, given = self._rest(RELEASE, state.rest), state.given
        self._state = replace(state, tries=state.tries + 1, wake_at=now + rest, rest=rest)
        self._again(
            MessageType.RELEASE, now, began=state.began, server=given.server, prefix=given.prefix
        )

    def _send_confirm(self, state: Confirming, now: float) -> None:
        self._state = replace(state, wake_at=min(now + state.rest, state.began + CNF_MAX_RD))
        self._again(MessageType.REBIND, now, began=state.began, prefix=state.held.prefix)

    def _again(
        self,
        kind: MessageType,
        now: float,
        *,
        began: float,
        prefix: IPv6Network | None,
        server: bytes | None = None,
    ) -> None:
        """With the number of the question before: an answer to any repeat is welcome."""
        self._query = replace(
            self._query, type=kind, server=server, prefix=prefix, elapsed_s=now - began
        )
        self._actions.append(Send(self._query))

    def _rest(self, pace: Pace, before: float = 0.0) -> float:
        """RFC 8415, 15: doubled each time up to `most`, each a tenth more or less."""
        random = 0.2 * self._jitter() - 0.1
        if not before:
            return pace.first * (1 + random)
        rest = before * (2 + random)
        return rest if rest <= pace.most else pace.most * (1 + random)


def choose_offer(answer: Answer, held: Delegation | None) -> Offer | None:
    """Of those that may be used: not one that is on its way out, the one in hand, the largest."""
    known = held.prefix if held is not None else None

    def rank(offer: Offer) -> tuple[bool, bool, int, int]:
        prefix = offer.prefix
        return (
            not offer.preferred_s,
            prefix != known,
            prefix.prefixlen,
            int(prefix.network_address),
        )

    return min((offer for offer in answer.offers if offer.valid_s), key=rank, default=None)


def _mentions(answer: Answer, held: Delegation) -> bool:
    """With a life that is over: `choose_offer` had no use for it."""
    return any(offer.prefix == held.prefix for offer in answer.offers)


def delegation_of(answer: Answer, offer: Offer, *, acquired: float) -> Delegation:
    """T1 and T2 that make no sense become half and four fifths (RFC 8415, 14.2)."""
    renew_s, rebind_s = answer.renew_s, answer.rebind_s
    if not MIN_RENEW_S <= renew_s <= rebind_s < offer.valid_s:
        life = offer.preferred_s if offer.preferred_s >= 2 * MIN_RENEW_S else offer.valid_s
        renew_s, rebind_s = life // 2, life * 4 // 5
    return Delegation(
        prefix=offer.prefix,
        server=answer.server,
        preferred_s=offer.preferred_s,
        valid_s=offer.valid_s,
        renew_s=renew_s,
        rebind_s=rebind_s,
        acquired=acquired,
    )
