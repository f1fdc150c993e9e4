"""How much each connected key may ask: a purse that fills again with time. Pure.

    rates.may_speak(who, now)        # else the frame is dropped unread
    rates.spend(who, cost, now)      # else it is told to come later
    rates.fine(who, cost, now)

A purse is a key's, not a connection's: whoever connects again, or says hello again, has the same one.
Many nodes share a token's key, so a token's connections have one each; they can do little.
What a request costs is about what it costs the controller and the other members: a join is a
transaction, a signature and a push to everybody.
"""

from dataclasses import dataclass

RATE = 100.0  # a second
BURST = 400.0
DEBT = 50.0  # so many are still told that they are too fast, before nobody listens
CLASH = 40.0  # fine for a message that made its batch fail
COSTS = {"join": 8.0, "leave": 40.0, "hello": 4.0, "refresh": 4.0}


@dataclass(slots=True)
class _Purse:
    left: float
    at: float


class Rates:
    def __init__(self) -> None:
        self._purses: dict[str | bytes, _Purse] = {}

    def __len__(self) -> int:
        return len(self._purses)

    def may_speak(self, who: str | bytes, now: float) -> bool:
        return self._purse(who, now).left > -DEBT

    def spend(self, who: str | bytes, cost: float, now: float) -> bool:
        """False: too fast; asking all the same costs as well."""
        purse = self._purse(who, now)
        enough = purse.left >= cost
        purse.left -= cost if enough else 1.0
        return enough

    def fine(self, who: str | bytes, cost: float, now: float) -> None:
        """For what cost the others something."""
        self._purse(who, now).left -= cost

    def sweep(self, now: float) -> None:
        """Forget those who are rich again."""
        for who in [w for w in self._purses if self._purse(w, now).left >= BURST]:
            del self._purses[who]

    def _purse(self, who: str | bytes, now: float) -> _Purse:
        purse = self._purses.get(who)
        if purse is None:
            purse = self._purses[who] = _Purse(BURST, now)
        purse.left = min(BURST, purse.left + (now - purse.at) * RATE)
        purse.at = now
        return purse
