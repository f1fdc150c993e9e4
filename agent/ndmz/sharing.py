"""Whether ndmz shares the host's IPv4, and why. Pure.

sharing = Sharing("auto")
sharing.decide(own4=…, host4=…, there=…, now=…)    # after each look
sharing.may_ask(holds=…, host=…, now=…)            # the same; `deadline`: look again then
"""

from typing import Literal

Setting = Literal["auto", "own", "shared"]

# A server that looks for an address before it offers it takes 3 s, and more when others ask too.
PATIENCE_S = 10.0
# The host changes its lease in well under a second, with a server that looks first in 3 s.
YIELD_S = 5.0


class Sharing:
    """With `auto` a lease of its own is asked for for ever, and taken whenever it comes. Until then
    ndmz shares, once a site that gives the host IPv4 has left ndmz without for PATIENCE_S.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.on = setting == "shared"
        self._since: float | None = None  # the host has IPv4, and ndmz none of its own
        self._bare: float | None = None  # the host has none, and ndmz has

    def decide(self, *, own4: bool, host4: bool, there: bool, now: float) -> bool:
        """`own4`, `host4`: ndmz, the host has an address and a gateway. `there`: the cable is, from
        before; a networkd that was restarted goes on with it.
        """
        if self.setting != "auto":
            return self.on
        if own4 or not host4:
            self._since = None
        elif self._since is None:
            self._since = now
        waited = self._since is not None and now >= self._since + PATIENCE_S
        self.on = not own4 and (there or waited)
        return self.on

    def may_ask(self, *, holds: bool, host: bool, now: float) -> bool:
        """Whether ndmz may ask for a lease, and keep the one that it `holds`. The host comes first:
        at a site with one, ndmz would else take it when the host has to ask again.
        """
        if self.setting != "auto":
            return self.setting == "own"
        if host or not holds:
            self._bare = None
            return host
        if self._bare is None:
            self._bare = now
        return now < self._bare + YIELD_S

    @property
    def deadline(self) -> float | None:
        """When they may say something else though nothing has happened."""
        due = [self._since + PATIENCE_S] if self._since is not None and not self.on else []
        due += [self._bare + YIELD_S] if self._bare is not None else []
        return min(due, default=None)

    @property
    def why(self) -> str:
        """For people: where IPv4 comes from."""
        if not self.on:
            return "a lease of its own"
        if self.setting == "shared":
            return "shared with the host, by config"
        return "shared with the host: this site gives ndmz no lease of its own (still asking)"
