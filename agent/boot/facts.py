"""Between a NIC's probe as the choice sees it and as the status file keeps it. Pure.

`candidate(nic_status(c, ranked, mac)) == c`, so `plan` can choose again from the file.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from agent.boot.status import Nic, Uplink
from agent.boot.uplink import Candidate, Choice, Ranked


def nic_status(candidate: Candidate, ranked: Ranked, mac: str) -> Nic:
    return Nic(
        name=candidate.name,
        mac=mac,
        carrier=candidate.carrier,
        address_class=_spoken(ranked),
        ipv4=_text(candidate.address4),
        router4=_text(candidate.gateway4),
        ipv6=tuple(str(address) for address in candidate.addresses6),
        router6=_text(candidate.gateway6),
        quiet4=candidate.quiet4,
        quiet6=candidate.quiet6,
        barred=candidate.barred,
        static=tuple(map(str, candidate.static)),
        reason=ranked.reason,
    )


def candidate(nic: Nic) -> Candidate:
    return Candidate(
        name=nic.name,
        carrier=nic.carrier,
        address4=IPv4Interface(nic.ipv4) if nic.ipv4 else None,
        gateway4=IPv4Address(nic.router4) if nic.router4 else None,
        addresses6=tuple(IPv6Interface(address) for address in nic.ipv6),
        gateway6=IPv6Address(nic.router6) if nic.router6 else None,
        quiet4=nic.quiet4,
        quiet6=nic.quiet6,
        barred=nic.barred,
        static=tuple(map(ip_interface, nic.static)),
    )


def nics_status(
    choice: Choice, candidates: Iterable[Candidate], macs: dict[str, str]
) -> tuple[Nic, ...]:
    """Every NIC in the order of the ranking."""
    known = {candidate.name: candidate for candidate in candidates}
    return tuple(
        nic_status(known[ranked.name], ranked, macs.get(ranked.name, ""))
        for ranked in choice.ranking
    )


def uplink_status(ranked: Ranked, mac: str) -> Uplink:
    return Uplink(nic=ranked.name, mac=mac, address_class=_spoken(ranked), reason=ranked.reason)


def _spoken(ranked: Ranked) -> str | None:
    return None if ranked.address_class is None else str(ranked.address_class)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
