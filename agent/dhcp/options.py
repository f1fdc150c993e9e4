"""DHCP options: the tagged fields behind the fixed header (RFC 2132, RFC 3396).

`parse_options` joins options that were split or repeated and follows the overload option into the
header's unused name fields. It knows no option's meaning; `Options` reads values of the few shapes
that exist and refuses, with BadMessageError, a length that the shape cannot have.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

PAD, END, OVERLOAD = 0, 255, 52
MAX_ADDRESSES = 16  # more in one option is nobody's honest configuration
MAX_ROUTES = 32


class BadMessageError(ValueError):
    """A datagram that is not a valid reply to us. Count it, drop it."""


class StrayMessageError(BadMessageError):
    """One that is not meant for us: a busy link has many, they say nothing about its server."""


class Options:
    """The options of one message: number → joined value."""

    def __init__(self, values: Mapping[int, bytes]) -> None:
        self._values = values

    def get(self, number: int) -> bytes | None:
        return self._values.get(number)

    def fixed(self, number: int, size: int) -> int | None:
        """An unsigned integer of `size` bytes."""
        value = self._values.get(number)
        if value is None:
            return None
        if len(value) != size:
            raise BadMessageError(f"option {number} has {len(value)} bytes, not {size}")
        return int.from_bytes(value, "big")

    def address(self, number: int) -> IPv4Address | None:
        value = self.fixed(number, 4)
        return None if value is None else IPv4Address(value)

    def addresses(self, number: int) -> tuple[IPv4Address, ...]:
        value = self._values.get(number)
        if value is None:
            return ()
        if not value or len(value) % 4 or len(value) > 4 * MAX_ADDRESSES:
            raise BadMessageError(f"option {number} has {len(value)} bytes")
        return tuple(IPv4Address(value[i : i + 4]) for i in range(0, len(value), 4))

    def routes(self, number: int) -> tuple[tuple[IPv4Network, IPv4Address], ...]:
        """Classless routes (RFC 3442): destination and gateway; gateway 0.0.0.0 is the link."""
        value = self._values.get(number)
        if value is None:
            return ()
        routes: list[tuple[IPv4Network, IPv4Address]] = []
        at = 0
        while at < len(value):
            bits = value[at]
            size = (bits + 7) // 8
            if bits > 32 or at + 1 + size + 4 > len(value) or len(routes) == MAX_ROUTES:
                raise BadMessageError(f"option {number} holds no list of routes")
            prefix = value[at + 1 : at + 1 + size].ljust(4, b"\0")
            gateway = value[at + 1 + size : at + 5 + size]
            routes.append((IPv4Network((prefix, bits), strict=False), IPv4Address(gateway)))
            at += 5 + size
        return tuple(routes)


def parse_options(area: bytes, *, file: bytes, sname: bytes) -> Options:
    """The options of a message from its option area and the two header fields it may overload."""
    found: dict[int, bytes] = {}
    _collect(area, found, must_end=True)
    overload = found.pop(OVERLOAD, b"\0")
    if len(overload) != 1 or overload[0] > 3:
        raise BadMessageError("the overload option is none of 1, 2, 3")
    # RFC 3396, 5: options first, then file, then sname; parts of one option are joined in that order.
    for bit, field in ((1, file), (2, sname)):
        if overload[0] & bit:
            _collect(field, found, must_end=False)
    found.pop(OVERLOAD, None)
    return Options(found)


def _collect(area: bytes, found: dict[int, bytes], *, must_end: bool) -> None:
    at = 0
    while at < len(area):
        number = area[at]
        if number == END:
            return
        if number == PAD:
            at += 1
            continue
        if at + 2 > len(area) or at + 2 + area[at + 1] > len(area):
            raise BadMessageError(f"option {number} is cut off")
        found[number] = found.get(number, b"") + area[at + 2 : at + 2 + area[at + 1]]
        at += 2 + area[at + 1]
    if must_end:
        raise BadMessageError("the options do not end")


def render_options(values: Mapping[int, bytes]) -> bytes:
    """An option area, with its end; values above 255 bytes are split (RFC 3396)."""
    area = bytearray()
    for number, value in values.items():
        for at in range(0, max(len(value), 1), 255):
            part = value[at : at + 255]
            area += bytes((number, len(part))) + part
    area.append(END)
    return bytes(area)
