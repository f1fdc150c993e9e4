"""The DHCPv4 client of RFC 2131, section 4.4, as a machine that does no I/O.

    machine.start(now, first=lease)
    loop:
        for action in machine.actions(): perform it
        wait for a reply, at most until machine.deadline
        machine.receive(reply, now) or machine.wake(now)

`machine.query` is what a reply must answer. Times are seconds on the caller's clock, which must
be the one that leases are counted on. A lease in hand stays in use through every state until it
expires, is refused, is found in conflict or is replaced: only `Drop` takes an address away.
"""

import math
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from msgspec import Struct
from msgspec.structs import replace

from agent.dhcp.lease import Lease, client_id, hardware_address
from agent.dhcp.wire import UNSPECIFIED, Grant, MessageType, Nak, Query, Reply

# A switch's port wakes up some milliseconds after its link and swallows what comes before: some
# repeats at once, a few hundred bytes, instead of a second of waiting for every other boot.
EARLY_RETRIES = (0.001, 0.002, 0.004, 0.016, 0.064, 0.256)
FIRST_RETRY = 1.0  # RFC 2131 has 4 s
LAST_RETRY = 64.0
REQUEST_TRIES = 4  # 15 s, then from the start
SECOND_LOOK = 1.0  # for a better offer than one that is doubtful (RFC 2131, 4.4.1)
REBOOT_RETRY = 0.4
REBOOT_TRIES = 2  # a server that forgot us is silent unless it is authoritative
MIN_RENEW_RETRY = 60.0  # RFC 2131, 4.4.5
DECLINE_WAIT = 10.0  # RFC 2131, 3.1
# Tries; some servers or access points cannot unicast to us: RFC 1542, 3.1.1
BROADCAST_AFTER = len(EARLY_RETRIES) + 2


# What the caller must do.
class Send(Struct, frozen=True):
    query: Query
    to: IPv4Address | None  # None: broadcast, before there is an address to send from


class Use(Struct, frozen=True):
    """Have this lease's address, instead of the one before if that differs."""

    lease: Lease


class Drop(Struct, frozen=True):
    """The address may not be used any more."""

    lease: Lease
    reason: str


Action = Send | Use | Drop


# Where we are, and until when (`wake_at`) if nothing comes. `held` is a lease that is still good while we look for its successor.
class Waiting(Struct, frozen=True):
    """INIT, for a while: after a DECLINE, or between a server's refusals."""

    wake_at: float


class Selecting(Struct, frozen=True):
    began: float
    tries: int
    wake_at: float
    hint: IPv4Address | None
    held: Lease | None
    doubtful: Grant | None = None  # an offer that is taken at `take_at` if no better one comes
    take_at: float = math.inf


class Requesting(Struct, frozen=True):
    began: float
    tries: int
    wake_at: float
    offer: Grant
    held: Lease | None


class Rebooting(Struct, frozen=True):
    """INIT-REBOOT: asking whether a lease from before is still ours."""

    began: float
    tries: int
    wake_at: float
    lease: Lease


class Bound(Struct, frozen=True):
    lease: Lease
    wake_at: float  # a little before T1


class Renewing(Struct, frozen=True):
    began: float
    lease: Lease
    wake_at: float


class Rebinding(Struct, frozen=True):
    began: float
    lease: Lease
    wake_at: float


State = Waiting | Selecting | Requesting | Rebooting | Bound | Renewing | Rebinding


class Machine:
    """`jitter` gives numbers in [0, 1), `new_xid` 32-bit numbers; both are called at each need."""

    def __init__(
        self,
        mac: str,
        *,
        new_xid: Callable[[], int],
        jitter: Callable[[], float],
        static_routes: bool = False,
        avoid: tuple[IPv4Network, ...] = (),
    ) -> None:
        self._new_xid = new_xid
        self._jitter = jitter
        self._query = Query(
            type=MessageType.DISCOVER,
            xid=0,
            hardware=hardware_address(mac),
            client_id=client_id(mac),
            static_routes=static_routes,
            avoid=avoid,
        )
        self._state: State = Waiting(0.0)
        self._actions: list[Action] = []
        self._refusals = 0  # NAKs in a row

    @property
    def state(self) -> State:
        return self._state

    @property
    def query(self) -> Query:
        """The last thing we asked; replies answer this."""
        return self._query

    @property
    def lease(self) -> Lease | None:
        """The lease in use."""
        match self._state:
            case Waiting():
                return None
            case Selecting(held=lease) | Requesting(held=lease):
                return lease
            case (
                Rebooting(lease=lease)
                | Bound(lease=lease)
                | Renewing(lease=lease)
                | Rebinding(lease=lease)
            ):
                return lease

    @property
    def deadline(self) -> float:
        """When to call `wake`."""
        due = self._state.wake_at
        if isinstance(self._state, Selecting):
            due = min(due, self._state.take_at)
        return min(due, self.lease.expires_at) if self.lease else due

    def actions(self) -> list[Action]:
        """What is to be done since the last call."""
        actions, self._actions = self._actions, []
        return actions

    def start(self, now: float, *, first: Lease | None = None) -> None:
        """Begin: with a valid lease from before, use it at once and ask about it beside."""
        if first is not None and first.is_valid(now):
            self._actions.append(Use(first))
            self._reboot(first, now)
        else:
            self._discover(now, hint=first.address.ip if first else None)

    def reconnect(self, now: float) -> None:
        """The cable is back, perhaps in another network: ask again, without waiting."""
        lease = self.lease
        if lease is not None and lease.is_valid(now):
            self._reboot(lease, now)
        elif lease is not None:
            self._expire(lease, now)
        elif isinstance(self._state, Selecting):  # the same xid: an offer may be on its way
            self._send_discover(Selecting(now, 1, now, self._state.hint, None), now)
        elif isinstance(self._state, Requesting):
            self._discover(now)

    def conflict(self, now: float, *, holder: str) -> None:
        """Somebody else (`holder`, a MAC) uses our address (RFC 5227; RFC 2131, 4.4.4)."""
        lease = self.lease
        if lease is None:
            return
        self._drop(f"its address is in use by {holder}")
        self._ask(
            MessageType.DECLINE,
            xid=self._new_xid(),
            requested=lease.address.ip,
            server=lease.server,
        )
        self._state = Waiting(now + DECLINE_WAIT)

    def wake(self, now: float) -> None:
        """Time has passed. Too early is harmless."""
        if now < self.deadline:
            return
        lease = self.lease
        if lease is not None and now >= lease.expires_at:
            self._expire(lease, now)
            return
        match self._state:
            case Waiting():
                self._discover(now)
            case Selecting(doubtful=Grant() as offer, held=held, take_at=at) if now >= at:
                self._send_request(Requesting(now, 1, now, offer, held), now)
            case Selecting() as state:
                self._send_discover(replace(state, tries=state.tries + 1), now)
            case Requesting(tries=tries) as state if tries < REQUEST_TRIES:
                self._send_request(replace(state, tries=tries + 1), now)
            case Requesting(offer=offer, held=held):
                self._discover(now, held=held, hint=offer.address.ip)
            case Rebooting(tries=tries) as state if tries < REBOOT_TRIES:
                self._send_reboot(replace(state, tries=tries + 1), now)
            case Rebooting(lease=lease):
                self._discover(now, held=lease, hint=lease.address.ip)
            case Bound(lease=lease) | Renewing(lease=lease) | Rebinding(lease=lease):
                self._extend(lease, now)

    def receive(self, reply: Reply, now: float) -> None:
        """A reply to `query`; one that does not fit where we are is ignored."""
        match self._state, reply:
            case Selecting() as state, Grant(type=MessageType.OFFER, doubtful=True) as offer:
                if state.doubtful is None:
                    self._state = replace(state, doubtful=offer, take_at=now + SECOND_LOOK)
            case (
                (Selecting(held=held) | Requesting(offer=Grant(doubtful=True), held=held)),
                Grant(type=MessageType.OFFER, doubtful=False) as offer,
            ):
                self._send_request(Requesting(now, 1, now, offer, held), now)
            case Requesting(began=began, offer=offer), Grant(type=MessageType.ACK) as ack:
                if ack.server == offer.server:
                    self._hold(ack, now, asked=began)
            case (
                Rebooting(began=began) | Renewing(began=began) | Rebinding(began=began),
                Grant(type=MessageType.ACK) as ack,
            ):
                self._hold(ack, now, asked=began)
            case Requesting(offer=offer), Nak(server=server) if server != offer.server:
                pass
            case ((Requesting() | Rebooting() | Renewing() | Rebinding()), Nak(text=text)):
                self._refused(text, now)
            case _:
                pass

    def _hold(self, ack: Grant, now: float, *, asked: float) -> None:
        # RFC 2131, 4.4.1: a lease begins when it was asked for, not when the answer came.
        lease = lease_of(ack, acquired=asked, client_id=self._query.client_id)
        if not lease.is_valid(now):
            return
        self._refusals = 0
        # Many nodes come up after one power cut; they need not all renew in one second.
        early = 0.1 * self._jitter() * lease.renew_s
        self._state = Bound(lease, lease.renew_at - early)
        self._actions.append(Use(lease))

    def _expire(self, lease: Lease, now: float) -> None:
        self._drop("it expired")
        self._discover(now, hint=lease.address.ip)

    def _refused(self, text: str, now: float) -> None:
        if self.lease is not None:
            self._drop(f"the server refused it ({text})" if text else "the server refused it")
        if self._refusals == 0:
            self._discover(now)
        else:  # a server that offers and refuses in turn must not make us flood the link
            self._state = Waiting(now + self._backoff(self._refusals))
        self._refusals += 1

    def _drop(self, reason: str) -> None:
        if self.lease is not None:
            self._actions.append(Drop(self.lease, reason))

    def _discover(
        self, now: float, *, held: Lease | None = None, hint: IPv4Address | None = None
    ) -> None:
        # One xid for all tries: a server that checks the address first offers after 3 s, and the
        # answer to any try is welcome.
        self._query = replace(self._query, xid=self._new_xid())
        self._send_discover(Selecting(now, 1, now, hint, held), now)

    def _send_discover(self, state: Selecting, now: float) -> None:
        early = len(EARLY_RETRIES)
        if state.tries <= early:
            delay = EARLY_RETRIES[state.tries - 1]
        else:
            delay = self._backoff(state.tries - early)
        self._state = replace(state, wake_at=now + delay)
        self._ask(
            MessageType.DISCOVER,
            requested=state.hint,
            broadcast=state.tries > BROADCAST_AFTER,
            secs=int(now - state.began),
        )

    def _send_request(self, state: Requesting, now: float) -> None:
        self._state = replace(state, wake_at=now + self._backoff(state.tries))
        self._ask(
            MessageType.REQUEST,
            requested=state.offer.address.ip,
            server=state.offer.server,
            broadcast=state.tries > 2 or self._query.broadcast,
            secs=self._query.secs,  # RFC 2131, 4.4.1: as in the DISCOVER
        )

    def _reboot(self, lease: Lease, now: float) -> None:
        self._query = replace(self._query, xid=self._new_xid())
        self._send_reboot(Rebooting(now, 1, now, lease), now)

    def _send_reboot(self, state: Rebooting, now: float) -> None:
        delay = REBOOT_RETRY * (0.9 + 0.2 * self._jitter())
        self._state = replace(state, wake_at=now + delay)
        # RFC 2131, 4.3.2: INIT-REBOOT has option 50, no server identifier and ciaddr 0.
        self._ask(MessageType.REQUEST, requested=state.lease.address.ip, broadcast=state.tries > 1)

    def _extend(self, lease: Lease, now: float) -> None:
        """RENEWING: ask our server; after T2 REBINDING: ask anybody. Half of what is left between."""
        renewing = now < lease.rebind_at
        limit = lease.rebind_at if renewing else lease.expires_at
        wake_at = min(limit, now + max(MIN_RENEW_RETRY, (limit - now) / 2))
        state = Renewing if renewing else Rebinding
        self._state = state(now, lease, wake_at)
        self._ask(
            MessageType.REQUEST,
            to=lease.server if renewing else None,
            xid=self._new_xid(),
            ciaddr=lease.address.ip,
        )

    def _ask(
        self,
        kind: MessageType,
        *,
        to: IPv4Address | None = None,
        xid: int | None = None,
        ciaddr: IPv4Address = UNSPECIFIED,
        requested: IPv4Address | None = None,
        server: IPv4Address | None = None,
        broadcast: bool = False,
        secs: int = 0,
    ) -> None:
        self._query = replace(
            self._query,
            type=kind,
            xid=self._query.xid if xid is None else xid,
            ciaddr=ciaddr,
            requested=requested,
            server=server,
            broadcast=broadcast,
            secs=secs,
        )
        self._actions.append(Send(self._query, to))

    def _backoff(self, tries: int) -> float:
        """1, 2, 4 … 64 s, each a tenth more or less."""
        delay = min(FIRST_RETRY * 2.0 ** min(tries - 1, 10), LAST_RETRY)
        return delay * (0.9 + 0.2 * self._jitter())


def lease_of(ack: Grant, *, acquired: float, client_id: bytes) -> Lease:
    return Lease(
        address=ack.address,
        routers=ack.routers,
        server=ack.server,
        dns=ack.dns,
        domain=ack.domain,
        mtu=ack.mtu,
        routes=ack.routes,
        lease_s=ack.lease_s,
        renew_s=ack.renew_s,
        rebind_s=ack.rebind_s,
        acquired=acquired,
        client_id=client_id,
    )
