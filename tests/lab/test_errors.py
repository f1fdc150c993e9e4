"""What can be wrong around a node: the reason stands in status, why, wait and once in the log; the
network that works goes on; and when the cause is gone, so is the error.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Interface
from time import sleep

import pytest
from msgspec.structs import replace

from lab.internet import WEB4
from lab.node import Node
from lab.programs import JOIN_FILE, ncadm
from lab.router import Lan, lone_server
from lab.wiring import Nic
from lab.world import World
from protocol.ids import controller_id
from protocol.joinstring import parse_join_string, render_join_string
from protocol.keys import VerifyKey
from runtime.failure import Exit
from tests.lab.boot_node import nics
from tests.lab.living import Living, await_that, kill, make_living, pid_of

pytestmark = pytest.mark.lab

NETWORKD = "zosnet-agent networkd"
LOG = "/var/log/zosnet/networkd.log"
WIREGUARD = "kill $(cut -d' ' -f1 /run/zosnet/children/wireguard-*.pid)"
PID = "$(pgrep -f '[z]osnet-agent networkd')"
STOP, GO = f"kill -STOP {PID}", f"kill -CONT {PID}"
LIBRARY = "$(readlink -f /usr/lib/*/libnftables.so.1)"


@pytest.fixture(scope="module")
def farm(shared_world: World) -> Iterator[Living]:
    living = make_living(shared_world)
    yield living
    living.kill_controller()


@pytest.fixture
def n3(farm: Living) -> Iterator[Node]:
    """A node that is as it should be, before and after."""
    node = farm.node("n3")
    node.path(LOG).write_text("")
    yield node
    recovers(node, "overlay")
    recovers(node, "ndmz")


def reasons(node: Node) -> list[str]:
    items = json.loads(node.output("zosnet-agent", "why", "-o", "json"))["items"]
    return [str(item["said"]) for item in items]


def says(node: Node, *words: str) -> None:
    """`why` gives a reason with all these words."""

    def there() -> bool:
        return any(all(word in said for word in words) for said in reasons(node))

    await_that(f"the reason {words}", there)


def wait_fails(node: Node, phase: str, *words: str) -> None:
    """`wait` ends with exit code 9 and, soon, with this reason."""

    def told() -> bool:
        ended = node.run("zosnet-agent", "wait", phase, "--timeout", "0", check=False)
        assert ended.returncode == Exit.NOT_CONVERGED, ended
        assert ended.stderr.startswith(f"error: cannot wait longer for {phase}: ")
        return all(word in ended.stderr for word in words)

    await_that(f"wait {phase} to say {words}", told, 20)


def recovers(node: Node, phase: str) -> None:
    node.run("zosnet-agent", "wait", phase, "--timeout", "40", timeout=60)


def times_logged(node: Node, words: str, log: str = LOG) -> int:
    text = node.path(log).read_text()
    assert "Traceback" not in text
    return sum(words in line for line in text.splitlines())


def reaches_n1(farm: Living, node: Node) -> bool:
    """Over the overlay, from inside the network's namespace."""
    space = node.output("sh", "-c", "ls /run/netns | grep ^n-").strip()
    address = next(a for a in farm.views()["n1"].overlay if ":" not in a)
    return node.ok(*node.inside(space, "ping", "-c2", "-i0.2", "-W1", "-q", address))


@contextmanager
def spoiled(node: Node, spoil: str, mend: str) -> Iterator[None]:
    node.script(spoil)
    try:
        yield
    finally:
        node.script(mend)


# -- networkd cannot start

MISTAKE = ("cannot use /etc/zosnet/agent.yaml: unknown key 'nisc'", "did you mean 'nics'?")
WIDE = ("others may read it (mode 0644)", "chmod 600 /var/lib/zosnet/node.key")


def test_networkd_waits_for_what_only_a_person_can_mend(farm: Living, n3: Node) -> None:
    """A key that others may read, and before that a mistake in agent.yaml."""
    yaml = n3.path("/etc/zosnet/agent.yaml").read_text()
    assert reaches_n1(farm, n3)
    with spoiled(n3, "chmod 644 /var/lib/zosnet/node.key", "chmod 600 /var/lib/zosnet/node.key"):
        n3.write("/etc/zosnet/agent.yaml", f"{yaml}nisc: {{}}\n")
        kill(n3, pid_of(n3, NETWORKD))
        says(n3, *MISTAKE)
        for phase in ("ndmz", "overlay"):
            wait_fails(n3, phase, *MISTAKE)
        waits = pid_of(n3, NETWORKD)
        sleep(1.2)  # at least another try

        assert reaches_n1(farm, n3)  # the kernel goes on
        assert times_logged(n3, MISTAKE[0]) == 1

        n3.write("/etc/zosnet/agent.yaml", yaml)
        says(n3, *WIDE)
        wait_fails(n3, "overlay", *WIDE)
    recovers(n3, "overlay")

    assert pid_of(n3, NETWORKD) == waits
    assert [times_logged(n3, words[0]) for words in (MISTAKE, WIDE)] == [1, 1]


def test_a_second_networkd_is_refused_and_the_first_goes_on(n3: Node) -> None:
    before = pid_of(n3, NETWORKD)
    second = n3.run("zosnet-agent", "networkd", check=False)

    assert second.returncode == Exit.CONFLICT
    assert "cannot start networkd: another networkd is running" in second.stderr
    assert pid_of(n3, NETWORKD) == before
    assert n3.run("zosnet-agent", "leave", "nosuch", check=False).returncode == Exit.NOT_FOUND


def test_on_a_node_that_works_the_doctor_finds_nothing(n3: Node) -> None:
    ended = n3.run("zosnet-agent", "doctor", "-o", "json", check=False)
    found = json.loads(ended.stdout)["items"]

    assert [item for item in found if item["verdict"] != "ok"] == []
    assert ended.returncode == Exit.OK


# -- something is missing or in the way

IN_THE_WAY: dict[str, tuple[str, str, dict[str, tuple[str, ...]]]] = {
    "no tun device": (
        f"mount -t tmpfs none /dev/net; {WIREGUARD}",
        "umount /dev/net",
        {"overlay": ("there is no /dev/net/tun", "modprobe tun")},
    ),
    "no wireguard-go": (
        f"command -v wireguard-go >/run/w; mount --bind /dev/null $(cat /run/w); {WIREGUARD}",
        "umount $(cat /run/w)",
        {"overlay": ("there is no wireguard-go on this machine", "apt-get install wireguard-go")},
    ),
    "foreign namespaces": (
        f"""
        {STOP}
        n=$(ls /run/netns | grep ^n-)
        for name in $n ndmz; do ip netns delete $name; ip netns add $name; done
        echo $n >/run/n
        {GO}
        """,
        "for name in $(cat /run/n) ndmz; do ip -n $name link show lo; ip netns delete $name; done",
        {
            "overlay": (
                "cannot use namespace n-",
                "it exists and is not ours",
                "ip netns delete n-",
            ),
            "ndmz": ("cannot use namespace ndmz: it exists and is not ours", "netns delete ndmz"),
        },
    ),
    "a foreign link": (
        f"{STOP}; ip link delete ndz4; ip link add ndz4 type bridge; {GO}",
        "ip -d link show ndz4 | grep bridge; ip link delete ndz4",
        {"ndmz": ("a link ndz4 exists and is not ours", "ip link delete ndz4")},
    ),
}


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_missing_or_in_the_way_is_named_until_it_is_gone(n3: Node, what: str) -> None:
    """What is foreign is left as it is: `mend` finds it there."""
    spoil, mend, told = IN_THE_WAY[what]
    with spoiled(n3, spoil, mend):
        for phase, words in told.items():
            says(n3, *words)
            wait_fails(n3, phase, *words)
        sleep(0.8)  # another try

        for words in told.values():
            assert times_logged(n3, words[0]) == 1
    for phase in told:
        recovers(n3, phase)


def test_without_libnftables_nothing_is_forwarded_and_the_package_is_named(
    farm: Living, n3: Node
) -> None:
    """Without it nobody sees whether the guard stands."""
    words = ("there is no libnftables.so.1 on this machine", "apt-get install nftables")
    space = farm.status("n3")["networks"][0]["namespace"]
    ping = n3.inside(space, "ping", "-c1", "-W1", "-q", str(WEB4))
    assert n3.ok(*ping)
    with spoiled(n3, f"mount --bind /dev/null {LIBRARY}", f"umount {LIBRARY}"):
        kill(n3, pid_of(n3, NETWORKD))
        says(n3, *words)
        await_that("an end of forwarding", lambda: not n3.ok(*ping))
        wait_fails(n3, "ndmz", *words)
        wait_fails(n3, "overlay", *words)


def test_a_port_that_is_taken_costs_the_port_and_no_peer(farm: Living, n3: Node) -> None:
    port = farm.status("n3")["networks"][0]["port"]
    log = n3.log("holder")
    holder = n3.spawn("python3", "-c", HOLD, str(port), log=log)
    await_that("the holder", lambda: "waits" in log.read_text())
    n3.script(WIREGUARD)
    await_that("another port", lambda: farm.status("n3")["networks"][0]["port"] not in (0, port))
    farm.await_answers(30)

    assert holder.poll() is None
    assert times_logged(n3, "port taken, next one") == 1
    holder.kill()
    holder.wait(5)


HOLD = """
import socket, sys, time
port = int(sys.argv[1])
print("waits", flush=True)
while True:
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind(("::", port))
        break
    except OSError:
        sock.close()
time.sleep(120)
"""


# -- join strings

JOINS = {
    "cut off": ("head -c 100", "it is cut off: 58 of"),
    # another letter there, whatever it is
    "damaged": (
        r"sed 's/^\(.\{59\}\)a/\1b/; t; s/./a/60'",
        "it is damaged: its check sum is wrong",
    ),
    "with more behind": ("sed s/$/abc/", "it has 3 characters too many"),
    "another text": ("sed s/zosnet1//", "it does not begin with zosnet1"),
    "empty": ("head -c 0", "it is empty"),
}


def test_a_join_string_that_is_none_is_said_at_once_and_kept_nowhere(
    farm: Living, n3: Node
) -> None:
    token = ncadm(farm.farm.controller, "token", "create", "home")[0]["join"]
    n3.write(JOIN_FILE, f"{token}\n", mode=0o600)
    before = n3.output("find", "/var/lib/zosnet/farms", "/var/lib/zosnet/join")
    for change, words in JOINS.values():
        n3.script(f"{change} <{JOIN_FILE} >/run/join")
        ended = n3.run("zosnet-agent", "join", "/run/join", check=False)

        assert ended.returncode == Exit.USAGE
        assert ended.stderr.startswith(f"error: cannot use the join string: {words}")
        assert "hint: " in ended.stderr
        assert token[20:60] not in ended.stderr
    as_word = n3.run("zosnet-agent", "join", token, check=False)

    assert as_word.returncode == Exit.USAGE
    assert token[20:60] not in as_word.stderr
    assert n3.output("find", "/var/lib/zosnet/farms", "/var/lib/zosnet/join") == before
    assert n3.ok("zosnet-agent", "join", JOIN_FILE)


def test_a_join_string_of_another_root_is_not_trusted_and_can_be_forgotten(
    farm: Living, n3: Node
) -> None:
    token = parse_join_string(ncadm(farm.farm.controller, "token", "create", "home")[0]["join"])
    other = replace(token, root=VerifyKey(b"r" * 32))
    n3.write(JOIN_FILE, render_join_string(other), mode=0o600)
    n3.run("zosnet-agent", "join", JOIN_FILE)
    name = controller_id(other.root)
    words = (f"cannot trust the controller of farm {name}", f"zosnet-agent leave {name}")
    says(n3, *words)
    in_use = controller_id(token.root)
    refused = n3.run("zosnet-agent", "leave", "--yes", in_use, check=False)
    n3.run("zosnet-agent", "leave", "--yes", name)
    await_that("the other one to go", lambda: farms(farm, "n3") == [in_use])

    assert refused.returncode == Exit.CONFLICT
    assert n3.output("ls", "/var/lib/zosnet/farms").split() == [f"{in_use}.json"]
    assert times_logged(n3, words[0]) == 1


def farms(farm: Living, name: str) -> list[str]:
    return [one["controller_id"] for one in farm.status(name)["enrol"]["farms"]]


# -- internet cannot start

CONFIG = "nics: {kinds: [veth]}\nsupervisor: none\nprobe: {grace: 0.05}\n"


def booting_nodes(world: World, count: int) -> list[Node]:
    lone_server(world, "r", "lan", Lan(IPv4Interface("192.168.7.1/24")))
    nodes = world.nodes(*(f"n{number}" for number in range(count)))
    world.plug(*(Nic(node.name, "eth0", "lan") for node in nodes))
    for node in nodes:
        node.write("/etc/zosnet/agent.yaml", CONFIG)
    return nodes


FOREIGN = {
    "a link zos": (
        "ip link add zos type bridge",
        "ip -d link show zos | grep bridge; ip link delete zos",
        ("cannot make the bridge zos: a link of that name exists", "ip -d link show zos"),
    ),
    "a probe namespace": (
        "ip netns add znp-$(cat /sys/class/net/eth0/ifindex)",
        "ip netns delete znp-$(cat /sys/class/net/eth0/ifindex)",
        ("cannot use namespace znp-", "it exists and is not ours", "ip netns delete znp-"),
    ),
    "a mistake in agent.yaml": (
        "sed -i s/kinds/kind/ /etc/zosnet/agent.yaml",
        "sed -i s/kind:/kinds:/ /etc/zosnet/agent.yaml",
        ("nics: unknown key 'kind'", "did you mean 'kinds'?"),
    ),
}


def test_internet_waits_for_what_only_a_person_can_mend(world: World) -> None:
    nodes = booting_nodes(world, len(FOREIGN))
    cases = list(zip(nodes, FOREIGN.values(), strict=True))
    with ExitStack() as mending:
        for node, (spoil, mend, _) in cases:
            mending.enter_context(spoiled(node, spoil, mend))
        by_hand = [node.run("zosnet-agent", "internet", check=False) for node in nodes]
        running = [
            node.spawn("zosnet-agent", "internet", "--keep-trying", log=node.log("internet"))
            for node in nodes
        ]
        for node, (_, _, words) in cases:
            says(node, *words)
            wait_fails(node, "overlay", *words)
        sleep(1.2)  # another try

        assert [e for e in by_hand if not e.stderr.startswith("error: cannot ")] == []
        assert {e.returncode for e in by_hand} == {Exit.USAGE, Exit.CONFLICT}
        assert [process for process in running if process.poll() is not None] == []
        assert [nics(node) for node in nodes] == [["eth0"]] * len(nodes)
    for node, process, (_, _, words) in zip(nodes, running, FOREIGN.values(), strict=True):
        recovers(node, "uplink")
        text = node.log("internet").read_text()

        assert process.wait(20) == 0
        assert text.count(words[0]) == 1
        assert "Traceback" not in text
