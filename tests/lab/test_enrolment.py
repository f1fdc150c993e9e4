"""From a join string to a working overlay: real controller, real agents' parts, real WireGuard."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from agent.nr.plan import Names
from lab.host import PYTHON, TREE, Process
from lab.node import Node
from lab.wiring import Nic
from lab.world import World
from tests.lab.test_overlay import await_that

pytestmark = pytest.mark.lab

STATUS = "/run/zosnet/enrolled.json"
CONTROLLER = "192.0.2.100"
CONFIG = "/etc/zosnet/controller.yaml"


@dataclass
class Controller:
    node: Node
    process: Process | None = None

    def make(self) -> None:
        self.node.script(f"ip link set eth0 up; ip address add {CONTROLLER}/24 dev eth0")
        self.node.write(CONFIG, "data: /var/lib/zosnet/controller\n")
        self._run(
            "controller", "init", "--config", CONFIG, "--endpoint", f"tcp://{CONTROLLER}:9930"
        )
        self.start()
        self._admin("network", "create", "home", "--ipv4", "10.9.0.0/16", "--ipv6", "fd09::/64")

    def start(self) -> None:
        self.process = self.node.spawn(
            PYTHON, "-m", "controller", "serve", "--config", CONFIG, log=self.node.log("controller")
        )
        await_that(lambda: self._admin("network", "list", check=False), what="no controller")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    def token(self, *options: str) -> str:
        return self._admin("token", "create", "home", *options).strip()

    def _admin(self, *words: str, check: bool = True) -> str:
        return self._run("controller.admin", *words, check=check)

    def _run(self, module: str, *words: str, check: bool = True) -> str:
        done = self.node.run(
            PYTHON, "-m", module, *words, check=check, environment={"PYTHONPATH": str(TREE)}
        )
        return done.stdout if done.returncode == 0 else ""


@dataclass
class Agent:
    node: Node
    number: int
    program: Process | None = None

    def start(self, join: str = "") -> None:
        self.node.script(
            f"ip link set eth0 up; ip address add 192.0.2.{self.number}/24 dev eth0\n"
            "ip route add default via 192.0.2.254 dev eth0\n"
        )
        if join:
            self.node.write("/run/join", join, mode=0o600)
        self.run_program()

    def run_program(self) -> None:
        program = TREE / "tests/lab/programs/run_enrolled.py"
        self.program = self.node.spawn(PYTHON, program, log=self.node.log("agent"))

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.node.path(STATUS).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def network(self) -> dict[str, Any]:
        networks = self.status().get("overlay", {}).get("networks", [])
        return networks[0] if networks else {}

    def farm(self) -> dict[str, Any]:
        farms = self.status().get("enrol", {}).get("farms", [])
        return farms[0] if farms else {}

    def reaches(self, *others: "Agent") -> bool:
        known = {p["name"]: p["reachable"] for p in self.network().get("peers", [])}
        return all(known.get(other.node.name) for other in others)

    def pings(self, other: "Agent") -> bool:
        space = Names.of(self.network()["network"]).space
        return all(
            self.node.ok(
                *self.node.inside(space, "ping", "-c1", "-W1", "-q", address.partition("/")[0])
            )
            for address in other.network()["addresses"]
        )


@pytest.fixture
def farm(world: World) -> tuple[Controller, Agent, Agent]:
    return make_farm(world)


def make_farm(world: World) -> tuple[Controller, Agent, Agent]:
    host, first, second = world.nodes("c", "n1", "n2")
    world.plug(*(Nic(name, "eth0", "net") for name in ("c", "n1", "n2")))
    for node in (host, first, second):
        node.script("ip link set lo up")
    controller = Controller(host)
    controller.make()
    return controller, Agent(first, 1), Agent(second, 2)


def test_a_join_string_is_all_that_a_node_needs(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    n1.start(controller.token("--role", "transit"))
    await_that(lambda: n1.network().get("overlay_seconds"))
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    for agent in (n1, n2):
        network, admitted = agent.network(), agent.farm()["admitted_seconds"]
        print(
            f"{agent.node.name}: admitted {admitted} s, overlay {network['overlay_seconds']} s,"
            f" first ping {network['first_ping_seconds']} s, {agent.status()['rss_kib']} KiB"
        )

    assert n1.network()["first_ping_seconds"] is None  # nobody was there before it
    assert n2.network()["first_ping_seconds"] is not None
    assert n1.pings(n2)
    assert n2.pings(n1)
    assert n1.status()["rss_kib"] <= 48 * 1024
    assert not list(n2.node.path("/var/lib/zosnet/join").iterdir())


def test_a_dead_controller_takes_nothing_away_and_is_found_again(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    n1.start(controller.token())
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    controller.kill()
    n2.node.power_cut()
    n2.node.boot()
    n2.node.script("ip link set lo up")
    n2.start()
    await_that(lambda: n2.reaches(n1))
    assert n2.network()["from_cache"]
    assert n1.pings(n2)

    controller.start()
    seconds = await_that(lambda: n2.farm().get("connection") == "online", 40)
    print(f"controller back: connected after {seconds:.1f} s")
    await_that(lambda: not n2.network()["from_cache"])


def test_leaving_leaves_nothing_behind_and_the_others_forget_the_member(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    n1.start(controller.token())
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    network = n2.network()["network"]
    n2.node.write("/run/leave", network)
    await_that(lambda: n2.network() == {} and n2.farm()["networks"] == [])
    await_that(lambda: n1.network()["peers"] == [])

    space = Names.of(network).space
    await_that(lambda: space not in n2.node.output("ip", "netns", "list"))

    await_that(lambda: not n2.node.path(f"/var/lib/zosnet/networks/{network}").exists())
    await_that(lambda: not list(n2.node.path("/run/zosnet/children").glob("*.pid")))

    assert space in n1.node.output("ip", "netns", "list")


def test_what_is_left_of_a_network_that_is_kept_no_more_goes_at_the_next_start(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, _ = farm
    n1.start(controller.token())
    await_that(lambda: n1.network().get("overlay_seconds"))
    network = n1.network()["network"]
    assert n1.program is not None
    n1.program.kill()
    n1.program.wait(5)
    controller.kill()  # or the node would join again
    space = Names.of(network).space
    kept = n1.node.path(f"/var/lib/zosnet/networks/{network}/netmap.json")
    kept.write_text("{")  # damaged, and still joined
    n1.node.path(STATUS).unlink()
    n1.run_program()
    await_that(n1.status)
    assert space in n1.node.output("ip", "netns", "list")
    n1.program.kill()
    n1.program.wait(5)
    kept.unlink()
    n1.run_program()

    await_that(lambda: space not in n1.node.output("ip", "netns", "list"))
    await_that(lambda: not list(n1.node.path("/run/zosnet/children").glob("*.pid")))


def test_a_network_that_somebody_took_apart_is_mended(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    n1.start(controller.token())
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    names = Names.of(n2.network()["network"])
    address = n2.network()["addresses"][0]
    rules = _rules(n2, names)
    for wreck in (
        ("ip", "-n", names.space, "address", "delete", address, "dev", names.device),
        ("ip", "-n", names.space, "link", "set", names.device, "down"),
        ("ip", "-n", names.space, "link", "delete", names.bridge),
        n2.node.inside(names.space, "nft", "flush", "ruleset"),
        n2.node.inside(names.space, "nft", "flush", "chain", "inet", "zosnet_nr", "through"),
        ("ip", "netns", "delete", names.space),
    ):
        n2.node.run(*wreck)
        seconds = await_that(lambda: n2.pings(n1) and n1.pings(n2) and _whole(n2, names, rules))
        print(f"{' '.join(wreck[-4:])}: mended after {seconds:.1f} s")

    await_that(lambda: n2.reaches(n1))


def _whole(agent: Agent, names: Names, rules: str) -> bool:
    links = agent.node.output(*agent.node.inside(names.space, "ip", "-br", "link"))
    return _rules(agent, names) == rules and names.bridge in links


def _rules(agent: Agent, names: Names) -> str:
    return agent.node.output(*agent.node.inside(names.space, "nft", "list", "ruleset"))


def test_a_namespace_that_was_made_while_its_device_could_not_be_is_asked_from(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    n1.start(controller.token())
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))
    space = Names.of(n2.network()["network"]).space
    n2.node.script("program=$(command -v wireguard-go); mount --bind /bin/false $program")
    n2.node.run("ip", "netns", "delete", space)
    await_that(lambda: space in n2.node.output("ip", "netns", "list") and not n2.reaches(n1))
    n2.node.script("umount $(command -v wireguard-go)")

    await_that(lambda: n2.reaches(n1) and n1.reaches(n2))


def test_a_port_that_is_taken_is_left_for_the_next(
    farm: tuple[Controller, Agent, Agent],
) -> None:
    controller, n1, n2 = farm
    n1.start(controller.token())
    await_that(lambda: n1.network().get("overlay_seconds"))
    port = n1.network()["port"]  # the same on both: it follows from the network
    n2.node.spawn(
        PYTHON,
        "-c",
        "import socket, time\n"
        "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        f"s.bind(('::', {port})); time.sleep(120)",
    )
    await_that(lambda: n2.node.output("ss", "-Huln", f"sport = :{port}"))
    n2.start(controller.token())
    await_that(lambda: n1.reaches(n2) and n2.reaches(n1))

    assert n2.network()["port"] == port + 1
    await_that(lambda: any(str(port + 1) in p["endpoint"] for p in n1.network()["peers"]))
