"""A farm's connection against a real controller on loopback: the whole way, and the bad days."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq
from msgspec.structs import replace

from agent.enrol.actions import Controller as Place
from agent.enrol.actions import Holding, Me, Presence
from agent.enrol.endpoints import Surroundings
from agent.enrol.farm import Farm
from agent.enrol.sink import Ask, Trust
from agent.enrol.store import FarmFile, Keys, Store, controllers_of
from agent.enrol.surface import Surface
from agent.enrol.turning import OwnKeys
from agent.identity import Identity
from agent.overlay.belief import Belief
from protocol.joinstring import NO_TOKEN, JoinString, parse_join_string, render_join_string
from protocol.keys import CurvePublic, VerifyKey, curve_public, new_curve_pair
from protocol.messages import Joined, Rows
from runtime.failure import CannotError, Exit
from tests.controller.farm import Controller, running

RANGES = {"ipv4": "10.9.0.0/16", "ipv6": "fd00:9::/64"}


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("controller")) as one:
        yield one


@pytest.fixture
def network(controller: Controller, request: pytest.FixtureRequest) -> str:
    return controller.network(request.node.name[:40], **RANGES)


@dataclass
class Overlay:
    """A sink that believes as the real one does, and has no kernel."""

    node: bytes
    keys: Keys
    beliefs: dict[str, Belief] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    also: tuple[bytes, ...] = ()  # the key that is to be the node's

    def holding(self, network: str) -> Holding:
        return self.beliefs[network].holding if network in self.beliefs else Holding()

    def know_as(self, nodes: tuple[bytes, ...]) -> None:
        self.node, *also = nodes
        self.also = tuple(also)
        for belief in self.beliefs.values():
            belief.know_as(nodes)

    def trust(self, trust: Trust) -> None:
        for belief in self.beliefs.values():
            if belief.kept.root == bytes(trust.root):
                belief.take_trust(trust)

    def joined(self, trust: Trust, joined: Joined) -> Holding:
        known = self.beliefs.get(joined.network)
        if known is None:
            wireguard = bytes(self.keys.of(joined.network).public)
            known = Belief.begin(self.node, wireguard, trust, joined, also=self.also)
            self.beliefs[joined.network] = known
        else:
            known.take_joined(trust, joined)
        return known.holding

    def rows(self, rows: Rows) -> tuple[Holding, Ask | None]:
        belief = self.beliefs[rows.network]
        outcome = belief.take_rows(rows)
        return belief.holding, outcome.ask

    def left(self, network: str) -> None:
        self.beliefs.pop(network, None)
        self.gone.append(network)

    def moved(self, surroundings: Surroundings) -> None:
        pass

    def restart(self) -> None:
        pass

    def names(self, network: str) -> set[str]:
        belief = self.beliefs.get(network)
        if belief is None:
            return set()
        return {m.name for m in belief.members(None).members.values()}


@dataclass
class Node:
    farm: Farm
    overlay: Overlay
    store: Store
    times: list[int]


@asynccontextmanager
async def node(directory: Path, join: JoinString, *, name: str = "n1") -> AsyncIterator[Node]:
    """A node that was given `join`, with the state in `directory` if there is some."""
    keys, store = Keys(directory / "networks"), Store(directory)
    public, secret = new_curve_pair()
    overlay = Overlay(bytes(public), keys)
    around = Surroundings(families=frozenset({4}))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    times: list[int] = []

    def presence(network: str) -> Presence:
        return around.presence(bytes(keys.of(network).public), keys.of(network).port)

    surface = Surface(
        me=Me(public, name, "0.1.0", "linux", store.count_start()),
        own=OwnKeys(Identity(public, secret), directory / "node.key"),
        store=store,
        sink=overlay,
        context=context,
        fraction=lambda: 0.2,
        elapsed=lambda: 1.5,
        on_time=times.append,
        on_observed=lambda _: None,
        presence=presence,
        forget=keys.forget,
    )
    file = FarmFile(root=bytes(join.root), controllers=controllers_of(join))
    farm = Farm(file, surface)
    store.keep_join(join, render_join_string(join))
    farm.start()
    places = [Place(endpoint, key) for endpoint, key in join.controllers]
    if join.has_token:
        farm.add_token(join.token, places, tried=False)
    else:
        farm.expect(places)
    guard = asyncio.create_task(farm.crashed())
    try:
        yield Node(farm, overlay, store, times)
    finally:
        failed = guard.done() and not guard.cancelled() and guard.exception()
        guard.cancel()
        await asyncio.gather(guard, return_exceptions=True)
        farm.close()
        context.destroy(0)
        assert not failed, failed


async def until(true: Callable[[], object], seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # a test looks from outside
            await asyncio.sleep(0.01)


def test_from_a_join_string_to_verified_peers(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        first = controller.token(network)
        async with node(tmp_path / "1", first) as n1:
            await until(lambda: network in n1.overlay.beliefs)
            async with node(tmp_path / "2", controller.token(network), name="n2") as n2:
                await until(lambda: n2.overlay.names(network) == {"n1"})
                await until(lambda: n1.overlay.names(network) == {"n2"})  # by push
            status = n1.farm.status()

        assert status.admitted
        assert status.connection == "online"
        assert [n.standing for n in status.networks] == ["member"]
        assert (status.problem, status.tokens) == ("", 0)
        assert (status.admitted_seconds, status.away_since) == (1.5, None)
        assert list(n1.store.joins()) == []
        (file,) = n1.store.farms()
        assert (file.admitted, file.joined, file.keyset is not None) == (True, (network,), True)
        assert n1.times

    asyncio.run(story())


def test_a_controller_that_was_killed_is_found_again_with_what_happened_meanwhile(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        (tmp_path / "c").mkdir()
        with running(tmp_path / "c") as controller:
            network = controller.network("home", **RANGES)
            async with node(tmp_path / "1", controller.token()) as n1:
                await until(lambda: network in n1.overlay.beliefs)
                controller.kill()
                await until(lambda: n1.farm.status().connection != "online")
                await until(lambda: "cannot reach" in n1.farm.status().problem)
                assert n1.farm.status().away_since == 1.5
                controller.start()
                controller.node(network, "n2").enrol(network)
                await until(lambda: n1.overlay.names(network) == {"n2"})
                assert n1.farm.status().away_since is None

                assert n1.farm.status().problem == ""

    asyncio.run(story())


def test_a_token_that_was_used_by_another_is_said_once(
    controller: Controller, network: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        token = controller.token(network)
        async with node(tmp_path / "1", token) as n1:
            await until(lambda: n1.farm.status().admitted)
        async with node(tmp_path / "2", token) as n2:
            await until(lambda: n2.farm.status().problem)
            await asyncio.sleep(2.5)  # it goes on trying

            assert "used up, expired or unknown" in n2.farm.status().problem
            said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
            assert len([line for line in said if "used up, expired or unknown" in line]) == 1
            assert "ncadm token create" in n2.farm.status().hint
            assert list(n2.store.joins()) == [token]  # nothing is lost

    asyncio.run(story())


def test_a_wrong_controller_key_is_said(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        token = controller.token(network)
        wrong = replace(token, controllers=((controller.endpoint, new_curve_pair()[0]),))
        async with node(tmp_path / "1", wrong) as n1:
            await until(lambda: "key that this node expects" in n1.farm.status().problem)

            assert "wrong controller key?" in n1.farm.status().hint

    asyncio.run(story())


def test_a_controller_that_is_not_what_the_join_string_pins_gets_no_belief_and_is_named_once(
    controller: Controller, network: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        token = controller.token(network)
        other_root = replace(token, root=VerifyKey(b"r" * 32))
        async with node(tmp_path / "1", other_root) as n1:
            await until(lambda: n1.farm.status().connection == "online")
            await asyncio.sleep(0.2)
            told = n1.farm.status()

            assert n1.overlay.beliefs == {}
            assert told.problem.startswith("cannot trust the controller of farm")
            assert "make a new one: ncadm token create" in told.hint
            said = [record.getMessage() for record in caplog.records]
            assert len([line for line in said if line.startswith(told.problem)]) == 1

    asyncio.run(story())


def test_the_second_of_two_endpoints_is_taken_when_the_first_is_dead(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        token = controller.token(network)
        key = token.controllers[0][1]
        two = replace(
            token, controllers=(("tcp://127.0.0.1:1", CurvePublic(key)), *token.controllers)
        )
        async with node(tmp_path / "1", two) as n1:
            await until(lambda: n1.farm.status().connection == "online")

    asyncio.run(story())


def test_leaving_takes_the_network_away_at_once_and_tells_the_controller(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with node(tmp_path / "1", controller.token(network)) as n1:
            await until(lambda: network in n1.overlay.beliefs)
            n1.farm.leave(network)
            assert n1.overlay.gone == [network]
            await until(lambda: n1.farm.status().networks == [])
            await until(lambda: next(n1.store.farms()).leaving == ())

            assert not (tmp_path / "1" / "networks" / network).exists()
        other = controller.node(network, "n2").enrol(network)
        assert set(other.peers) == {bytes(other.key)}

    asyncio.run(story())


def test_a_full_disk_costs_no_token_and_is_forgotten_when_there_is_room(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    full = tmp_path / "farms"  # a file where the directory goes: nothing can be written there

    async def story() -> None:
        full.write_bytes(b"")
        async with node(tmp_path, controller.token(network)) as one:
            await until(lambda: "cannot write" in one.farm.status().problem)
            await until(lambda: one.farm.status().admitted)
            kept = [path.name for path in (tmp_path / "join").iterdir()]
            full.unlink()
            await until(lambda: network in one.overlay.beliefs)

            assert kept != []
            assert one.farm.status().problem == ""
            assert [file.joined for file in one.store.farms()] == [(network,)]

    asyncio.run(story())


def test_a_member_with_the_role_makes_a_join_string_that_lets_another_in(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    """The secret is made on the node: the controller knows the public half only."""
    join = controller.token(network, roles=["mint"])

    async def go() -> tuple[JoinString, CannotError]:
        async with node(tmp_path / "one", join) as one:
            await until(lambda: network in one.overlay.beliefs)
            made = parse_join_string(await one.farm.minting.mint(network, uses=2, seconds=60))
            async with node(tmp_path / "two", made, name="n2") as two:
                await until(lambda: two.overlay.names(network) == {"n1"})
                with pytest.raises(CannotError, match="has not the role mint") as denied:
                    await two.farm.minting.mint(network, uses=1, seconds=60)
        return made, denied.value

    made, denied = asyncio.run(go())
    tokens = [t for t in controller.ask("token.list", network=network) if t["uses"] == 2]

    assert (made.root, made.controllers) == (join.root, join.controllers)
    assert denied.code == Exit.DENIED
    assert [(t["uses_left"], t["roles"], t["created_by"][:5]) for t in tokens] == [(1, [], "node ")]
    assert tokens[0]["token"] == curve_public(made.token)[:6].hex()


def test_without_a_connection_no_token_is_made(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    join = controller.token(network, roles=["mint"])
    before = len(controller.ask("token.list", network=network))

    async def go() -> CannotError:
        async with node(tmp_path, join) as one:
            with pytest.raises(CannotError, match="no connection") as refused:
                await one.farm.minting.mint(network, uses=1, seconds=60)
        return refused.value

    assert asyncio.run(go()).code == Exit.UNREACHABLE
    assert len(controller.ask("token.list", network=network)) == before


def test_a_network_that_is_deleted_is_taken_away_and_forgotten(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with node(tmp_path, controller.token(network)) as one:
            await until(lambda: one.overlay.holding(network).revision > 0)
            deleted = controller.ask("network.delete", network=network)[0]
            await until(lambda: one.overlay.gone == [network])

        (file,) = one.store.farms()
        assert deleted["told"] == 1
        assert one.farm.status().networks == []
        assert (file.joined, file.leaving) == ((), ())

    asyncio.run(story())


def test_a_node_that_was_off_when_its_network_was_deleted_learns_it_when_it_comes(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        async with node(tmp_path, controller.token(network)) as one:
            await until(lambda: one.overlay.holding(network).revision > 0)
            one.farm.close()
            controller.ask("network.delete", network=network)
            (file,) = one.store.farms()
            assert file.joined == (network,)
            late = Farm(file, one.farm._surface)
            late.start()
            try:
                await until(lambda: one.overlay.gone == [network])
            finally:
                late.close()

        (after,) = one.store.farms()
        assert after.joined == ()

    asyncio.run(story())


def test_a_key_that_was_added_comes_in_without_a_token_before_or_after(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    async def story() -> None:
        join = replace(controller.token(network), token=NO_TOKEN)
        async with node(tmp_path / "1", join) as n1:
            await until(lambda: "does not know this node's key" in n1.farm.status().problem)
            added = controller.ask(
                "member.add",
                network=network,
                key=n1.overlay.node.hex(),
                name="seven",
                addresses=["10.9.0.77"],
            )[0]
            await until(lambda: network in n1.overlay.beliefs)
            (file,) = n1.store.farms()
            mine = [str(i) for i in n1.overlay.beliefs[network].membership.interfaces]

            assert mine == added["ip"]
            assert mine[0] == "10.9.0.77/16"
            assert (file.admitted, n1.farm.status().problem) == (True, "")
        async with node(tmp_path / "1", join) as again:  # another key: nobody knows it
            await until(lambda: "does not know this node's key" in again.farm.status().problem)

    asyncio.run(story())
