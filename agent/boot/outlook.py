"""What `internet` would choose now: the last probe's facts, the links as they are, today's config.

    seen = outlook(status, links, config.eligible)
    seen.choice, seen.left_out

Pure: probes nothing. A NIC that was not probed since power-on is ranked as unusable.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from agent.boot.facts import candidate
from agent.boot.nics import LAYERS, why_never, why_not_named
from agent.boot.status import BootStatus, Nic
from agent.boot.uplink import Candidate, Choice, choose, natural
from agent.config import Nics
from netns.values import Link


class Outlook(Struct, frozen=True):
    choice: Choice
    left_out: tuple[tuple[str, str], ...]  # link and why it is no candidate


def outlook(status: BootStatus | None, links: Iterable[Link], nics: Nics) -> Outlook:
    """`links` are those at home; NICs in probe namespaces are known from `status`."""
    known = {nic.name: nic for nic in status.nics} if status is not None else {}
    at_home = {
        link.name: link for link in links if not link.loopback and link.role in (None, *LAYERS)
    }
    candidates, left_out = [], []
    for name in sorted({*known, *at_home}, key=natural):
        link = at_home.get(name)
        reason = why_not_named(name, nics) if link is None else why_never(link, nics)
        if reason is None:
            candidates.append(_candidate(name, known.get(name), link))
        else:
            left_out.append((name, reason))
    return Outlook(choose(candidates, pin=nics.pin), tuple(left_out))


def _candidate(name: str, nic: Nic | None, link: Link | None) -> Candidate:
    if nic is None:
        return Candidate(name=name, barred="not probed yet")
    if link is not None and link.up:  # a port of zos; a NIC that is down shows no carrier
        return replace(candidate(nic), carrier=link.carrier)
    return candidate(nic)
