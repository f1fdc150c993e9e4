"""What a member says of itself, and when its certificate has to say something else.

A new serial comes with new content, new times also when half of the certificate's life is over.
"""

from functools import lru_cache

import msgspec

from controller.refusal import RefusedError
from controller.store.records import Member, Network, printable
from controller.store.work import Work
from protocol.messages import Code, Join, Refresh
from protocol.packing import is_endpoint_address, parse_endpoint


def certified(member: Member, network: Network, now_ms: int, *, content: bool) -> Member:
    """The member with a new serial when its certificate says something new (`content`), and with
    new times when it does or when half of its life is over.
    """
    if not content and not _renewal_due(member, network, now_ms):
        return member
    return msgspec.structs.replace(
        member,
        serial=member.serial + (1 if content else 0),
        issued_at=now_ms,
        not_after=now_ms + network.life if network.life else 0,
    )


def renew(work: Work, network: Network, node: int) -> None:
    """What this member has is something else now: a new certificate, if it has one at all."""
    member = work.sound_member(network.number, node)
    if member is not None and member.visible:
        work.members.put(certified(member, network, work.now_ms, content=True))
        work.touch(network.number, node)


def differs(member: Member, network: Network, message: Refresh, now_ms: int) -> bool:
    """Whether the member says something new, or it is time for a renewal. Raises RefusedError."""
    return (
        member.wireguard != message.wireguard
        or member.families != families_of(message.families)
        or member.endpoints != endpoints_of(member, message)
        or _renewal_due(member, network, now_ms)
    )


def _renewal_due(member: Member, network: Network, now_ms: int) -> bool:
    """At half of a certificate's life; also when the network got or lost a life."""
    if not network.life or not member.not_after:
        return bool(network.life) != bool(member.not_after)
    return now_ms >= member.issued_at + network.life // 2


def clean_endpoints(endpoints: tuple[str, ...]) -> str:
    """Checked, without those that lead nowhere; sorted. Raises RefusedError."""
    kept = set()
    for text in endpoints:
        try:
            address, _ = parse_endpoint(text)
        except ValueError as error:
            raise RefusedError(
                Code.BAD_REQUEST, f"cannot use endpoint {printable(text)}: it is none"
            ) from error
        if is_endpoint_address(address):
            kept.add(text)
    return " ".join(sorted(kept))


def endpoints_of(member: Member, message: Join | Refresh) -> str:
    """Those that it has already were looked at when it first had them."""
    said = " ".join(message.endpoints)
    return said if said == member.endpoints else clean_endpoints(message.endpoints)


@lru_cache(maxsize=64)
def families_of(families: tuple[int, ...]) -> str:
    """As the database has them. Raises RefusedError."""
    if not set(families) <= {4, 6}:
        raise RefusedError(Code.BAD_REQUEST, "cannot use these families: only 4 and 6 exist")
    return "".join(str(family) for family in sorted(set(families)))
