"""The boot as a machine without I/O: what NICs report and the time go in, what to do comes out.

    machine = Machine(names, preferences, jitter=random.Random().random)
    machine.start(now)
    loop:
        for action in machine.actions(): perform(action)
        wait for an event, at most until machine.deadline
        machine.carrier(nic, up, now) | .leased(…) | .refused(…) | .routed(…) | .wake(now)

A NIC with carrier is solicited (DHCP by the caller; the kernel asks for routers by itself). The
first usable NIC is taken as soon as no other can still do better, at the latest after the grace.
When all have answered and none is usable, another round follows after 2, 4, 8 … 60 s, for ever;
a cable or a router that comes meanwhile is not made to wait for it. After `Commit` the machine
is at its end.

It knows nothing of recovery, of namespaces and of `zos`.
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from msgspec import Struct, field
from msgspec.structs import replace

from agent.boot.uplink import AddressClass, Candidate, Choice, Ranked, choose

Interface = IPv4Interface | IPv6Interface
FIRST_RETRY = 2.0  # seconds
LAST_RETRY = 60.0
JITTER = 0.2  # a farm that lost its power asks in ± 20 %
ROUTER_WINDOW = 4.0  # radvd answers no sooner than 3 s after its last advertisement
# An RA may overtake DHCP by a millisecond. The NIC that is to be taken gets this long to show its
# lease too: then it can be handed over, and the NIC's class is not decided by a race.
SETTLE = 0.5


class Preferences(Struct, frozen=True, kw_only=True):
    pin: str | None = None
    grace: float = 2.0
    carrier_window: float = 6.0
    dhcp_window: float = 10.0
    # NICs whose gateways are asked instead, and their addresses.
    static: Mapping[str, tuple[Interface, ...]] = field(default_factory=dict)


# What the caller must do.
class Solicit(Struct, frozen=True):
    """Begin DHCP on this NIC, or ask its static gateways, anew if it is under way."""

    nic: str


class Quit(Struct, frozen=True):
    """End DHCP on this NIC: its carrier is gone."""

    nic: str


class Rest(Struct, frozen=True):
    """Nothing usable; the next round begins at `until`."""

    choice: Choice
    until: float


class Commit(Struct, frozen=True):
    choice: Choice


Action = Solicit | Quit | Rest | Commit


# Where the boot is.
class Probing(Struct, frozen=True):
    """`first`: when the first NIC of this round became usable."""

    first: float | None = None


class Resting(Struct, frozen=True):
    until: float


class Committed(Struct, frozen=True):
    choice: Choice


State = Probing | Resting | Committed


class _Nic(Struct):
    """What is known of one NIC; `candidate` is the part that the choice sees."""

    candidate: Candidate
    solicited: float | None = None
    answered4: bool = False  # by a lease or by a refusal

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def hope(self) -> AddressClass:
        """The best class that it may still come to be of."""
        if not self.answered4:
            return AddressClass.PRIVATE4
        found = self.candidate.class4
        return AddressClass.ULA if found is None else min(found, AddressClass.ULA)

    def forget(self) -> None:
        """The cable is out: nothing that was learnt holds any more."""
        self.candidate = blank(self.name, self.candidate.static)
        self.solicited, self.answered4 = None, False


def blank(name: str, static: tuple[Interface, ...]) -> Candidate:
    """A NIC of which nothing is known."""
    if not static:
        return Candidate(name=name, carrier=False)
    return Candidate(name=name, carrier=False, static=static, quiet4="no answer from its gateway")


class Machine:
    def __init__(
        self,
        nics: Iterable[str],
        preferences: Preferences,
        *,
        jitter: Callable[[], float],
    ) -> None:
        """`jitter` gives numbers in [0, 1)."""
        self._preferences = preferences
        self._nics = {name: self._new(name) for name in nics}
        self._jitter = jitter
        self._state: State = Probing()
        self._round = 0
        self._carrier_until = 0.0
        self._deadline: float | None = None
        self._actions: list[Action] = []

    @property
    def state(self) -> State:
        return self._state

    @property
    def round(self) -> int:
        """1 for the first round."""
        return self._round

    @property
    def deadline(self) -> float | None:
        """When to call `wake`; None before `start` and after `Commit`."""
        return self._deadline

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return tuple(nic.candidate for nic in self._nics.values())

    def actions(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    def start(self, now: float) -> None:
        self._carrier_until = now + self._preferences.carrier_window
        self._begin_round(now)

    def appeared(self, name: str, now: float) -> None:
        """A NIC whose driver came late, or that was plugged in."""
        if name not in self._nics:
            self._nics[name] = self._new(name)
            self._carrier_until = max(self._carrier_until, now + self._preferences.carrier_window)
        self._decide(now)

    def vanished(self, name: str, now: float) -> None:
        self._nics.pop(name, None)
        self._decide(now)

    def barred(self, name: str, reason: str, now: float) -> None:
        """This NIC cannot be probed at all."""
        if (nic := self._nics.get(name)) is not None:
            nic.forget()
            nic.candidate = replace(nic.candidate, barred=reason)
        self._decide(now)

    def carrier(self, name: str, up: bool, now: float) -> None:
        nic = self._nics.get(name)
        if nic is None or nic.candidate.carrier == up or nic.candidate.barred:
            return
        if up:
            nic.candidate = replace(nic.candidate, carrier=True)
            self._solicit(nic, now)
        else:
            nic.forget()
            self._actions.append(Quit(name))
        self._decide(now)

    def leased(
        self, name: str, address: IPv4Interface, gateway: IPv4Address | None, now: float
    ) -> None:
        if (nic := self._live(name)) is not None:
            nic.answered4 = True
            nic.candidate = replace(nic.candidate, address4=address, gateway4=gateway)
            self._decide(now)

    def refused(self, name: str, reason: str, now: float) -> None:
        """DHCP ended without a lease: nobody offered one, or it was refused."""
        if (nic := self._live(name)) is not None:
            nic.answered4 = True
            nic.candidate = replace(nic.candidate, address4=None, gateway4=None, quiet4=reason)
            self._decide(now)

    def routed(
        self,
        name: str,
        addresses: tuple[IPv6Interface, ...],
        gateway: IPv6Address | None,
        now: float,
    ) -> None:
        """The IPv6 state of a NIC, whole, whenever it changed."""
        if (nic := self._live(name)) is not None:
            nic.candidate = replace(nic.candidate, addresses6=addresses, gateway6=gateway)
            self._decide(now)

    def wake(self, now: float) -> None:
        """Time has passed. Waking early is harmless."""
        match self._state:
            case Resting(until) if now >= until:
                self._begin_round(now)
            case Probing() | Resting():
                self._decide(now)
            case Committed():
                pass

    def choice(self) -> Choice:
        """What would be chosen from what is known now."""
        return choose(self.candidates, pin=self._preferences.pin)

    def _new(self, name: str) -> _Nic:
        return _Nic(blank(name, self._preferences.static.get(name, ())))

    def _live(self, name: str) -> _Nic | None:
        """A NIC whose answers count: late ones of a NIC without a cable do not."""
        nic = self._nics.get(name)
        return nic if nic is not None and nic.candidate.carrier else None

    def _begin_round(self, now: float) -> None:
        self._round += 1
        self._state = Probing()
        for nic in self._nics.values():
            # A NIC may have had its carrier, and so been solicited, before the start.
            if nic.candidate.carrier and (self._round > 1 or nic.solicited is None):
                self._solicit(nic, now)
        self._decide(now)

    def _solicit(self, nic: _Nic, now: float) -> None:
        nic.solicited, nic.answered4 = now, False
        self._actions.append(Solicit(nic.name))

    def _decide(self, now: float) -> None:
        if self._round == 0 or isinstance(self._state, Committed):
            return
        choice = self.choice()
        pending = {name: end for name, end in self._answers().items() if end > now}
        if choice.uplink is None:
            self._go_on(choice, pending, now)
            return
        first = self._state.first if isinstance(self._state, Probing) else None
        first = now if first is None else first
        self._state = Probing(first)
        until = self._wait_until(choice.uplink, pending, first)
        if until > now:
            self._deadline = until
        else:
            self._state, self._deadline = Committed(choice), None
            self._actions.append(Commit(choice))

    def _go_on(self, choice: Choice, pending: dict[str, float], now: float) -> None:
        """None is usable: wait for those that may still answer, else rest."""
        if pending:
            self._state, self._deadline = Probing(), min(pending.values())
        elif isinstance(self._state, Probing):
            until = now + self._pause()
            self._state, self._deadline = Resting(until), until
            self._actions.append(Rest(choice, until))

    def _answers(self) -> dict[str, float]:
        """Until when each NIC may tell something new; a moment long past for a finished one."""
        return {nic.name: self._answers_until(nic) for nic in self._nics.values()}

    def _answers_until(self, nic: _Nic) -> float:
        if nic.candidate.barred:
            return 0.0
        if nic.solicited is None:
            return self._carrier_until
        until4 = 0.0 if nic.answered4 else nic.solicited + self._preferences.dhcp_window
        until6 = 0.0 if nic.candidate.best6 else nic.solicited + ROUTER_WINDOW
        return max(until4, until6)

    def _wait_until(self, best: Ranked, pending: dict[str, float], first: float) -> float:
        """When the best of now may be taken: at once unless something better may come."""
        nic = self._nics[best.name]
        until = 0.0
        if not nic.answered4 and nic.solicited is not None:
            until = nic.solicited + SETTLE
        rivals = [end for name, end in pending.items() if self._may_outdo(name, best)]
        if rivals:
            until = max(until, min(first + self._preferences.grace, max(rivals)))
        return until

    def _may_outdo(self, name: str, best: Ranked) -> bool:
        """A NIC without a cable is not waited for when it could but be as good."""
        if best.pinned or best.address_class is None or name == best.name:
            return False
        nic = self._nics[name]
        better, equal = nic.hope < best.address_class, nic.hope == best.address_class
        return name == self._preferences.pin or better or (equal and nic.candidate.carrier)

    def _pause(self) -> float:
        """2, 4, 8 … 60 s, each ± 20 %."""
        steady = min(FIRST_RETRY * 2 ** min(self._round - 1, 8), LAST_RETRY)
        return float(steady * (1 + JITTER * (2 * self._jitter() - 1)))
