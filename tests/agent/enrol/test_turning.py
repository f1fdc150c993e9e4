"""S6: the node gets another key, whole enrolment against a real controller; killed at any step it goes on."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.enrol.runner import Enrolment
from agent.enrol.store import FarmFile, Keys, Store
from agent.enrol.turning import OwnKeys
from agent.identity import Identity, load_identity, load_next, settle_next
from agent.overlay.belief import Belief
from agent.overlay.kept import Kept
from netns.spaces import Spaces
from protocol.joinstring import JoinString, render_join_string
from protocol.keys import CurveSecret
from protocol.messages import Done, Hello, Rotate, Welcome
from tests.agent.enrol.test_farm import Overlay, until
from tests.controller.farm import Controller, running
from tests.controller.node import Line, RefusalError


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    with running(tmp_path_factory.mktemp("controller")) as one:
        yield one


@pytest.fixture
def network(controller: Controller) -> str:
    name = f"n{secrets.token_hex(4)}"
    return controller.network(name, ipv4="10.9.0.0/16")


class Looking(Overlay):
    """It looks at whom it believes whenever its keys change: the real one may at any moment."""

    def know_as(self, nodes: tuple[bytes, ...]) -> None:
        super().know_as(nodes)
        for belief in self.beliefs.values():
            belief.members(None)  # raises when nobody would believe us

    def start_anew(self, kept: dict[str, Kept]) -> None:
        """From the disk, as after a reboot."""
        for network, one in kept.items():
            wireguard = bytes(self.keys.of(network).public)
            self.beliefs[network] = Belief(self.node, wireguard, one, also=self.also)


@dataclass
class Node:
    enrolment: Enrolment
    overlay: Looking

    @property
    def settled(self) -> bool:
        return not self.enrolment.status().next_key and self.is_online

    @property
    def problem(self) -> str:
        return self.enrolment.status().farms[0].problem

    @property
    def is_online(self) -> bool:
        return [farm.connection for farm in self.enrolment.status().farms] == ["online"]


@asynccontextmanager
async def node(
    directory: Path, text: str = "", kept: dict[str, Kept] | None = None
) -> AsyncIterator[Node]:
    """The node as networkd starts it, from what is on the disk; ended without a word."""
    path = directory / "node.key"
    own = OwnKeys(load_identity(path), path)
    keys, store = Keys(directory / "networks"), Store(directory)
    overlay = Looking(own.nodes[0], keys, also=own.nodes[1:])
    overlay.start_anew(kept or {})
    spaces = Spaces()
    enrolment = Enrolment(
        spaces, own, keys, sink=overlay, elapsed=lambda: 1.0, link="lo", store=store
    )
    if text:
        enrolment.join(text)
    task = asyncio.create_task(enrolment.keep())
    try:
        yield Node(enrolment, overlay)
    finally:
        failed = task.done() and not task.cancelled() and task.exception()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        spaces.close()
        assert not failed, failed


def own(directory: Path) -> tuple[Identity, Identity | None]:
    present = load_identity(directory / "node.key")
    return present, load_next(present, directory / "node.key")


def shown(controller: Controller, network: str) -> dict[str, object]:
    return controller.ask("member.show", network=network, member=socket.gethostname()[:64])[0]


def lets_in(join: JoinString, secret: CurveSecret) -> bool:
    try:
        with Line(join, secret) as line:
            reply = line.ask(Hello(line.id(), 1, "x", "0.1.0", "linux", 99, 0))
    except RefusalError:
        return False
    return isinstance(reply, Welcome)


def enrolled(
    controller: Controller, network: str, directory: Path, kept: dict[str, Kept] | None = None
) -> JoinString:
    """A node that is a member, and was stopped; what it knew of its networks goes into `kept`."""
    join = controller.token(network)

    async def story() -> None:
        async with node(directory, render_join_string(join)) as one:
            await until(lambda: network in one.overlay.beliefs)
            if kept is not None:
                kept.update({name: one.kept for name, one in one.overlay.beliefs.items()})

    asyncio.run(story())
    return join


def test_another_key_everywhere_and_everything_else_as_it_was(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    join = enrolled(controller, network, tmp_path)
    before, old = shown(controller, network), own(tmp_path)[0]

    async def story() -> None:
        async with node(tmp_path) as one:
            await until(lambda: one.is_online)
            one.enrolment.rotate()
            await until(lambda: one.settled)
            await until(lambda: one.overlay.beliefs[network].membership.node != bytes(old.public))
        async with node(tmp_path) as again:
            await until(lambda: again.is_online and network in again.overlay.beliefs)

    asyncio.run(story())
    after, (new, following) = shown(controller, network), own(tmp_path)

    assert following is None
    assert new.public != old.public
    assert after["key"] == new.public.hex()
    same = ("address", "ip", "name", "created")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert (after["state"], after["cloned"]) == ("authorized", "")
    assert (new.node_id, new.ula, new.mac("npub4")) == (old.node_id, old.ula, old.mac("npub4"))
    assert not lets_in(join, old.secret)


def tell(join: JoinString, directory: Path) -> None:
    present, following = own(directory)
    assert following is not None
    with Line(join, present.secret) as line:
        line.ask(Hello(line.id(), 1, "x", "0.1.0", "linux", 99, 0))
        assert isinstance(line.ask(Rotate(line.id(), bytes(following.public))), Done)


def use(join: JoinString, directory: Path) -> None:
    tell(join, directory)
    following = own(directory)[1]
    assert following is not None
    assert lets_in(join, following.secret)


def keep(join: JoinString, directory: Path) -> None:
    """The farm's file says that the next key was let in."""
    use(join, directory)
    following, store = own(directory)[1], Store(directory)
    assert following is not None
    (file,) = store.farms()
    store.keep_farm(
        FarmFile(
            root=file.root,
            controllers=file.controllers,
            keyset=file.keyset,
            admitted=True,
            joined=file.joined,
            turned=bytes(following.public),
        )
    )


def seed(join: JoinString, directory: Path) -> None:
    keep(join, directory)
    (directory / "node.seed").write_bytes(own(directory)[0].origin)


def settle(join: JoinString, directory: Path) -> None:
    keep(join, directory)
    settle_next(own(directory)[0], directory / "node.key")


@pytest.mark.parametrize("step", [lambda *_: None, tell, use, keep, seed, settle])
def test_killed_at_any_step_the_next_start_ends_it(
    controller: Controller,
    network: str,
    tmp_path: Path,
    step: Callable[[JoinString, Path], None],
) -> None:
    kept: dict[str, Kept] = {}
    join = enrolled(controller, network, tmp_path, kept)
    old = own(tmp_path)[0]
    before = shown(controller, network)
    following = load_next(old, tmp_path / "node.key", make=True)
    assert following is not None
    step(join, tmp_path)

    async def story() -> None:
        async with node(tmp_path, kept=kept) as one:
            one.overlay.beliefs[network].members(None)
            await until(lambda: one.settled)
            await until(
                lambda: one.overlay.beliefs[network].membership.node == bytes(following.public)
            )

    asyncio.run(story())
    after = shown(controller, network)

    assert own(tmp_path) == (load_identity(tmp_path / "node.key"), None)
    assert own(tmp_path)[0].public == following.public
    assert after["key"] == following.public.hex()
    assert (after["address"], after["ip"]) == (before["address"], before["ip"])
    assert own(tmp_path)[0].mac("npub4") == old.mac("npub4")
    assert not lets_in(join, old.secret)


def test_a_farm_that_is_away_keeps_both_keys_and_is_told_when_it_is_back(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    (tmp_path / "c").mkdir()
    with running(tmp_path / "c") as other:
        home = other.network("home", ipv4="10.8.0.0/16")
        join = enrolled(controller, network, tmp_path / "n")

        async def story() -> None:
            async with node(tmp_path / "n", render_join_string(other.token())) as one:
                await until(lambda: {network, home} <= one.overlay.beliefs.keys())
                other.kill()
                one.enrolment.rotate()
                status = one.enrolment.status
                await until(lambda: len(status().awaits) == 1)
                await until(lambda: shown(controller, network)["key"] == status().next_key)
                assert not lets_in(join, own(tmp_path / "n")[0].secret)
                other.start()
                await until(lambda: not status().next_key, 60)

        asyncio.run(story())
        key = own(tmp_path / "n")[0].public.hex()
        assert shown(other, home)["key"] == shown(controller, network)["key"] == key


def test_a_disk_that_is_full_when_the_key_should_settle_is_waited_for(
    controller: Controller, network: str, tmp_path: Path
) -> None:
    enrolled(controller, network, tmp_path)
    old = own(tmp_path)[0]
    full = tmp_path / "node.former"  # a directory where the file goes: it cannot be written
    full.mkdir()

    async def story() -> None:
        async with node(tmp_path) as one:
            await until(lambda: one.is_online)
            one.enrolment.rotate()
            await until(lambda: "node.former" in one.problem)
            assert own(tmp_path)[0].public == old.public
            assert network in one.overlay.beliefs
            full.rmdir()
            await until(lambda: one.settled and not one.problem)

    asyncio.run(story())
    assert own(tmp_path) == (load_identity(tmp_path / "node.key"), None)
    assert own(tmp_path)[0].public != old.public
