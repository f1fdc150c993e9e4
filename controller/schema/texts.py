"""Values as the schema writes them (pure).

    read(Kind.BOOL, "true")             True
    write(Kind.TIME, 1795000000000)     "1795000000000"

Booleans: "1" and "true" are true, all else is false, and so is a missing field. Times are decimal
milliseconds since 1970. Hexadecimal is lower case and padded with zeros. IPv6 is never shortened.
"""

import re
from ipaddress import ip_interface, ip_network
from typing import Any

import msgspec

from controller.schema.fields import Kind
from protocol.ids import is_network_id, is_node_address
from protocol.packing import IPInterface, IPNetwork

_TIME = re.compile(r"\d{1,16}\Z")
_ETHER_TYPES = re.compile(r"([0-9a-f]{1,4}(,[0-9a-f]{1,4})*)?\Z")
_NONE = ("", "null", "none")
_MODES = {Kind.MODE4: ("zt", "dhcp"), Kind.MODE6: ("zt", "v6native", "dhcp6")}


def read(kind: Kind, text: str) -> Any:
    """Raises ValueError with what is wrong."""
    match kind:
        case Kind.BOOL:
            return text in ("1", "true")
        case Kind.TIME:
            if text and not _TIME.match(text):
                raise ValueError(f"{text!r} is no decimal number of milliseconds")
            return int(text or 0)
        case Kind.MODE4 | Kind.MODE6:
            if text in _NONE:
                return "none"
            if text not in _MODES[kind]:
                raise ValueError(f"{text!r} is not one of none, {', '.join(_MODES[kind])}")
            return text
        case Kind.RANGES:
            return [_range(part) for part in _parts(text)]
        case Kind.INTERFACES:
            return [interface(part) for part in _parts(text)]
        case _:
            _check(kind, text)
            return text


def write(kind: Kind, value: Any) -> str:
    match kind:
        case Kind.BOOL:
            return "1" if value else "0"
        case Kind.RANGES:
            return ",".join(f"{r.network_address.exploded}/{r.prefixlen}" for r in value)
        case Kind.INTERFACES:
            return ",".join(write_interface(one) for one in value)
        case _:
            return str(value)


def interface(text: str) -> IPInterface:
    """`10.2.3.4/24` or IPv6 with a length. Raises ValueError."""
    if "/" not in text or "%" in text:
        raise ValueError(f"{text!r} is no address with its number of bits")
    try:
        return ip_interface(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address with its number of bits") from error


def write_interface(value: IPInterface) -> str:
    return f"{value.ip.exploded}/{value.network.prefixlen}"


def agrees(kind: Kind, given: str, now: str) -> bool:
    """`given` means what `now` says, and is written as the schema wants it. Of ranges `now` may
    have more: those that addresses brought along.
    """
    if kind is Kind.RANGES:
        return set(_parts(given)) <= set(_parts(now))
    if kind is Kind.INTERFACES:
        return sorted(_parts(given)) == sorted(_parts(now))
    return bool(read(kind, given) == read(kind, now))


def _check(kind: Kind, text: str) -> None:
    match kind:
        case Kind.NETWORK if not is_network_id(text):
            raise ValueError(f"{text!r} is not 16 lower-case hexadecimal digits")
        case Kind.ADDRESS if not is_node_address(text):
            raise ValueError(f"{text!r} is not 10 lower-case hexadecimal digits")
        case Kind.ETHER_TYPES if not _ETHER_TYPES.match(text):
            raise ValueError(f"{text!r} is no list of lower-case hexadecimal numbers")
        case Kind.JSON if text:
            try:
                msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise ValueError(f"it is no JSON: {error}") from error
        case _:
            pass


def _range(text: str) -> IPNetwork:
    try:
        return ip_network(text, strict=False) if "/" in text else _fail(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no network with its number of bits") from error


def _fail(text: str) -> IPNetwork:
    raise ValueError(text)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
