"""Which links may be probed as an uplink: a pure rule, with a reason for those that may not.

for link in await home.links():
    reason = why_not(link, config.eligible)      # None: probe it
"""

from fnmatch import fnmatchcase

from agent.config import Nics
from netns.values import Link

# Roles of links that we made on top of NICs (agent.boot.layers), to be an uplink as a NIC is.
LAYERS = ("bond", "vlan")


def why_not(link: Link, nics: Nics) -> str | None:
    """Why `link` is no candidate, in the words of the status; None when it is one."""
    reason = why_never(link, nics)
    if reason is None and link.master is not None:
        return "has a master already"
    return reason


def why_never(link: Link, nics: Nics) -> str | None:
    """As `why_not`, for a link that may be a port of `zos` by now."""
    kind = link.kind or "physical"
    if link.loopback:
        return "the loopback"
    if link.role not in (None, *LAYERS) or link.half_made:
        return f"made by zosnet ({link.role or 'half-made'})"
    if kind not in nics.kinds:
        return f"{kind} is not among nics.kinds"
    return why_not_named(link.name, nics) or (None if link.mac else "has no MAC")


def why_not_named(name: str, nics: Nics) -> str | None:
    """What the config says of a name alone."""
    if any(fnmatchcase(name, pattern) for pattern in nics.exclude):
        return "excluded by nics.exclude"
    if nics.include and not any(fnmatchcase(name, pattern) for pattern in nics.include):
        return "not among nics.include"
    return None
