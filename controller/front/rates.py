"""How much each connected key may ask: a purse that fills again with time. Pure.

    purse = rates.purse(who, now)
    purse.may_speak                  # else the frame is dropped unread
    purse.spend(cost)                # else it is told to come later
    purse.fine(cost)

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
COSTS = {"join": 8.0, "leave": 40.0, "hello": 4.0, "refresh": 4.0, "mint": 40.0, "rotate": 40.0}


@dataclass(slots=True)
class Purse:
    left: float
    at: float

    @property
    def may_speak(self) -> bool:
        return self.left > -DEBT

    def spend(self, cost: float) -> bool:
        """False: too fast; asking all the same costs as well."""
        enough = self.left >= cost
        self.left -= cost if enough else 1.0
        return enough

    def fine(self, cost: float) -> None:
        """For what cost the others something."""
        self.left -= cost


class Rates:
    def __init__(self) -> None:
        self._purses: dict[str | bytes, Purse] = {}

    def __len__(self) -> int:
        return len(self._purses)

    def sweep(self, now: float) -> None:
        """Forget those who are rich again."""
        for who in [w for w in self._purses if self.purse(w, now).left >= BURST]:
            del self._purses[who]

    def purse(self, who: str | bytes, now: float) -> Purse:
        """As full as it is by now."""
        purse = self._purses.get(who)
        if purse is None:
            purse = self._purses[who] = Purse(BURST, now)
        elif purse.at != now:
            left = purse.left + (now - purse.at) * RATE
            purse.left = min(BURST, left)  # `min` is a call
            purse.at = now
        return purse
