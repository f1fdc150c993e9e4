"""The overlay between real nodes with wireguard-go: pairs, relay, forgery, deaths and reboots."""

import functools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.enrol.store import Keys
from agent.nr.plan import Names
from lab.host import PYTHON, TREE, Process
from lab.node import Node
from lab.wiring import Nic
from lab.world import World
from protocol.messages import Joined, Row, Rows, encode
from tests.agent.overlay.signing import NETWORK, SETTINGS, Authority, Someone, state

pytestmark = pytest.mark.lab

NAMES = Names.of(NETWORK)
STATUS = "/run/zosnet/overlay.json"


@dataclass
class Member:
    """A node, what the controller knows of it, and its overlay program."""

    node: Node
    someone: Someone
    underlay: tuple[str, ...]
    public: tuple[str, ...]
    families: tuple[int, ...]
    program: Process | None = None
    generation: int = 0

    def start(self) -> None:
        self.node.script(
            "ip link set lo up; ip link set eth0 up\n"
            + "".join(f"ip address add {a} dev eth0 nodad\n" for a in self.underlay)
        )
        self.run_program()

    def run_program(self) -> None:
        around = {"public": list(self.public), "families": [str(f) for f in self.families]}
        self.program = self.node.spawn(
            PYTHON,
            TREE / "tests/lab/programs/run_overlay.py",
            bytes(self.someone.node).hex(),
            json.dumps(around),
            log=self.node.log("overlay"),
        )

    def tell(self, name: str, data: bytes) -> None:
        path = self.node.path(f"/run/told/{name}")
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name(path.name.replace(".", "-") + "-new")
        aside.write_bytes(data)
        aside.rename(path)

    def network(self) -> dict[str, Any]:
        try:
            networks = json.loads(self.node.path(STATUS).read_text())["networks"]
        except (FileNotFoundError, ValueError):
            return {}
        return networks[0] if networks else {}

    def peer(self, other: "Member") -> dict[str, Any]:
        peers = self.network().get("peers", [])
        return next((p for p in peers if p["name"] == other.someone.name), {})

    def pings(self, other: "Member", *, wait: float = 2) -> bool:
        """All addresses of `other`, from inside the network."""
        return all(
            self.node.ok(
                *self.node.inside(NAMES.space, "ping", "-c", "1", "-W", str(wait), "-q", address)
            )
            for address in (a.partition("/")[0] for a in other.someone.addresses)
        )


@dataclass
class Farm:
    authority: Authority = field(default_factory=Authority)
    members: list[Member] = field(default_factory=list)

    def add(
        self,
        node: Node,
        number: int,
        *,
        public: tuple[str, ...] = (),
        families: tuple[int, ...] = (4,),
        roles: tuple[str, ...] = (),
        wireguard_below: bytes | None = None,
    ) -> Member:
        underlay = [f"192.0.2.{number}/24"] if 4 in families else []
        underlay += [f"2001:db8::{number}/64"] if 6 in families else []
        key = _key(node, wireguard_below)
        port = key.port
        endpoints = tuple(f"[{a}]:{port}" if ":" in a else f"{a}:{port}" for a in public)
        someone = Someone(
            node.name,
            (f"10.9.0.{number}/16", f"fd09::{number}/64"),
            roles=roles,
            endpoints=endpoints,
            families=families,
            wireguard=bytes(key.public),
        )
        self.members.append(Member(node, someone, tuple(underlay), public, families))
        return self.members[-1]

    def rows(self) -> tuple[Row, ...]:
        return self.authority.rows(*(m.someone for m in self.members))

    def tell(self, member: Member, rows: Iterable[Row] | None = None) -> None:
        """What a controller tells a newcomer."""
        seal = self.authority.signer.seal
        now = seal(state())
        trust = (bytes(self.authority.root_key), self.authority.signed_keyset())
        member.tell("0.trust", msgspec.msgpack.encode(trust))
        joined = Joined(
            1,
            NETWORK,
            0,
            SETTINGS,
            seal(member.someone.membership),
            now,
            revision=len(self.members),
        )
        member.tell("1.joined", encode(joined))
        all_rows = tuple(self.rows() if rows is None else rows)
        piece = Rows(2, NETWORK, 0, len(self.members), True, all_rows, (), now)
        member.tell("2.rows", encode(piece))

    def start(self) -> None:
        for member in self.members:
            member.start()
            self.tell(member)


def _key(node: Node, below: bytes | None) -> Any:
    """The node's key, on its disk before its program starts; smaller than `below` if asked."""
    directory = node.path("/var/lib/zosnet/networks")
    while True:
        keys = Keys(directory)
        key = keys.of(NETWORK)
        if below is None or key.public < below:
            return key
        keys.forget(NETWORK)


def await_that(true: Callable[[], object], within: float = 40, what: str = "") -> float:
    """Seconds until it was true."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > within:
            raise AssertionError(what or "it did not come true in time")
        time.sleep(0.02)
    return time.monotonic() - began


def plug(world: World, *names: str) -> list[Node]:
    nodes = world.nodes(*names)
    world.plug(*(Nic(name, "eth0", "net") for name in names))
    return nodes


def reachable(*pairs: tuple[Member, Member]) -> Callable[[], bool]:
    return lambda: all(a.peer(b).get("reachable") for a, b in pairs)


def both_ways(*members: Member) -> list[tuple[Member, Member]]:
    return [(a, b) for a in members for b in members if a is not b]


def all_ping(one: Member, others: Iterable[Member]) -> bool:
    """Both ways, without patience."""
    return all(one.pings(o, wait=0.2) and o.pings(one, wait=0.2) for o in others)


def report(what: str, *members: Member) -> None:
    for member in members:
        network = member.network()
        up, ping = network["overlay_seconds"], network["first_ping_seconds"]
        print(f"{what}: {member.node.name}: overlay {up:.3f} s, first ping {ping or -1:.3f} s")


@pytest.fixture
def farm(world: World) -> Farm:
    """t: transit, public in both families; a: IPv6 only is open; h: hidden, IPv4 only."""
    t, a, h = plug(world, "t", "a", "h")
    made = Farm()
    transit = made.add(
        t, 1, public=("192.0.2.1", "2001:db8::1"), families=(4, 6), roles=("transit",)
    )
    made.add(a, 2, public=("2001:db8::2",), families=(4, 6))
    made.add(h, 3, families=(4,))
    for member in made.members[1:]:
        member.someone.via = transit.someone.node
    return made


def test_two_nodes_meet_and_the_smaller_key_begins(world: World) -> None:
    first, second = plug(world, "n1", "n2")
    farm = Farm()
    large = farm.add(first, 1, public=("192.0.2.1",))
    small = farm.add(second, 2, public=("192.0.2.2",), wireguard_below=large.someone.wireguard)
    farm.start()
    await_that(reachable((large, small), (small, large)))
    report("two nodes", large, small)

    assert small.peer(large)["initiator"]
    assert not large.peer(small)["initiator"]
    assert small.pings(large)
    assert large.pings(small)
    listing = small.node.output(*small.node.inside(NAMES.space, "ip", "-o", "link"))
    assert f"{NAMES.device}: <POINTOPOINT" in listing
    assert "mtu 1420" in listing


def test_a_pair_without_a_common_family_goes_through_the_transit(farm: Farm) -> None:
    t, a, h = farm.members
    farm.start()
    await_that(reachable(*both_ways(t, a, h)))
    report("relay", t, a, h)

    assert (a.peer(h)["path"], a.peer(h)["through"]) == ("through", "t")
    assert (h.peer(a)["path"], h.peer(a)["through"]) == ("through", "t")
    assert all(one.pings(other) for one, other in both_ways(t, a, h))
    # the pair of a and h ends with its transit, and no other
    t.node.power_cut()
    assert not a.pings(h)


def test_only_the_transit_forwards(farm: Farm) -> None:
    t, a, h = farm.members
    farm.start()
    await_that(reachable(*both_ways(t, a, h)))
    rules = t.node.output(*t.node.inside(NAMES.space, "nft", "list", "ruleset"))
    other = h.node.output(*h.node.inside(NAMES.space, "nft", "list", "ruleset"))
    line = f'iifname "{NAMES.device}" oifname "{NAMES.device}" accept'

    assert line in rules
    assert line not in other
    for node in (t.node, h.node):
        key = "/proc/sys/net/ipv4/conf/all/send_redirects"
        assert node.output(*node.inside(NAMES.space, "cat", key)).strip() == "0"


def test_an_altered_certificate_is_refused_and_the_others_work(farm: Farm) -> None:
    t, a, h = farm.members
    for member in farm.members:
        member.start()
        rows = list(farm.rows())
        if member is t:
            rows[1] = _altered(rows[1])
        farm.tell(member, rows)
    await_that(reachable((t, h), (h, t)))

    (refusal,) = t.network()["refusals"]
    assert (refusal["name"], refusal["reason"]) == ("a", "the signature is wrong")
    assert t.peer(a) == {}
    assert not t.pings(a)
    assert t.pings(h)


def _altered(row: Row) -> Row:
    payload = bytearray(row.membership.payload)
    place = payload.index(bytes([10, 9, 0, 2, 16]))
    payload[place + 3] = 77
    signed = msgspec.structs.replace(row.membership, payload=bytes(payload))
    return msgspec.structs.replace(row, membership=signed)


def test_a_killed_wireguard_go_comes_back_with_its_key_and_port(farm: Farm) -> None:
    t, a, h = farm.members
    farm.start()
    await_that(reachable(*both_ways(t, a, h)))
    await_that(lambda: _endpoints(t) == 2)
    for member in (h, t):
        before = member.network()
        pidfile = f"/run/zosnet/children/wireguard-{NAMES.device}.pid"
        pid = member.node.path(pidfile).read_text().split()[0]
        member.node.run("kill", "-9", pid)
        others = [m for m in farm.members if m is not member]
        seconds = await_that(functools.partial(all_ping, member, others), 30)
        print(f"wireguard-go of {member.node.name} killed: traffic after {seconds:.2f} s")

        assert member.node.path(pidfile).read_text().split()[0] != pid
        assert member.network()["port"] == before["port"]


def test_a_program_that_is_killed_leaves_the_overlay_and_adopts_it(farm: Farm) -> None:
    t, a, h = farm.members
    farm.start()
    await_that(reachable(*both_ways(t, a, h)))
    pidfile = h.node.path(f"/run/zosnet/children/wireguard-{NAMES.device}.pid")
    pid = pidfile.read_text()
    assert h.program is not None
    h.program.kill()
    h.program.wait(5)

    assert h.pings(t)
    h.node.path(STATUS).unlink()
    h.run_program()
    await_that(reachable((h, t), (h, a)))
    assert pidfile.read_text() == pid
    await_that(lambda: h.network()["overlay_seconds"] is not None)


@pytest.mark.parametrize("who", [0, 2])
def test_a_rebooted_node_is_back_from_its_cache_without_a_controller(farm: Farm, who: int) -> None:
    t, a, h = farm.members
    farm.start()
    await_that(reachable(*both_ways(t, a, h)))
    back = farm.members[who]
    await_that(lambda: _endpoints(back) >= (2 if back is t else 1))
    back.node.power_cut()
    back.node.boot()
    back.start()
    began = time.monotonic()
    others = [m for m in farm.members if m is not back]
    await_that(functools.partial(all_ping, back, others), 30)
    await_that(reachable(*((back, m) for m in others)))
    print(f"{back.node.name} rebooted: all pings after {time.monotonic() - began:.2f} s")
    report("reboot", back)

    assert back.network()["from_cache"]
    assert a.pings(h)


def _endpoints(member: Member) -> int:
    path = member.node.path(f"/var/lib/zosnet/networks/{NETWORK}/endpoints.json")
    return len(json.loads(path.read_text())["endpoints"]) if path.exists() else 0


def test_a_cache_that_was_altered_on_the_disk_is_refused_by_row(farm: Farm) -> None:
    t, a, h = farm.members
    farm.start()
    await_that(reachable(*both_ways(t, a, h)))
    h.node.power_cut()
    path: Path = h.node.disk / f"var/lib/zosnet/networks/{NETWORK}/netmap.json"
    kept = json.loads(path.read_text())
    row = next(r for r in kept["rows"] if r[1] == "a")
    row[0][0] = ("B" if row[0][0][40] != "B" else "C").join((row[0][0][:40], row[0][0][41:]))
    path.write_text(json.dumps(kept))
    h.node.boot()
    h.start()
    await_that(reachable((h, t)), 30)

    (refusal,) = h.network()["refusals"]
    assert refusal["name"] == "a"
    assert not h.pings(a)
    assert h.network()["revision"] == 0  # all rows are asked for again


def test_a_pair_far_apart_meets_without_a_stall(world: World) -> None:
    """A round trip of 100 ms; started together, some ms apart."""
    first, second = plug(world, "n1", "n2")
    farm = Farm()
    waits = farm.add(first, 1, public=("192.0.2.1",))
    begins = farm.add(second, 2, public=("192.0.2.2",), wireguard_below=waits.someone.wireguard)
    for offset in (0.0, 0.02, 0.06):
        cable = world.stretch("net", 0.05)
        for member in (waits, begins):
            member.start()
            farm.tell(member)
            time.sleep(offset)
        await_that(reachable((waits, begins), (begins, waits)))
        report(f"round trip 100 ms, {offset * 1000:.0f} ms apart", waits, begins)

        assert waits.pings(begins)
        assert max(m.network()["first_ping_seconds"] for m in (waits, begins)) < 4
        cable.kill()
        for member in (waits, begins):
            member.node.power_cut()
            networks = member.node.disk / f"var/lib/zosnet/networks/{NETWORK}"
            for name in ("netmap.json", "endpoints.json"):
                (networks / name).unlink(missing_ok=True)
            member.node.boot()
