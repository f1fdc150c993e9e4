"""`zosnet-agent doctor`: each thing that it looks at is spoiled once, found, and fine again after."""

import json
from time import sleep
from typing import NamedTuple

import pytest

from lab.host import wait_until
from lab.node import Node
from lab.wiring import Nic
from lab.world import World
from runtime.failure import Exit
from tests.lab.boot_node import configure, spaces, start_internet
from tests.lab.test_errors import LIBRARY, spoiled

pytestmark = pytest.mark.lab

STATE = "/var/lib/zosnet"
YAML = "/etc/zosnet/agent.yaml"
ZOS = "ip link add zos type bridge; ip link set zos alias zosnet:zos up"
NO_ZOS = "ip link delete zos"
CONF = "/proc/sys/net"


@pytest.fixture(scope="module")
def node(shared_world: World) -> Node:
    made = shared_world.node("n1")
    shared_world.plug(Nic("n1", "eth0", "lan"))
    configure(made)
    made.script(f"mkdir -p {STATE} /etc/zinit")

    assert not_well(made) == {}
    return made


def doctor(node: Node, *prefix: str) -> dict[str, list[dict[str, str]]]:
    """Its findings by what they are about; the exit code says whether one of them is a failure."""
    ended = node.run(*prefix, "zosnet-agent", "doctor", "-o", "json", check=False)
    items: list[dict[str, str]] = json.loads(ended.stdout)["items"]
    failed = any(item["verdict"] == "fail" for item in items)

    assert ended.returncode == (Exit.PROBLEMS if failed else Exit.OK), ended.stderr
    assert [
        item for item in items if item["verdict"] in ("warn", "fail") and not item["todo"]
    ] == []
    return {
        about: [i for i in items if i["about"] == about] for about in (i["about"] for i in items)
    }


def not_well(node: Node, *prefix: str) -> dict[str, str]:
    found = doctor(node, *prefix)
    return {
        about: item["verdict"]
        for about, items in found.items()
        for item in items
        if item["verdict"] != "ok"
    }


class Case(NamedTuple):
    spoil: str
    mend: str
    about: tuple[str, ...]
    verdict: str
    said: str
    todo: str


RULES = ("nftables", "NAT", "conntrack", "guard", "firewalls")
CASES = {
    "no nft": Case(
        "command -v nft >/run/p; mount --bind /dev/null $(cat /run/p)",
        "umount $(cat /run/p)",
        ("nft",),
        "fail",
        "there is no nft on this machine",
        "apt-get install nftables",
    ),
    "no library": Case(
        f"mount --bind /dev/null {LIBRARY}",
        f"umount {LIBRARY}",
        RULES,
        "fail",
        "there is no libnftables.so.1",
        "apt-get install nftables",
    ),
    "no tun": Case(
        "mount -t tmpfs none /dev/net",
        "umount /dev/net",
        ("tun devices",),
        "fail",
        "No such file",
        "modprobe tun",
    ),
    "no wireguard-go": Case(
        "command -v wireguard-go >/run/w; mount --bind /dev/null $(cat /run/w)",
        "umount $(cat /run/w)",
        ("WireGuard",),
        "fail",
        "there is no wireguard-go",
        "apt-get install wireguard-go",
    ),
    "read-only state": Case(
        f"mount -t tmpfs -o ro none {STATE}",
        f"umount {STATE}",
        (STATE,),
        "fail",
        "it is read-only",
        f"remount,rw $(findmnt -no TARGET -T {STATE})",
    ),
    "full disk": Case(
        f"mount -t tmpfs -o size=64k none {STATE}; head -c 60000 /dev/zero >{STATE}/x",
        f"umount {STATE}",
        (STATE,),
        "fail",
        "the disk is full",
        "make room",
    ),
    "little room": Case(
        f"mount -t tmpfs -o size=2m none {STATE}",
        f"umount {STATE}",
        (STATE,),
        "warn",
        "2 MiB and",
        "make room",
    ),
    "clock behind": Case(
        f"echo 4000000000000 0 another-boot >{STATE}/clock",
        f"rm {STATE}/clock",
        ("clock",),
        "fail",
        "behind what this node has lived through",
        "date -s",
    ),
    "mistake in the config": Case(
        f"sed -i s/kinds/kind/ {YAML}",
        f"sed -i s/kind:/kinds:/ {YAML}",
        ("agent.yaml",),
        "fail",
        "nics: unknown key 'kind'",
        "did you mean 'kinds'?",
    ),
    "no NIC": Case(
        f"sed -i 's/, veth//' {YAML}",
        f"sed -i 's/physical/physical, veth/' {YAML}",
        ("NICs",),
        "fail",
        "eth0: veth is not among nics.kinds",
        "nics in agent.yaml",
    ),
    "an open key": Case(
        f"head -c 32 /dev/urandom >{STATE}/node.key",
        f"rm {STATE}/node.key",
        ("node key",),
        "fail",
        "others may read it (mode 0644)",
        "chmod 600",
    ),
    "damaged state": Case(
        f"echo '{{' >{STATE}/resources.json",
        f"rm {STATE}/resources.json",
        (f"{STATE}/resources.json",),
        "fail",
        "it is damaged",
        "backup",
    ),
    "no zinit": Case(
        f"sed -i 's/supervisor: none/supervisor: zinit/' {YAML}",
        f"sed -i 's/supervisor: zinit/supervisor: none/' {YAML}",
        ("supervisor",),
        "fail",
        "nobody listens on /var/run/zinit.sock",
        "start zinit",
    ),
    "a unit of another place": Case(
        """cat >/etc/zinit/internet.yaml <<'END'
exec: "/bin/sh -c 'until /opt/gone/zosnet-agent internet; do sleep 2; done'"
END""",
        "rm /etc/zinit/internet.yaml",
        ("/etc/zinit/internet.yaml",),
        "fail",
        "it starts /opt/gone/zosnet-agent, which is no program here",
        "zosnet-agent install",
    ),
    "Docker's table": Case(
        f"""
        echo 1 >{CONF}/bridge/bridge-nf-call-iptables
        nft 'add table ip filter'
        nft 'add chain ip filter FORWARD {{ type filter hook forward priority 0; policy drop; }}'
        """,
        f"nft delete table ip filter; echo 0 >{CONF}/bridge/bridge-nf-call-iptables",
        ("firewalls",),
        "warn",
        "(ip filter) may drop what passes bridge zos",
        "iptables -I FORWARD -i zos -o zos -j ACCEPT",
    ),
    "a table of our name": Case(
        "nft add table inet zosnet_mine",
        "nft delete table inet zosnet_mine",
        ("tables",),
        "fail",
        "zosnet has no inet zosnet_mine on the host",
        "nft list table inet zosnet_mine",
    ),
    "a link of our name": Case(
        "ip link add zos type bridge",
        NO_ZOS,
        ("links",),
        "fail",
        "zos exists and is not ours",
        "ip -d link show zos",
    ),
    "a half-made link": Case(
        "ip link add x type veth peer name y; ip link set x group 8023923",
        "ip link delete x",
        ("links",),
        "warn",
        "x is half-made",
        "the next start",
    ),
    "a namespace of our name": Case(
        "ip netns add ndmz",
        "ip netns delete ndmz",
        ("namespaces of ours",),
        "fail",
        "ndmz exists and is not ours",
        "ip netns delete ndmz",
    ),
    "deaf to routers": Case(
        f"{ZOS}; echo 1 >{CONF}/ipv6/conf/zos/accept_ra; echo 1 >{CONF}/ipv6/conf/all/forwarding",
        f"{NO_ZOS}; echo 0 >{CONF}/ipv6/conf/all/forwarding",
        ("host's IPv6",),
        "fail",
        "accept_ra is 1: the default route of a router is not taken",
        "sysctl -w net/ipv6/conf/zos/accept_ra=2",
    ),
    "another way out": Case(
        f"""
        {ZOS}; echo 2 >{CONF}/ipv6/conf/zos/accept_ra; echo 1 >{CONF}/ipv4/conf/zos/rp_filter
        ip addr add 192.0.2.1/24 dev eth0; ip link set eth0 up; ip route add default via 192.0.2.2
        """,
        f"{NO_ZOS}; ip addr flush dev eth0; ip link set eth0 down",
        ("reverse path",),
        "warn",
        "the default route is not by zos",
        "sysctl -w net/ipv4/conf/zos/rp_filter=2",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_what_is_wrong_is_found_and_what_is_right_is_not(node: Node, what: str) -> None:
    case = CASES[what]
    with spoiled(node, case.spoil, case.mend):
        found = doctor(node)

    for about in case.about:
        (item,) = (i for i in found[about] if i["verdict"] != "ok")
        assert item["verdict"] == case.verdict
        assert case.said in item["said"]
        assert case.todo in item["todo"]
    assert not_well(node) == {}


def test_the_table_says_what_to_do_and_counts(node: Node) -> None:
    well = node.output("zosnet-agent", "doctor")
    with spoiled(node, "mount -t tmpfs none /dev/net", "umount /dev/net"):
        ended = node.run("zosnet-agent", "doctor", check=False)

    assert well.endswith(" ok, 0 to look at, 0 to mend, 0 not looked at\n")
    assert ended.returncode == Exit.PROBLEMS
    said, todo = next(
        pair
        for pair in zip(*[ended.stdout.splitlines()[i:] for i in (0, 1)], strict=False)
        if pair[0].startswith("fail")
    )
    assert said.split()[1:3] == ["tun", "devices"]
    assert todo.strip().startswith("do: modprobe tun")
    assert "1 to mend" in ended.stdout


@pytest.mark.parametrize(
    ("right", "lost"),
    [
        ("net_raw", {"rights", "packet sockets"}),
        ("net_admin", {"rights", "veth pairs", "bridges", "IPv6", "tun devices", *RULES}),
        ("sys_admin", {"rights", "namespaces"}),
    ],
)
def test_a_container_that_lacks_a_right_is_told_so(node: Node, right: str, lost: set[str]) -> None:
    found = not_well(node, "setpriv", f"--bounding-set=-{right}", f"--inh-caps=-{right}")

    assert {about for about, verdict in found.items() if verdict == "fail"} == lost


def test_without_root_it_says_what_it_could_not_look_at(node: Node) -> None:
    user = ("setpriv", "--reuid=65534", "--clear-groups")
    found = not_well(node, *user)

    assert set(found.values()) == {"?"}
    assert {"namespaces", "guard", STATE, "firewalls", "namespaces of ours"} <= set(found)


def test_a_boot_that_was_killed_has_left_a_NIC_in_its_namespace(node: Node) -> None:  # noqa: N802
    boot = start_internet(node)
    wait_until("a probe", lambda: any(name.startswith("znp-") for name in spaces(node)))
    under_way = doctor(node)["namespaces of ours"][0]["verdict"]
    boot.kill()
    boot.wait(5)
    (left,) = doctor(node)["namespaces of ours"]
    node.run("zosnet-agent", "reset", "--yes")

    assert under_way == "ok"
    assert left["verdict"] == "warn"
    assert "a boot was killed" in left["said"]
    assert not_well(node) == {}


def test_it_changes_nothing_also_when_it_is_killed(shared_world: World) -> None:
    node = shared_world.node("untouched")
    node.script(f"mkdir -p {STATE} /etc/zosnet /etc/zinit")
    before = traces(node)
    doctor(node)
    after = traces(node)
    for moment in range(8):
        running = node.spawn("zosnet-agent", "doctor", log=node.log("doctor"))
        sleep(0.1 + 0.15 * moment)
        running.kill()
        running.wait(5)

    wait_until("the end of what it had begun", lambda: traces(node) == before)

    assert after == before
    node.script(ZOS)
    assert traces(node) != before  # the positive control
    node.script(NO_ZOS)


def traces(node: Node) -> str:
    """All that it could have left in the node; processes and what they hold are in /proc."""
    return node.script("""
        ip -o -d link; ls -A /run/netns 2>/dev/null || :; nft list ruleset
        find /etc/zosnet /etc/zinit /run /var/lib/zosnet -xdev ! -name '*.sock'
        readlink /proc/[0-9]*/ns/net | sort -u
        sysctl -a -r '^net' 2>/dev/null | grep -v -e count -e cookie -e random
    """)
