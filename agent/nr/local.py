"""A network resource that a person made on this node: its name, its ranges, who is attached. Pure.

    local = parse_local("blue", ipv4="10.1.1.0/24")
    local = attached(local, "web")               # with the first free addresses

Two of them may have the same ranges: each is a namespace of its own. They stand in a file of STATE as
they are here. All errors are CannotError.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Network, ip_address, ip_interface, ip_network

import msgspec

from netns.values import IPAddress, IPInterface, IPNetwork
from runtime.failure import CannotError, Exit

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,11}[a-z0-9])?")
OF_A_NETWORK = re.compile(r"[0-9a-f]{12}")
LINK = re.compile(r"[^\s/:]{1,15}")
LINK_USUAL = "eth0"
NONE, DELEGATED = "none", "delegated"  # in the place of an IPv6 range
LENGTHS = {4: range(8, 31), 6: range(16, 127)}  # room for a gateway and a workload


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """A workload's namespace, and what it has there. Addresses are text, "" is none."""

    namespace: str
    link: str = LINK_USUAL
    ipv4: str = ""
    ipv6: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(address for address in (self.ipv4, self.ipv6) if address)


class Local(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    ipv4: str = ""  # a prefix; "" is none
    ipv6: str = ""
    delegated: bool = False  # a part of the prefix that the site delegates is its IPv6 range
    number: int | None = None  # of that part, when it had one
    workloads: tuple[Attached, ...] = ()

    @property
    def space(self) -> str:
        return f"n-{self.name}"

    @property
    def bridge(self) -> str:
        return f"b-{self.name}"

    @property
    def ranges(self) -> tuple[IPNetwork, ...]:
        return _ranges(self.ipv4, self.ipv6)

    @property
    def gateways(self) -> tuple[IPInterface, ...]:
        """The bridge's addresses."""
        return _gateways(self.ipv4, self.ipv6)

    def workload(self, namespace: str) -> Attached | None:
        return next((w for w in self.workloads if w.namespace == namespace), None)


@lru_cache(maxsize=1024)
def _ranges(*texts: str) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(text) for text in texts if text)


@lru_cache(maxsize=1024)
def _gateways(*texts: str) -> tuple[IPInterface, ...]:
    return tuple(first_address(prefix) for prefix in _ranges(*texts))


def first_address(prefix: IPNetwork) -> IPInterface:
    """The bridge's, where workloads of that prefix send what is not theirs."""
    first = int(prefix.network_address) + (1 if prefix.prefixlen < prefix.max_prefixlen else 0)
    return ip_interface((first, prefix.prefixlen))


def parse_local(name: str, *, ipv4: str = "", ipv6: str = "") -> Local:
    """Without an IPv6 range it takes a part of the delegated prefix, while there is one."""
    what = f"create network resource {name}"
    if not NAME.fullmatch(name) or OF_A_NETWORK.fullmatch(name):
        raise CannotError(
            f"cannot create network resource {name!r}: that is no name for one",
            hint="1 to 13 lower-case letters, digits and dashes, as it becomes the name of links;"
            " twelve hex digits are a network's",
            code=Exit.USAGE,
        )
    if not ipv4 and ipv6 in ("", NONE):
        raise CannotError(
            f"cannot {what}: it has no range",
            hint="--ipv4 10.1.1.0/24, --ipv6 fd12:3456:789a::/64, or both; --ipv6 delegated is a part"
            " of the prefix that the site delegates",
            code=Exit.USAGE,
        )
    four = _range(what, ipv4, 4)
    six = "" if ipv6 in (NONE, DELEGATED) else _range(what, ipv6, 6)
    return Local(name=name, ipv4=four, ipv6=six, delegated=ipv6 in ("", DELEGATED))


def _range(what: str, text: str, version: int) -> str:
    if not text:
        return ""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise CannotError(
            f"cannot {what}: {text!r} is no IPv{version} prefix", code=Exit.USAGE
        ) from None
    if found.version != version:
        raise CannotError(
            f"cannot {what}: {text} is IPv{found.version}",
            hint=f"--ipv{found.version} {text}",
            code=Exit.USAGE,
        )
    if str(found.network_address) != text.partition("/")[0] and "/" in text:
        raise CannotError(
            f"cannot {what}: {text} is an address in a prefix", hint=f"{found}", code=Exit.USAGE
        )
    lengths = LENGTHS[version]
    if found.prefixlen not in lengths:
        said = f"the length of a prefix is {lengths[0]} to {lengths[-1]}"
        raise CannotError(f"cannot {what}: {text}: {said}", code=Exit.USAGE)
    first = found.network_address
    if first.is_multicast or first.is_loopback or first.is_link_local or first.is_unspecified:
        raise CannotError(f"cannot {what}: nobody can have addresses in {text}", code=Exit.USAGE)
    return str(found)


def refuse_overlap(local: Local, taken: Iterable[IPNetwork]) -> None:
    """`taken`: what lies behind ndmz, where `public` of each resource is."""
    for one in local.ranges:
        for other in taken:
            if one.version == other.version and one.overlaps(other):
                raise CannotError(
                    f"cannot create network resource {local.name}: {one} overlaps {other}, which"
                    " leads to ndmz",
                    code=Exit.CONFLICT,
                )


def attached(
    local: Local, namespace: str, *, link: str = LINK_USUAL, ipv4: str = "", ipv6: str = ""
) -> Local:
    """With that workload, at these addresses or the first free ones. Once more is once."""
    what = f"attach {namespace} to {local.name}"
    if not LINK.fullmatch(link) or link in (".", ".."):
        raise CannotError(f"cannot {what}: {link!r} is no name of a link", code=Exit.USAGE)
    known = local.workload(namespace) or Attached(namespace=namespace)
    others = detached(local, namespace)
    taken = {a: w.namespace for w in others.workloads for a in w.addresses}
    new = Attached(
        namespace=namespace,
        link=link,
        ipv4=_address(what, local.ipv4, ipv4 or known.ipv4, taken),
        ipv6=_address(what, local.ipv6, ipv6 or known.ipv6, taken),
    )
    if known.addresses and known != new:
        raise CannotError(
            f"cannot {what}: it is attached as {known.link} with {', '.join(known.addresses)}",
            hint=f"zosnet-agent nr detach {local.name} {namespace}",
            code=Exit.CONFLICT,
        )
    return msgspec.structs.replace(others, workloads=(*others.workloads, new))


def detached(local: Local, namespace: str) -> Local:
    rest = tuple(w for w in local.workloads if w.namespace != namespace)
    return msgspec.structs.replace(local, workloads=rest)


def _address(what: str, range_: str, asked: str, taken: Mapping[str, str]) -> str:
    """The one that is asked for, or the first free one; none without a range."""
    if not range_:
        if asked:
            raise CannotError(f"cannot {what}: it has no range for {asked}", code=Exit.USAGE)
        return ""
    network = ip_network(range_)
    known = {str(first_address(network).ip): "the gateway", **taken}
    return _checked(what, asked, network, known) if asked else _first_free(what, network, known)


def _checked(what: str, asked: str, network: IPNetwork, taken: Mapping[str, str]) -> str:
    try:
        address = ip_address(asked)
    except ValueError:
        raise CannotError(f"cannot {what}: {asked!r} is no address", code=Exit.USAGE) from None
    if address not in network or address in _unusable(network):
        raise CannotError(f"cannot {what}: {asked} is no address in {network}", code=Exit.USAGE)
    if str(address) in taken:
        raise CannotError(f"cannot {what}: {taken[str(address)]} has {address}", code=Exit.CONFLICT)
    return str(address)


def _first_free(what: str, network: IPNetwork, taken: Mapping[str, str]) -> str:
    last = network.num_addresses - len(_unusable(network))
    for number in range(2, last + 1):
        address = str(network[number])
        if address not in taken:
            return address
    raise CannotError(f"cannot {what}: no address of {network} is free", code=Exit.EXHAUSTED)


def _unusable(network: IPNetwork) -> set[IPAddress]:
    """The network itself, and broadcast."""
    if isinstance(network, IPv6Network):
        return {network.network_address}
    return {network.network_address, network.broadcast_address}
