"""The whole way over real sockets: token, admit, hello, join, refresh, rows, push; storms and refusals."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from protocol.keys import CurvePublic
from protocol.messages import (
    Admit,
    Code,
    Done,
    Join,
    Joined,
    Refused,
    Reply,
    Unchanged,
    Welcome,
)
from tests.controller.farm import Controller, running
from tests.controller.node import Line, Node, RefusalError, SilenceError, addresses_of


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("controller")) as one:
        yield one


@pytest.fixture
def network(controller: Controller, request: pytest.FixtureRequest) -> str:
    """A network of this test's own."""
    return controller.network(request.node.name[:40], ipv4="10.9.0.0/16", ipv6="fd00:9::/64")


def test_a_node_is_admitted_joins_and_learns_of_its_peers(
    controller: Controller, network: str
) -> None:
    first = controller.node(network, "n1", roles=["transit"]).enrol(network)
    second = controller.node(network, "n2").enrol(network)
    assert second.membership is not None
    pushed = first.await_push(network)

    assert set(first.peers) == {bytes(first.key), bytes(second.key)} == set(second.peers)
    assert first.peers[bytes(second.key)] == second.membership
    assert not pushed.full
    assert first.membership is not None
    assert first.membership.roles == ("transit",)
    assert len(first.membership.interfaces) == 2
    assert first.welcome is not None
    assert first.welcome.observed == "127.0.0.1"


def test_a_refresh_without_change_is_unchanged_and_one_with_change_is_signed_anew(
    controller: Controller, network: str
) -> None:
    node = controller.node(network, "n1").enrol(network)
    assert node.membership is not None
    before = node.membership
    assert isinstance(node.refresh(network), Unchanged)
    node.endpoints = ("192.0.2.7:51820",)
    assert isinstance(node.refresh(network), Joined)
    assert node.membership == before  # endpoints are hints: the certificate stays
    node.wireguard = b"x" * 32
    assert isinstance(node.refresh(network), Joined)

    assert node.membership.serial == before.serial + 1
    assert node.membership.addresses == before.addresses


def test_sixty_four_uses_of_a_single_use_token_at_once_admit_one_node(
    controller: Controller, network: str
) -> None:
    """J1: of many who redeem a token for one node at once, exactly one gets in."""
    join = controller.token(network)
    nodes = [Node(join, f"n{i}") for i in range(64)]
    admitted: list[Reply] = []
    refused: list[Reply] = []
    with ExitStack() as stack:
        lines = [stack.enter_context(Line(join, join.token)) for _ in nodes]
        for line in lines:  # all are in before the first use
            line.shake()
        requests = [
            Admit(line.id(), bytes(node.key), node.name, "0.1.0", "linux")
            for line, node in zip(lines, nodes, strict=True)
        ]
        for line, request in zip(lines, requests, strict=True):
            line.send(request)
        for line in lines:
            reply = line.receive(5.0)
            (admitted if isinstance(reply, Done) else refused).append(reply)

    assert len(admitted) == 1
    assert {r.code for r in refused if isinstance(r, Refused)} == {Code.TOKEN_USED_UP}
    assert len(refused) == 63
    assert len(controller.ask("member.list", network=network)) == 1
    with pytest.raises(RefusalError):
        Node(join).admit()  # now the door itself is shut


def test_fifty_joins_at_once_get_distinct_addresses(controller: Controller, network: str) -> None:
    join = controller.token(network, uses=50)
    with ExitStack() as stack:
        nodes = []
        for number in range(50):
            node = Node(join, f"n{number}")
            stack.callback(node.close)
            assert isinstance(node.admit(), Done)
            assert isinstance(node.hello(), Welcome)
            nodes.append(node)
        for node in nodes:
            line = node.connect()
            line.send(Join(line.id(), network, node.wireguard, (), (4,), 51820))
        replies = [node.connect().receive(5.0) for node in nodes]
        addresses = [address for reply in replies for address in addresses_of(reply)]

    assert len(addresses) == 100
    assert len(set(addresses)) == 100


def test_the_door_is_shut_to_strangers_and_to_tokens_that_are_over(
    controller: Controller, network: str
) -> None:
    live = controller.node(network, ttl=600)
    assert isinstance(live.admit(), Done)
    expired = controller.node(network, ttl=1)
    time.sleep(1.1)

    with pytest.raises(RefusalError):
        expired.admit()
    with pytest.raises(RefusalError):
        live.admit()  # used; its own key is the way in now
    assert isinstance(live.hello(), Welcome)
    with pytest.raises(RefusalError):
        controller.node(network).hello()  # never admitted


def test_a_wrong_controller_key_gets_nobody_in(controller: Controller, network: str) -> None:
    join = controller.token(network)
    with (
        Line(join, join.token, server=CurvePublic(b"w" * 32)) as line,
        pytest.raises((RefusalError, SilenceError)),
    ):
        line.shake(0.5)
    with Line(join, join.token) as line:
        line.shake()


def test_a_banned_node_is_refused_on_its_line_and_at_the_door(
    controller: Controller, network: str
) -> None:
    node = controller.node(network, "villain").enrol(network)
    controller.ask("member.ban", network=network, member="villain")
    refused = node.refresh(network)
    node.close()

    assert isinstance(refused, Refused)
    assert refused.code == Code.BANNED
    with pytest.raises(RefusalError):
        node.hello()


def test_a_restart_loses_nothing_and_nodes_go_on(controller: Controller) -> None:
    network = controller.network("restart", ipv4="10.9.0.0/16")
    node = controller.node(network, "n1").enrol(network)
    before = node.membership
    controller.kill()
    controller.start()
    assert isinstance(node.hello(), Welcome)
    assert isinstance(node.refresh(network), Unchanged)
    peer = controller.node(network, "n2").enrol(network)
    node.await_push(network)

    assert node.membership == before
    assert set(node.peers) == {bytes(node.key), bytes(peer.key)}
