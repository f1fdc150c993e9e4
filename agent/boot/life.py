"""The uplink for life: when the node leaves the NIC that carries it, and when it goes back. Pure.

    life = Life("eth0")
    life.alive(True, now) | life.alive(False, now, "no carrier")      whenever it is looked at
    life.ready("eth1", now) | life.unready("eth1")                    what a standby NIC's probe found
    move = life.decide(now)                                           → Move or None
    life.moved("eth1", now) | life.failed("eth1", now)                how it ended
    life.deadline                                                     when to decide again

An uplink that has been dead for 30 s is left for a NIC that is ready. One that comes and goes is
not alive before it has been so for a while, so flapping ends on a NIC that does not flap. The NIC
of the boot is home: the node goes back there, and nowhere else, when it has been ready without a
break for 300 s. A healthy uplink is never left for one that merely ranks higher.
"""

from msgspec import Struct

DEAD_AFTER = 30.0  # seconds
BACK_AFTER = 300.0
FRESH = 60.0  # how long a probe's finding holds
SETTLED = 5.0  # alive without a break for so long ends a death
RETRY = 10.0  # after a move that failed


class Move(Struct, frozen=True):
    nic: str
    reason: str


class _Standby(Struct):
    since: float  # ready without a break
    seen: float  # by the last probe


class Life:
    def __init__(
        self, uplink: str, *, dead_after: float = DEAD_AFTER, back_after: float = BACK_AFTER
    ) -> None:
        """`uplink` is the NIC that the boot chose."""
        self.uplink = self.home = uplink
        self._dead_after, self._back_after = dead_after, back_after
        self._dead_since: float | None = None
        self._alive_since: float | None = None
        self._why = ""
        self._standbys: dict[str, _Standby] = {}
        self._retry_at = 0.0
        self._deadline: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `decide` may say something new without an event; None: not before one."""
        return self._deadline

    @property
    def dead_since(self) -> float | None:
        return self._dead_since

    @property
    def trouble(self) -> str:
        """Why the uplink is held to be dead; nothing while it is alive."""
        return self._why if self._dead_since is not None else ""

    def is_over(self, now: float) -> bool:
        """Whether the uplink is to be left, if there is a NIC to go to."""
        since = self._dead_since
        return since is not None and now >= since + self._dead_after and self._alive_since is None

    def alive(self, alive: bool, now: float, why: str = "") -> None:
        if not alive:
            self._alive_since, self._why = None, why
            if self._dead_since is None:
                self._dead_since = now
            return
        if self._alive_since is None:
            self._alive_since = now
        if self._dead_since is not None and now - self._alive_since >= SETTLED:
            self._dead_since = None

    def ready(self, nic: str, now: float) -> None:
        """Its probe has just found a way out."""
        known = self._standbys.get(nic)
        if known is None or now - known.seen > FRESH:
            self._standbys[nic] = _Standby(now, now)
        else:
            known.seen = now

    def unready(self, nic: str) -> None:
        """No carrier, no way out, or the NIC is gone."""
        self._standbys.pop(nic, None)

    def is_ready(self, nic: str, now: float) -> bool:
        standby = self._standbys.get(nic)
        return standby is not None and now - standby.seen <= FRESH

    def decide(self, now: float, ranked: tuple[str, ...] = ()) -> Move | None:
        """`ranked`: standby NICs, best first."""
        self._deadline = None
        usable = [nic for nic in ranked if self.is_ready(nic, now)]
        if now < self._retry_at:
            self._deadline = self._retry_at
            return None
        if self._dead_since is not None:
            return self._flee(usable, self._dead_since, now)
        return self._return(usable, now)

    def moved(self, nic: str, now: float) -> None:
        self.uplink = nic
        self._standbys.pop(nic, None)
        self._dead_since = self._alive_since = None
        self._why = ""
        self._retry_at = now

    def failed(self, nic: str, now: float) -> None:
        self._standbys.pop(nic, None)
        self._retry_at = now + RETRY

    def _flee(self, usable: list[str], since: float, now: float) -> Move | None:
        if now < since + self._dead_after:
            self._deadline = since + self._dead_after
            return None
        if not usable or not self.is_over(now):  # alive just now, perhaps for good
            return None
        return Move(usable[0], f"{self.uplink} is dead for {now - since:.0f} s: {self._why}")

    def _return(self, usable: list[str], now: float) -> Move | None:
        if self.uplink == self.home or self.home not in usable:
            return None
        due = self._standbys[self.home].since + self._back_after
        if now < due:
            self._deadline = due
            return None
        return Move(self.home, f"{self.home} is ready again for {self._back_after:.0f} s")
