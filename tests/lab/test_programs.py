"""The demo's steps on the controller's host, with the real programs."""

import pytest

from lab import programs
from lab.demo import converged, look_at_all
from lab.farm import Farm, build_farm
from lab.host import CommandError
from lab.view import PHASES, Daemon, NodeView
from lab.world import World

pytestmark = pytest.mark.lab


@pytest.fixture
def farm(world: World) -> Farm:
    return build_farm(world)


def test_each_node_gets_a_join_string_of_its_own_that_only_root_reads(farm: Farm) -> None:
    programs.start_controller(farm.controller)
    programs.create_network(farm.controller, programs.NETWORK)
    for node in farm.nodes.values():
        programs.give_join_string(
            farm.controller, node, programs.NETWORK, transit=node.name == "n1"
        )
    strings = [node.path(programs.JOIN_FILE).read_text() for node in farm.nodes.values()]
    modes = {node.path(programs.JOIN_FILE).stat().st_mode & 0o777 for node in farm.nodes.values()}
    tokens = programs.ncadm(farm.controller, "token", "list")

    assert all(text.startswith("zosnet1") for text in strings)
    assert len(set(strings)) == 3
    assert modes == {0o600}
    assert sorted(token["roles"] for token in tokens) == [[], [], ["transit"]]


def test_a_controller_that_cannot_start_says_why_at_once(farm: Farm) -> None:
    host = farm.controller
    host.write("/etc/zosnet/controller.yaml", "nonsense: 1\n")
    with pytest.raises(CommandError) as said:
        programs.serve(host)

    assert "cannot serve on ctl" in said.value.message
    assert "nonsense" in said.value.message


def test_a_farm_has_converged_when_every_node_has_been_through_every_phase(farm: Farm) -> None:
    off = look_at_all(farm)
    times = {phase: float(n) for n, phase in enumerate(PHASES)}
    done = {name: NodeView(name, "", daemon=Daemon(seconds=times)) for name in farm.nodes}
    nearly = done | {"n2": NodeView("n2", "", daemon=Daemon(seconds=times | {}))}
    del nearly["n2"].daemon.seconds["first_ping"]
    alone = Daemon(seconds=nearly["n2"].daemon.seconds, came_first=True)
    first = done | {"n2": NodeView("n2", "", daemon=alone)}

    assert [view.seconds for view in off.values()] == [{}, {}, {}]
    assert not converged(off).ok
    assert converged(nearly).detail == "missing: n2: first_ping"
    assert converged(first).ok
    assert converged(done).ok
    assert converged(done).detail == "the last after 4.00 s"
