"""Which controller is tried next, with which key, and after how long. Pure.

A token that was never shown goes first, then the node's own key, then tokens that may have been
used: when the answer to Admit was lost, being let in with the own key is the answer. A node that
was admitted long ago cannot tell that way; it shows the token again, and when that is refused it
was used: by us.
"""

from collections.abc import Callable, Iterator
from enum import Enum, IntEnum, auto

from agent.enrol.actions import Controller, Problem
from protocol.keys import CurveSecret

RECONNECT_FIRST, RECONNECT_LAST = 0.5, 30.0  # seconds, full jitter
REFUSED_FIRST, REFUSED_LAST = 2.0, 60.0
WRONG_KEY_AFTER = 3  # handshakes that failed without a detail, in a row


class Own(Enum):
    """The node's next key: let in as soon as the present one has named it to the controller."""

    NEXT = auto()


Key = CurveSecret | Own | None  # None: the node's present own


class Failure(Enum):
    """How a handshake failed."""

    AUTH = auto()  # the controller does not let in the key that it was shown
    NO_DETAIL = auto()  # the other end does not have the key we expect, or died


class _Weight(IntEnum):
    """How much a problem tells: the heaviest is the one that is shown."""

    AWAY = 1
    WRONG_KEY = 2
    REFUSED = 3


class Approach:
    def __init__(
        self,
        controllers: tuple[Controller, ...],
        *,
        admitted: bool,
        fraction: Callable[[], float],
    ) -> None:
        self.admitted = admitted
        self._expected = False
        self._own: tuple[Key, ...] = (None,)
        self._problems: dict[str, tuple[_Weight, Problem]] = {}  # the last of each endpoint
        self._controllers = controllers
        self._families: frozenset[int] = frozenset()  # by which there is a way; none: not known
        self._turn = 0
        self._fraction = fraction
        self._tokens: dict[CurveSecret, bool] = {}  # whether Admit may have been sent with it
        self._refused: set[Key] = set()  # in this round
        self._pause = RECONNECT_FIRST
        self._refused_pause = REFUSED_FIRST
        self._no_detail = 0

    @property
    def controller(self) -> Controller:
        return self._controllers[self._turn % len(self._controllers)]

    @property
    def problem(self) -> Problem | None:
        """What says most: that a controller refuses us, rather than that another is away."""
        known = [
            self._problems[c.endpoint] for c in self._controllers if c.endpoint in self._problems
        ]
        return max(known, key=lambda entry: entry[0])[1] if known else None

    def _note(self, weight: _Weight, problem: Problem) -> None:
        self._problems[self.controller.endpoint] = weight, problem

    @property
    def has_way_in(self) -> bool:
        return self.admitted or self._expected or bool(self._tokens)

    def use(self, controllers: tuple[Controller, ...]) -> None:
        current = self.controller
        self._controllers = controllers
        self._turn = controllers.index(current) if current in controllers else 0

    def reach(self, families: frozenset[int]) -> bool:
        """There is a way by these. Returns whether it is another controller's turn for it: to the one of
        now there is none, or IPv4 has come and it is reached by IPv6.
        """
        before, came = self.controller, families - self._families
        self._families = families
        of4 = [turn for turn, one in enumerate(self._controllers) if one.family == 4]
        if 4 in came and of4 and before.family != 4:
            self._turn = of4[0]
        elif not self._has_way:
            self._turn_on()
        return self.controller != before

    @property
    def _has_way(self) -> bool:
        """As far as one knows."""
        return not self._families or self.controller.family in (None, *self._families)

    def _turn_on(self) -> None:
        """To the next controller to whom there is a way."""
        for _ in self._controllers:
            self._turn += 1
            if self._has_way:
                return

    def add(self, token: CurveSecret, *, tried: bool) -> None:
        self._tokens.setdefault(token, tried)
        self._problems.clear()
        self._refused.clear()
        self._refused_pause = REFUSED_FIRST

    def name_next(self, *, first: bool) -> None:
        """There is a next key; `first`: the controller knows it."""
        self._own = (Own.NEXT, None) if first else (None, Own.NEXT)
        self._refused.clear()

    def settle(self) -> None:
        """What was the next key is the present one."""
        self._own = (None,)
        self._refused.clear()

    def expect(self) -> None:
        """The controller knows our key already, somebody says: no token is needed."""
        self._expected = True
        self._problems.clear()
        self._refused.clear()
        self._refused_pause = REFUSED_FIRST

    def next_key(self) -> Key:
        """The key to show now."""
        return next((key for key in self._order() if key not in self._refused), None)

    def _order(self) -> Iterator[Key]:
        tried = [token for token, shown in self._tokens.items() if shown]
        yield from (token for token, shown in self._tokens.items() if not shown)
        yield from tried if self.admitted else ()
        yield from self._own
        yield from tried

    def shown(self, token: CurveSecret) -> None:
        """Admit goes out with `token` now."""
        self._tokens[token] = True

    def connected(self) -> None:
        """A handshake succeeded: the controller is there and has the right key."""
        self._no_detail = 0

    def used(self, token: CurveSecret) -> None:
        """The controller said that `token` has let us in."""
        self._tokens.pop(token, None)
        self.admitted = True
        self._problems.clear()

    def drop(self, token: CurveSecret, problem: Problem) -> None:
        """The controller said that `token` will never do."""
        self._tokens.pop(token, None)
        self._note(_Weight.REFUSED, problem)

    def welcomed(self) -> list[CurveSecret]:
        """Let in with the own key; returns the tokens that have done it, though nobody said so."""
        done = [] if self.admitted else [token for token, shown in self._tokens.items() if shown]
        for token in done:
            del self._tokens[token]
        self.admitted = True
        self._problems.clear()
        self._refused.clear()
        self._pause, self._refused_pause = RECONNECT_FIRST, REFUSED_FIRST
        return done

    def lost(self, problem: Problem | None = None, *, weight: _Weight | None = None) -> float:
        """The next controller; returns after how many seconds."""
        if problem is not None:
            self._note(weight or _Weight.AWAY, problem)
        self._turn_on()
        pause = self._pause * self._fraction()
        self._pause = min(self._pause * 2, RECONNECT_LAST)
        return pause

    def dismissed(self, problem: Problem) -> float:
        """The controller ended the connection; it may let us in again some day."""
        self._note(_Weight.REFUSED, problem)
        return REFUSED_FIRST * (0.5 + self._fraction())

    def postponed(self, token: CurveSecret, problem: Problem, wait: float) -> float:
        """The controller cannot take us now; the token is as good as before."""
        self._tokens[token] = False
        self._note(_Weight.REFUSED, problem)
        return max(REFUSED_LAST, wait) * (1 + 0.5 * self._fraction())

    def failed_without_detail(self) -> float:
        self._no_detail += 1
        if self._no_detail < WRONG_KEY_AFTER:
            return self.lost()
        return self.lost(
            Problem(
                f"cannot reach the controller at {self.controller.endpoint}: it does not have the"
                " key that this node expects",
                "wrong controller key? make a new join string: ncadm token create NETWORK",
            ),
            weight=_Weight.WRONG_KEY,
        )

    def denied(self, key: Key) -> tuple[float, CurveSecret | None]:
        """`key` was not let in. Returns after how many seconds to go on (0: with another key, at
        once), and a token that is settled by this: it was used, by us.
        """
        self._no_detail = 0
        if isinstance(key, bytes) and self.admitted and self._tokens.get(CurveSecret(key)):
            del self._tokens[CurveSecret(key)]
            return 0.0, CurveSecret(key)
        self._refused.add(key)
        if any(other not in self._refused for other in self._order()):
            return 0.0, None
        self._say_denied()
        self._refused.clear()
        self._turn_on()
        pause = self._refused_pause
        self._refused_pause = min(pause * 2, REFUSED_LAST)
        return pause, None

    def _say_denied(self) -> None:
        where = self.controller.endpoint
        if self._tokens:
            problem = Problem(
                f"cannot be admitted by {where}: the token is used up, expired or unknown there",
                "make a new join string: ncadm token create NETWORK",
            )
        elif not self.admitted:
            problem = Problem(
                f"cannot be admitted by {where}: it does not know this node's key",
                "there: ncadm member add NETWORK KEY; here `zosnet-agent key` prints it",
            )
        else:
            problem = Problem(
                f"cannot connect to {where}: it does not let this node in (banned or forgotten)",
                "ask the operator, or join again: ncadm token create NETWORK",
            )
        self._note(_Weight.REFUSED, problem)
