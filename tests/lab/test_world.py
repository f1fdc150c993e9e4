"""Worlds and nodes: what is promised of them when they live, lose power and die."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.host import TREE, CommandError, wait_until
from lab.node import Node
from lab.wiring import Nic
from lab.world import World

pytestmark = pytest.mark.lab

KINDS = ("net", "mnt", "pid", "uts", "ipc")
OWNER = """
import sys, time
from lab.node import Node
from lab.wiring import Nic
from lab.world import World

world = World("orphan")
node = world.node("n1")
world.plug(Nic("n1", "eth0", "lan"))
node.script("ip netns add inner; mount -t tmpfs tmpfs /mnt")
process = node.spawn("sleep", "1000")
print(world.pid, node.pid, process.pid, flush=True)
{ending}
time.sleep(1000)
"""


def namespace(pid: int, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def namespaces_in_use() -> set[str]:
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        for kind in KINDS:
            try:
                found.add(str((process / "ns" / kind).readlink()))
            except OSError:
                continue
    return found


def start_owner(ending: str = "") -> tuple[subprocess.Popen[str], list[int]]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(ending=ending)],
        cwd=TREE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    with owner.stdout as said:
        return owner, [int(word) for word in said.readline().split()]


def test_a_killed_owner_leaves_no_process_no_namespace_and_no_mount() -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    owner, pids = start_owner()
    made = {namespace(pid, kind) for pid in pids for kind in KINDS}
    # as long as we hold them the kernel gives their numbers to no other test's
    held = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for pid in pids for kind in KINDS]
    ours = {namespace(os.getpid(), kind) for kind in KINDS}
    alive = [lives(pid) for pid in pids]
    owner.send_signal(signal.SIGKILL)
    owner.wait(20)

    assert alive == [True, True, True]
    assert made.isdisjoint(ours)
    wait_until("the end of the world", lambda: made.isdisjoint(namespaces_in_use()))
    for descriptor in held:
        os.close(descriptor)
    wait_until("their burial", lambda: not any(lives(pid) for pid in pids))
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_a_released_world_lives_on_until_its_first_process_is_killed() -> None:
    owner, (world, node, _) = start_owner(ending="world.release(); sys.exit()")
    owner.wait(10)
    lived_on = [lives(pid) for pid in (world, node)]
    os.kill(world, signal.SIGKILL)

    assert lived_on == [True, True]
    wait_until("the end of the world", lambda: not lives(node))


def test_a_node_has_its_own_everything_and_the_machine_keeps_its_files(world: World) -> None:
    node = world.node("n1")
    node.write("/etc/zosnet/agent.yaml", "a: b\n")
    here = {kind: namespace(os.getpid(), kind) for kind in ("net", "mnt", "pid", "uts", "ipc")}
    there = {kind: namespace(node.pid, kind) for kind in here}

    assert set(here.values()).isdisjoint(there.values())
    assert node.output("hostname") == "n1\n"
    assert node.output("ls", "/run") == "lock\nnetns\n"
    assert node.output("ls", "/sys/class/net") == "lo\n"
    assert node.output("cat", "/etc/zosnet/agent.yaml") == "a: b\n"
    assert not Path("/etc/zosnet/agent.yaml").exists()


NESTED = """
from lab.world import World

with World("inner") as world:
    print(world.node("n1").output("ls", "/var/log"))
"""


def test_a_new_disk_hides_what_a_machine_that_is_a_node_itself_has(world: World) -> None:
    outer = world.node("outer", disk=False)
    outer.script("mount -t tmpfs tmpfs /var/log; mkdir /var/log/zosnet; echo >/var/log/other")
    outer.script("echo mine >/var/log/zosnet/agent.log")
    seen = outer.output("sh", "-c", f"cd {TREE}; exec {sys.executable} -c '{NESTED}'")
    inside = NESTED.replace("/var/log", "/var/log/zosnet")
    hidden = outer.output("sh", "-c", f"cd {TREE}; exec {sys.executable} -c '{inside}'")

    assert seen.split() == ["other", "zosnet"]
    assert hidden.split() == []


def test_a_power_cut_ends_all_programs_and_boot_brings_the_same_cards_and_disk(
    world: World,
) -> None:
    n1, n2 = world.nodes("n1", "n2")
    world.plug(Nic("n1", "eth0", "lan"), Nic("n1", "eth1", None), Nic("n2", "eth0", "lan"))
    program = n1.spawn("sleep", "1000")
    n1.write("/var/lib/zosnet/node.key", "secret")
    n1.write("/run/zosnet/status.json", "{}")
    before = n1.output("cat", "/sys/class/net/eth0/address", "/sys/class/net/eth1/address")
    first_pid = n1.pid
    n1.power_cut()
    with pytest.raises(CommandError) as refused:
        n1.run("true")
    n1.boot()
    after = n1.output("cat", "/sys/class/net/eth0/address", "/sys/class/net/eth1/address")
    n1.script("ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up")
    n2.script("ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up")

    assert program.wait(20) == -signal.SIGKILL
    assert "powered off" in refused.value.message
    assert n1.pid != first_pid
    assert after == before
    assert n1.path("/var/lib/zosnet/node.key").read_text() == "secret"
    assert not Path("/var/lib/zosnet/node.key").exists()
    assert not n1.path("/run/zosnet").exists()
    assert n1.ok("ping", "-c1", "-W2", "10.0.0.2")


def test_a_card_has_carrier_while_its_cable_is_in(world: World) -> None:
    node = world.node("n1")
    world.plug(Nic("n1", "eth0", "lan"), Nic("n1", "eth1", None))
    node.script("ip link set eth0 up; ip link set eth1 up")
    carrier = "/sys/class/net/eth0/carrier"
    seen = [node.output("cat", carrier)]
    node.pull_cable("eth0")
    seen.append(node.output("cat", carrier))
    node.plug_cable("eth0")
    seen.append(node.output("cat", carrier))

    assert seen == ["1\n", "0\n", "1\n"]
    assert node.output("cat", "/sys/class/net/eth1/carrier") == "0\n"


def test_two_worlds_with_the_same_names_do_not_meet(world: World) -> None:
    def furnish(where: World) -> list[Node]:
        nodes = where.nodes("n1", "n2")
        where.plug(Nic("n1", "eth0", "lan"), Nic("n2", "eth0", "lan"))
        for node in nodes:
            node.script(f"ip addr add 10.0.0.{node.name[1]}/24 dev eth0; ip link set eth0 up")
        return nodes

    with World("world") as other:
        here, there = furnish(world), furnish(other)
        here[0].write("/etc/zosnet/name", "here")
        there[1].script("ip link set eth0 down")

        assert here[0].ok("ping", "-c1", "-W2", "10.0.0.2")
        assert not there[0].ok("ping", "-c1", "-W1", "10.0.0.2")
        assert not there[0].path("/etc/zosnet/name").exists()


def test_a_program_says_how_it_ended(world: World) -> None:
    node = world.node("n1", disk=False)
    with pytest.raises(CommandError) as missing:
        node.run("no-such-program")
    with pytest.raises(CommandError) as failing:
        node.run("sh", "-c", "echo why >&2; exit 3")
    with pytest.raises(CommandError) as endless:
        node.run("sleep", "100", timeout=0.1)
    killed = node.spawn("sleep", "100")
    killed.terminate()

    assert missing.value.message == ("cannot run no-such-program on n1: No such file or directory")
    assert failing.value.message.endswith("exit 3: why")
    assert "no end after 0.1 s" in endless.value.message
    assert killed.wait(20) == -signal.SIGTERM
    assert node.output("cat", input="through\n") == "through\n"


def test_a_first_process_reaps_what_daemons_leave_behind(world: World) -> None:
    node = world.node("n1", disk=False)
    node.script("sh -c 'sleep 0.05 & sleep 0.1 & true'")

    def only_init_and_ps() -> bool:
        return len(node.output("ps", "-A", "-o", "stat=").split()) == 2

    wait_until("the last orphan's end", only_init_and_ps)


def test_what_passes_a_switch_is_recorded(world: World, tmp_path: Path) -> None:
    n1, n2 = world.nodes("n1", "n2", disk=False)
    world.plug(Nic("n1", "eth0", "lan"), Nic("n2", "eth0", "lan"))
    listening = world.log_path("tcpdump-lan")
    wait_until("tcpdump", lambda: "listening" in listening.read_text())
    n1.script("ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up")
    n2.script("ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up")
    n1.run("ping", "-c1", "-W2", "10.0.0.2")
    capture = world.logs / "lan.pcap"

    def recorded() -> bool:
        return "echo reply" in world.output("tcpdump", "-nr", "/run/log/lan.pcap", check=False)

    wait_until("the ping in the capture", recorded)
    seen = capture.read_bytes()
    world.save_logs(tmp_path / "kept")

    assert (tmp_path / "kept/lan.pcap").read_bytes().startswith(seen)
