"""DNS servers in router advertisements, as the kernel hands them on (RTM_NEWNDUSEROPT). Pure.

The kernel keeps addresses and routes of an RA; options it does not use itself it passes to whoever
listens on the netlink group of that name. Bad input from the network is an empty answer.
"""

import struct
from ipaddress import IPv6Address

from msgspec import Struct

GROUP = 20  # RTNLGRP_ND_USEROPT
_NEWNDUSEROPT = 68
_ROUTER_ADVERT = 134
_RDNSS = 25  # RFC 8106, 5.1
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_USEROPT = struct.Struct("=BxHiBB6x")  # nduseroptmsg: family, length, link, ICMP type and code
_MAX_SERVERS = 8
MAX_OFFERS = 16  # over all routers; who sends ever new ones must not fill our memory


class Servers(Struct, frozen=True):
    link: int
    lifetime_s: int  # 0: no longer servers
    servers: tuple[IPv6Address, ...]


class Offers:
    """Which servers routers have offered, and until when, in the order in which they came."""

    def __init__(self) -> None:
        self._until: dict[IPv6Address, float] = {}

    def take(self, advert: Servers, now: float) -> bool:
        """Whether there are others now than before."""
        before = set(self._until)
        self._until.update(dict.fromkeys(advert.servers, now + advert.lifetime_s))
        self._until = {server: self._until[server] for server in self.current(now)}
        while len(self._until) > MAX_OFFERS:
            del self._until[min(self._until, key=self._until.__getitem__)]  # RFC 8106, 6.2
        return set(self._until) != before

    def current(self, now: float) -> list[IPv6Address]:
        """Those whose time has not run out."""
        return [server for server, end in self._until.items() if end > now]


def decode_servers(data: bytes) -> list[Servers]:
    """The DNS servers in one netlink datagram."""
    found = []
    while len(data) >= _HEADER.size:
        size, kind, *_ = _HEADER.unpack_from(data)
        if not _HEADER.size <= size <= len(data):
            break
        if kind == _NEWNDUSEROPT:
            found += _decode_message(data[_HEADER.size : size])
        data = data[(size + 3) & ~3 :]
    return found


def _decode_message(message: bytes) -> list[Servers]:
    if len(message) < _USEROPT.size:
        return []
    _, length, link, icmp, _ = _USEROPT.unpack_from(message)
    options = message[_USEROPT.size : _USEROPT.size + length]
    if icmp != _ROUTER_ADVERT:
        return []
    found = []
    while len(options) >= 8:
        size = options[1] * 8
        if not 8 <= size <= len(options):
            break
        if options[0] == _RDNSS and size >= 24 and size % 16 == 8:
            found.append(_decode_option(link, options[:size]))
        options = options[size:]
    return found


def _decode_option(link: int, option: bytes) -> Servers:
    (lifetime,) = struct.unpack_from("!I", option, 4)
    starts = range(8, len(option), 16)[:_MAX_SERVERS]
    return Servers(link, lifetime, tuple(IPv6Address(option[at : at + 16]) for at in starts))
