"""The whole way over real sockets: token, admit, hello, join, refresh, rows, push."""

from collections.abc import Iterator

import pytest

from protocol.messages import Joined, Unchanged
from tests.controller.farm import Controller, running


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
