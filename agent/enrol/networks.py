"""What is asked about each network over a living connection, and what the answers mean. Pure.

The machine owns the connection; `is_online` says whether there is one to ask on. What was asked and
is no longer of interest is given up, so that about one network one thing is asked at a time.
"""

from collections.abc import Callable

from msgspec.structs import replace

from agent.enrol.actions import (
    Action,
    Deliver,
    Holding,
    LearnTime,
    Left,
    Prepare,
    Presence,
    Send,
)
from agent.enrol.asked import Asked, Request
from agent.enrol.standing import Membership, Memberships, Standing
from protocol.messages import (
    Ack,
    Code,
    FetchRows,
    Join,
    Joined,
    Leave,
    Refresh,
    Refused,
    Unchanged,
    Waiting,
)

REFRESH = 60.0  # seconds, ± 20 %


class Networks:
    def __init__(
        self,
        asked: Asked,
        do: Callable[[Action], None],
        *,
        is_online: Callable[[], bool],
        fraction: Callable[[], float],
    ) -> None:
        self.known = Memberships()
        self._asked, self._do = asked, do
        self._is_online, self._fraction = is_online, fraction

    # -- what this node wants and has

    def want(self, network: str, now: float) -> None:
        self.known.want(network)
        self.pursue_online(network, now)

    def leave(self, network: str, now: float) -> None:
        self.known[network] = Membership(Standing.LEAVING)
        self.pursue_online(network, now)

    def present(self, network: str, presence: Presence, now: float) -> None:
        known = self.known.get(network)
        if known is None or known.presence == presence:
            return
        self.known[network] = replace(known, presence=presence)
        self.pursue_online(network, now)

    def hold(self, network: str, holding: Holding) -> None:
        known = self.known.get(network)
        if known is None:
            return
        self.known[network] = replace(known, holding=holding)
        if holding.revision != known.holding.revision and self._is_online():
            self._do(Send(Ack(network, holding.revision)))

    def fetch(self, network: str, revision: int, after: bytes, now: float) -> None:
        if self._is_online():
            self._asked.give_up(network, FetchRows)
            self.ask(FetchRows(self._asked.new_id(), network, revision, after), now)

    def ask(self, request: Request, now: float) -> None:
        self._asked.note(request, now)
        self._do(Send(request))

    # -- what the controller says

    def welcomed(self, networks: tuple[str, ...], now: float) -> None:
        """A new connection, and where the controller knows us."""
        for network in networks:
            if network not in self.known:
                self.known.want(network)
        for network, membership in tuple(self.known.items()):
            self.pursue(network, now)
            if membership.holding.serial and membership.standing is Standing.MEMBER:
                # pushes went nowhere while we were away
                self.fetch(network, membership.holding.revision, b"", now)

    def joined(self, joined: Joined, now: float) -> None:
        network, at = joined.network, self._refresh_at(now)
        if not self.known.change(network, Standing.MEMBER, next_at=at):
            return
        self._do(LearnTime(joined.time_ms))
        self._do(Deliver(joined))
        held = self.known[network].holding.revision
        if joined.revision != held:
            self.fetch(network, held, b"", now)

    def unchanged(self, reply: Unchanged, now: float) -> None:
        self._do(LearnTime(reply.time_ms))
        self.known.change(reply.network, Standing.MEMBER, next_at=self._refresh_at(now))

    def waiting(self, reply: Waiting, now: float) -> None:
        network = reply.network
        if reply.id == 0 and reply.state == "authorized" and network not in self.known:
            self.want(network, now)  # somebody has given us a place there
            return
        least = 1.0 if reply.id else 0.0  # a push says that something has changed
        at = now + max(least, reply.retry_after)
        self.known.change(network, Standing.WAITING, next_at=at, said=reply.state)

    def left(self, network: str) -> None:
        self.known.pop(network, None)
        self._do(Left(network))

    def refused(self, request: Request, reply: Refused, now: float) -> None:
        """An answer to what was asked about a network; it is not `busy`."""
        wait = max(2.0, reply.retry_after)
        said = {"said": reply.message, "hint": reply.hint}
        match request:
            case Leave(_, network) if reply.code == Code.NOT_FOUND:
                self.left(network)
            case Refresh(_, network) if reply.code == Code.NOT_FOUND:
                # forgotten there, or restored without us: ask to be let in again
                self.known.change(network, Standing.JOINING, next_at=now + wait, **said)
            case Join(_, network) | Refresh(_, network):
                at = now + max(REFRESH, reply.retry_after)
                self.known.change(network, Standing.REFUSED, next_at=at, **said)
            case _:
                pass

    # -- asking

    def pursue_due(self, now: float) -> None:
        for network in self.known.due(now):
            self.pursue(network, now)

    def pursue(self, network: str, now: float) -> None:
        """Ask what there is to ask about `network` now, in place of what was asked before."""
        known = self.known[network]
        request = known.request(self._asked.new_id(), network)
        if request is None:
            # again later, if a full disk keeps the caller from it
            self.known[network] = replace(known, next_at=now + REFRESH)
            self._do(Prepare(network))
            return
        self._asked.give_up(network, Join, Refresh, Leave)
        self.ask(request, now)
        again = self._refresh_at(now) if isinstance(request, Refresh) else None
        self.known[network] = replace(known, next_at=again)

    def pursue_online(self, network: str, now: float) -> None:
        if self._is_online():
            self.pursue(network, now)

    def _refresh_at(self, now: float) -> float:
        return now + REFRESH * (0.8 + 0.4 * self._fraction())
