"""A farm with virtual machines for nodes; its routers, Internet and controller are the lab's.

    farm = make_farm(world, "n3")                        # n3 is a node of the lab
    Machine(world, image, "n1", node_files(farm), SITE_A.switch)

A node starts as a zos image does: units and join string are on it, and the supervisor is PID 1.
"""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec.structs import replace

from agent.enrol.store import Store
from lab import programs
from lab.farm import FARM, Farm, build_farm
from lab.world import World
from protocol.joinstring import parse_join_string
from tests.vm.image import HOME, PACKAGES
from tests.vm.machine import Machine
from zinit import units
from zinit.units import Log, Unit

AGENT = Path(HOME) / "bin/zosnet-agent"
ZINIT = os.environ.get("ZINIT_BIN")  # a real one takes the stand-in's place
ZINIT_PROGRAM = "/usr/bin/zinit"
STAND_IN = f"""
exec python {PACKAGES}/tests/fakes/zinitd.py \
    --socket /run/zinit.sock --units /etc/zinit --log-dir /var/log/zosnet
"""
SUPERVISOR = f"exec {ZINIT_PROGRAM} init\n" if ZINIT else STAND_IN
SLOW = 900  # seconds; a quiet machine takes a twentieth of it
UNITS = (units.internet(AGENT), units.networkd(AGENT))
REPORT = Unit(
    "report",
    ("/bin/sh", f"{PACKAGES}/tests/vm/guest/report.sh"),
    after=("internet",),
)


def make_farm(world: World, *names: str) -> Farm:
    """Three sites, and a controller that serves a network; the lab's nodes that are named join it."""
    nodes = tuple(node for node in FARM.nodes if node.name in names)
    farm = build_farm(world, replace(FARM, nodes=nodes, neighbours=(), quiet={}))
    programs.start_controller(farm.controller)
    programs.create_network(farm.controller, programs.NETWORK)
    for node in farm.nodes.values():
        programs.give_join_string(farm.controller, node, programs.NETWORK, transit=False)
        programs.install_agent(node)
        node.start_programs()
    return farm


def node_files(farm: Farm) -> dict[str, str | bytes]:
    """What a new node of the farm has on it, with a token of its own."""
    create = ("token", "create", programs.NETWORK.name, "--ttl", "12h")  # longer than any test
    token = programs.ncadm(farm.controller, *create)[0]
    started = [replace(unit, log=Log.STDOUT) for unit in (*UNITS, REPORT)]  # to the console
    return {
        "/scenario": SUPERVISOR,
        **({ZINIT_PROGRAM: Path(ZINIT).read_bytes()} if ZINIT else {}),
        **{f"/etc/zinit/{unit.name}.yaml": units.render(unit) for unit in started},
        **_joined(token["join"]),
    }


def overlay(node: Machine) -> dict[str, Any]:
    """What a node reports when it has reached its peers: `seconds`, `answered`, `kinds`, `clock`."""
    found: dict[str, Any] = json.loads(node.await_mark("overlay", SLOW))
    return found


def _joined(text: str) -> dict[str, str]:
    """The files that `zosnet-agent join` leaves while no networkd runs."""
    with TemporaryDirectory() as directory:
        Store(Path(directory)).keep_join(parse_join_string(text), text)
        found = [path for path in Path(directory).rglob("*") if path.is_file()]
        return {f"/var/lib/zosnet/{p.relative_to(directory)}": p.read_text() for p in found}
