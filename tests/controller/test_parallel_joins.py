"""The real program: two hundred and more ask for an address of a /24 at the same moment."""

from ipaddress import ip_interface, ip_network
from pathlib import Path

import pytest

from protocol.messages import Code, Done, Join, Joined, Refused, Reply, Welcome
from tests.controller.farm import running
from tests.controller.node import Node, addresses_of

AT_ONCE = 240
USABLE = 253  # of a /24: not its own address, the gateway's, the broadcast
LATE = 5


def join_all(nodes: list[Node], network: str) -> list[Reply]:
    """All requests are on their way before the first answer is read."""
    asked = []
    for node in nodes:
        line = node.connect()
        number = line.id()
        line.send(Join(number, network, node.wireguard, (), (4,), 51820))
        asked.append((line, number))
    replies = []
    for line, number in asked:
        reply = line.receive(20)
        while getattr(reply, "id", None) != number:
            reply = line.receive(20)
        replies.append(reply)
    return replies


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_24_filled_by_parallel_joins_gives_every_address_once_and_then_says_that_it_is_full(
    tmp_path: Path,
) -> None:
    """I1, I2: 240 at once, all distinct; every usable address used; the next one pool-exhausted;
    the controller goes on, and the next free address is given out.
    """
    with running(tmp_path) as controller:
        network = controller.network(ipv4="10.9.0.0/24")
        token = controller.token(uses=300)
        nodes = [Node(token, f"n{i}", patience=20) for i in range(USABLE + LATE)]
        try:
            for node in nodes:
                assert isinstance(node.admit(), Done)
                assert isinstance(node.hello(), Welcome)
            first = join_all(nodes[:AT_ONCE], network)
            rest = join_all(nodes[AT_ONCE:USABLE], network)
            late = join_all(nodes[USABLE:], network)
            controller.ask("pool.add", network="home", range="10.10.0.0/29")
            again = join_all(nodes[USABLE:], network)
            usage = {item["prefix"]: item for item in controller.ask("pool.usage", network="home")}
        finally:
            for node in nodes:
                node.close()

    given_out = {ip_interface(addresses_of(reply)[0]).ip for reply in first}
    assert len(given_out) == AT_ONCE
    given_out |= {ip_interface(addresses_of(reply)[0]).ip for reply in rest}
    assert given_out == set(list(ip_network("10.9.0.0/24"))[2:-1])
    assert len(given_out) == USABLE
    refused = [reply for reply in late if isinstance(reply, Refused)]
    assert [reply.code for reply in refused] == [Code.POOL_EXHAUSTED] * LATE
    assert all(isinstance(reply, Joined) for reply in again)
    assert len({addresses_of(reply)[0] for reply in again}) == LATE
    assert (usage["10.9.0.0/24"]["used"], usage["10.9.0.0/24"]["free"]) == (USABLE, 0)
    assert usage["10.10.0.0/29"]["used"] == LATE
