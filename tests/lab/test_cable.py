"""A long cable takes its time, and harms nothing that passes."""

import re

import pytest

from lab.host import PYTHON, wait_until
from lab.wiring import Nic
from lab.world import World
from runtime.failure import CannotError

pytestmark = pytest.mark.lab

FETCH = (
    "from urllib.request import urlopen; print(len(urlopen('http://192.0.2.2:8000/file').read()))"
)
SIZE = 3_000_000


def test_a_frame_takes_as_long_as_it_is_told_and_large_segments_pass(world: World) -> None:
    near, far = world.nodes("near", "far")
    world.plug(Nic("near", "eth0", "lan"), Nic("far", "eth0", "lan"))
    for number, node in enumerate((near, far), 1):
        node.script(f"ip link set eth0 up; ip address add 192.0.2.{number}/24 dev eth0")
    near.run("ping", "-c", "1", "192.0.2.2")  # so that they know each other's MAC
    world.stretch("lan", 0.05)
    times = re.findall(r"time=([\d.]+)", near.output("ping", "-c", "3", "-i", "0.2", "192.0.2.2"))
    far.write("/run/served/file", "0" * SIZE)
    server = far.spawn(PYTHON, "-u", "-m", "http.server", "-d", "/run/served", log=far.log("http"))
    wait_until("the server", lambda: "Serving" in far.log("http").read_text())
    fetched = near.output(PYTHON, "-c", FETCH)
    server.kill()

    assert len(times) == 3
    assert all(float(time) >= 100 for time in times), times
    assert int(fetched) == SIZE


def test_a_switch_with_three_cards_is_no_cable(world: World) -> None:
    names = ("a", "b", "c")
    world.nodes(*names)
    world.plug(*(Nic(name, "eth0", "lan") for name in names))
    with pytest.raises(CannotError, match="3 cards hang on it"):
        world.stretch("lan", 0.05)
