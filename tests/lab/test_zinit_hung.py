"""A zinit that takes connections and does not answer: the boot says so, and goes on once it does."""

import os
import signal

import pytest

from agent.boot.status import Step
from lab.host import wait_until
from lab.router import lone_server
from lab.world import World
from tests.lab.boot_node import internet, known_status, links
from tests.lab.test_boot import HOME4, booting_node

pytestmark = pytest.mark.lab


def test_a_zinit_that_hangs_is_named_and_the_next_start_goes_on_from_there(world: World) -> None:
    lone_server(world, "r", "home", HOME4)
    node = booting_node(world, ("eth0", "home"))
    node.write("/etc/zinit/internet.yaml", "exec: 'true'\noneshot: true\n")  # the test runs it
    node.start_programs()
    wait_until("zinit's socket", node.path("/run/zinit.sock").exists)
    assert node.supervisor is not None
    os.kill(node.supervisor.pid, signal.SIGSTOP)
    refused = internet(node, "--supervisor", "zinit")
    hung, index = known_status(node), links(node)["zos"]["ifindex"]
    os.kill(node.supervisor.pid, signal.SIGCONT)
    ended = internet(node, "--supervisor", "zinit")
    keeper = node.path("/run/zosnet/dhcp-zos.json")

    assert refused.returncode not in (0, 1)
    assert "with zinit: no answer on /var/run/zinit.sock in 3 s" in refused.stderr
    assert hung.step is Step.UNIT
    assert "no answer" in hung.error
    assert ended.returncode == 0, ended.stderr
    assert links(node)["zos"]["ifindex"] == index
    assert known_status(node).error == ""

    wait_until("its lease", lambda: keeper.exists() and '"bound"' in keeper.read_text())
