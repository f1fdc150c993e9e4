"""Cables and switches by hand, for a test that wants a small network of its own.

    switch(world, "lan", (n1, "eth0"), (n2, "eth0"))
    cable(world, (n1, "eth1"), (n2, "eth1"))
    leave_unplugged(world, (n1, "eth2"))

`router` and `internet` make what sites need; `farm` makes a whole one.
"""

from lab.node import Node
from lab.wiring import Nic
from lab.world import World

End = tuple[Node, str]  # a card of a node


def switch(world: World, name: str, *ends: End) -> None:
    """Plug new cards into switch `name`, which is made when it is not there."""
    world.plug(*(Nic(node.name, nic, name) for node, nic in ends))


def cable(world: World, one: End, other: End, *, macs: tuple[str, str] = ("", "")) -> None:
    """Connect two new cards with nothing else on the wire."""
    ends = zip((one, other), macs, strict=True)
    wire = f"{one[0].name}-{one[1]}"
    world.plug(*(Nic(node.name, nic, wire, mac) for (node, nic), mac in ends))


def leave_unplugged(world: World, *ends: End) -> None:
    """Cards without a cable: no carrier."""
    world.plug(*(Nic(node.name, nic, None) for node, nic in ends))
