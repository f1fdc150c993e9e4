"""What a network writes down of its peers; its life with a kernel is in tests/lab/test_overlay.py."""

import asyncio
import os
from ipaddress import ip_address
from pathlib import Path

from agent.enrol.endpoints import Surroundings
from agent.enrol.store import Keys
from agent.overlay.cache import Cache
from agent.overlay.network import Network, Surface
from netns.spaces import Spaces
from netns.wireguard.device import Endpoint
from netns.wireguard.userspace import Userspace
from tests.agent.overlay.signing import NETWORK
from tests.agent.overlay.test_belief import ME, N2, begin, rows

WHERE = Endpoint(ip_address("192.0.2.2"), 51820)


def learning(directory: Path, *, left: bool = False) -> None:
    """A network of one peer that has heard from it, and is at its end."""

    async def story() -> None:
        spaces = Spaces()
        surface = Surface(
            spaces, Userspace(spaces), ME.node, Keys(directory), Cache(directory), lambda: 0.0
        )
        belief = begin()
        belief.take_rows(rows(N2))
        network = Network(surface, belief, Surroundings(), from_cache=False)
        network.verified = belief.members(None)
        network.peering.learnt[bytes(N2.wireguard)] = WHERE
        if left:
            network.forget()
        network._learn()
        spaces.close()

    asyncio.run(story())


def test_where_a_peer_was_heard_from_is_written_but_not_of_a_network_that_was_left(
    tmp_path: Path,
) -> None:
    learning(tmp_path / "kept")
    learning(tmp_path / "left", left=True)

    assert Cache(tmp_path / "kept").learnt(NETWORK) == {bytes(N2.wireguard): WHERE}
    assert not (tmp_path / "left").exists()


def test_a_hint_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    in_the_way = tmp_path / NETWORK / f".endpoints.json.{os.getpid()}.new"
    in_the_way.mkdir(parents=True)
    learning(tmp_path)

    assert Cache(tmp_path).learnt(NETWORK) == {}
