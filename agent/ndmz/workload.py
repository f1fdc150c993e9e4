"""A workload's place behind ndmz: its number, and the names and addresses that follow. Pure.

    number = choose_number(seed, name, taken)          # kept for ever under the workload's name
    place = place_of(number, name, ula, mac)

Number n has 100.127.0.0 + n and <ula>::n; 0 and 1 are the network and tonrs, the last is broadcast.
"""

from collections.abc import Collection
from hashlib import blake2b
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

from msgspec import Struct

from agent.ndmz.guard import Port
from agent.ndmz.plan import INSIDE4
from runtime.failure import CannotError, Exit

FIRST, LAST = 2, INSIDE4.num_addresses - 2
LINK = "public"  # the workload's end


class Attachment(Struct, frozen=True):
    """What a workload got; `port` is the other end, in ndmz."""

    name: str
    link: str
    port: str
    mac: str
    ip4: IPv4Interface
    ip6: IPv6Interface
    subnet: IPv6Network | None = None  # of the delegated prefix; routed to it

    @property
    def guard_port(self) -> Port:
        return Port(
            name=self.port,
            mac=self.mac,
            ip4=self.ip4.ip,
            ip6=self.ip6.ip,
            link_local=link_local(self.mac),
            subnet=self.subnet,
        )


def choose_number(seed: bytes, name: str, taken: Collection[int]) -> int:
    """The first free number from a hash of the name on. Raises CannotError when all are taken."""
    size = LAST - FIRST + 1
    digest = blake2b(name.encode(), digest_size=8, key=seed[:64], person=b"zosnet-workload")
    start = int.from_bytes(digest.digest()) % size
    for step in range(size):
        number = FIRST + (start + step) % size
        if number not in taken:
            return number
    raise CannotError(
        f"cannot attach {name}: all {size} addresses of {INSIDE4} are taken", code=Exit.EXHAUSTED
    )


def place_of(number: int, name: str, ula: IPv6Network, mac: str) -> Attachment:
    return Attachment(
        name=name,
        link=LINK,
        port=port_name(name),
        mac=mac,
        ip4=IPv4Interface((int(INSIDE4.network_address) + number, INSIDE4.prefixlen)),
        ip6=IPv6Interface((int(ula.network_address) + number, ula.prefixlen)),
    )


def port_name(name: str) -> str:
    """`nr-` and eight digits: a namespace's name may be longer than a link's."""
    return "nr-" + blake2b(name.encode(), digest_size=4, person=b"zosnet-port").hexdigest()


def link_local(mac: str) -> IPv6Address:
    """The address that the kernel gives a link with this MAC (RFC 4291, appendix A)."""
    octets = bytearray.fromhex(mac.replace(":", ""))
    octets[0] ^= 0b10
    return IPv6Address(b"\xfe\x80" + bytes(6) + octets[:3] + b"\xff\xfe" + octets[3:])
