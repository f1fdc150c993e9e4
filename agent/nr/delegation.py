"""Network resources and the delegated prefix: which /64 of it is whose. Pure.

    numbers = choose_numbers(locals, prefix)          # kept in the book, so that they stay
    local = placed(local, part(prefix, number), mac)  # as if a person had given it that range

A workload's address in it is made of the MAC of its cable, as SLAAC does.
"""

from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, IPv6Network

import msgspec

from agent.ndmz.workload import link_local
from agent.nr.local import Attached, Local

PART = 64  # bits


def choose_numbers(locals_: Iterable[Local], prefix: IPv6Network) -> dict[str, int]:
    """By the name of a resource; each keeps what it has while that exists, others get the first that
    is free. Who is not in it gets none: there are more resources than parts.
    """
    size = 1 << (PART - prefix.prefixlen)
    numbers: dict[str, int] = {}
    waiting = []
    for local in locals_:
        if not local.delegated:
            continue
        if local.number is not None and local.number < size:
            numbers[local.name] = local.number
        else:
            waiting.append(local.name)
    taken = set(numbers.values())
    free = (number for number in range(min(size, len(taken) + len(waiting))) if number not in taken)
    return numbers | dict(zip(waiting, free, strict=False))


def part(prefix: IPv6Network, number: int) -> IPv6Network:
    return IPv6Network((int(prefix.network_address) + (number << PART), PART))


def placed(local: Local, range_: IPv6Network, mac: Callable[[Attached], str]) -> Local:
    """`mac`: of a workload's cable."""
    workloads = tuple(
        msgspec.structs.replace(workload, ipv6=str(_address(range_, mac(workload))))
        for workload in local.workloads
    )
    return msgspec.structs.replace(local, ipv6=str(range_), workloads=workloads)


def _address(range_: IPv6Network, mac: str) -> IPv6Address:
    interface_id = int(link_local(mac)) & ((1 << PART) - 1)
    return IPv6Address(int(range_.network_address) | interface_id)
