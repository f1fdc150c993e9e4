"""Network cards and the cables they hang on, as values, and the `ip -batch` lines that make them.

A card is one end of a veth in its node; the other end stays in the world's own namespace, where
it is a port of a bridge (a switch), or lies there unplugged. So a node can lose power without
taking anything of its neighbours with it. Pure.
"""

from hashlib import blake2b

from msgspec import Struct

NAME_SIZE = 15  # what the kernel allows


class Nic(Struct, frozen=True):
    """Network card `name` of `node`; without a `switch` no cable is in it. The MAC stays its own
    over power cuts: with a new one a router's ARP entry swallows everything for a while.
    """

    node: str
    name: str
    switch: str | None
    mac: str = ""

    @property
    def port(self) -> str:
        return f"{self.node}.{self.name}"

    @property
    def address(self) -> str:
        return self.mac or stable_mac(self.port)


def stable_mac(seed: str) -> str:
    """The same MAC for the same card, in each run; in the range that QEMU uses."""
    tail = blake2b(seed.encode(), digest_size=3).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *tail))


def switch_lines(name: str) -> list[str]:
    return [
        f"link add name {name} type bridge forward_delay 0 stp_state 0 mcast_snooping 0",
        f"link set dev {name} up",
    ]


def nic_lines(nic: Nic, pid: str) -> list[str]:
    """Make the card in the node whose PID 1 has number `pid`, and plug it in."""
    lines = [
        f"link add name {nic.port} type veth peer name {nic.name} address {nic.address} netns {pid}"
    ]
    if nic.switch:
        lines.append(f"link set dev {nic.port} master {nic.switch} up")
    return lines
