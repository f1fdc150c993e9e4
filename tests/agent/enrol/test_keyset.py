"""The newest keyset on a node: pushed, kept, acknowledged, and nothing older taken."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.enrol.actions import TakeKeys
from agent.overlay.belief import Belief
from controller.signing.keyring import read_key
from protocol.keys import CurvePublic, SigningSeed
from protocol.messages import AckKeys, Hello, Keys
from protocol.signed import Signer, StatementError, read_unverified
from protocol.statements import Keyset
from tests.agent.enrol.test_farm import RANGES, node, until
from tests.agent.enrol.timeline import FIRST, SECOND, SIGNED, online, welcome
from tests.controller.farm import Controller, running


def test_a_keyset_that_was_pushed_is_handed_over_and_acknowledged_when_it_is_stored() -> None:
    who = online()
    who.machine.received(Keys(0, SIGNED), 1)
    assert who.take() == [TakeKeys(SIGNED)]

    who.machine.use_controllers((SECOND, FIRST), 2)
    who.machine.holds(2)
    assert who.sent() == [AckKeys(2)]
    who.machine.holds(2)
    assert who.sent() == []
    who.machine.received(Keys(0, SIGNED), 2)  # our word of it was lost
    who.machine.holds(2)
    assert who.sent() == [AckKeys(2)]


def test_the_next_hello_says_which_keyset_is_held() -> None:
    who = online()
    who.machine.use_controllers((FIRST, SECOND), 5)
    who.machine.lost(1)
    who.machine.wake(60)
    who.machine.shaken(60)
    hello = next(m for m in who.sent() if isinstance(m, Hello))

    assert hello.keyset == 5
    who.answer(Hello, welcome(), 60)
    who.machine.holds(5)
    assert who.sent() == []  # it has been told


def key_show(controller: Controller) -> dict[str, Any]:
    return controller.ask("key.show")[0]


def names(belief: Belief) -> set[str]:
    try:
        return {member.name for member in belief.members(None).members.values()}
    except StatementError:
        return set()


@pytest.mark.parametrize("topology", ["mesh", "hub"])
def test_a_node_follows_a_rotation_and_believes_its_peers_all_the_time(
    tmp_path: Path, topology: str
) -> None:
    """S7: the agent's own way, from the push to the belief."""

    async def story() -> None:
        (tmp_path / "c").mkdir()
        with running(tmp_path / "c") as controller:
            network = controller.network("home", **RANGES, topology=topology)
            roles = ["hub"] if topology == "hub" else []
            async with (
                node(tmp_path / "1", controller.token(roles=roles)) as n1,
                node(tmp_path / "2", controller.token(), name="n2") as n2,
            ):
                await until(lambda: n1.overlay.names(network) == {"n2"})
                await until(lambda: n2.overlay.names(network) == {"n1"})
                beliefs = [one.overlay.beliefs[network] for one in (n1, n2)]
                seen: list[set[str]] = []

                async def look() -> None:
                    while True:
                        seen.extend(names(belief) for belief in beliefs)
                        await asyncio.sleep(0.001)

                looking = asyncio.create_task(look())
                controller.ask("key.rotate")
                await until(lambda: all(b.keyset.number == 2 for b in beliefs))
                await until(lambda: key_show(controller)["rotation"] == "old signer believed")
                await until(lambda: all(b.whole for b in beliefs))
                await until(lambda: all(b.state.epoch > 0 for b in beliefs))
                signing = bytes.fromhex(key_show(controller)["signing"])
                if topology == "hub":  # a spoke asks for its own certificate, its device waits
                    looking.cancel()
                controller.ask("key.retire", now=True)
                await until(lambda: all(b.keyset.number == 3 for b in beliefs))
                await until(lambda: all(b._kept.membership.signer == signing for b in beliefs), 5)
                looking.cancel()

                assert all(b.whole for b in beliefs)
                assert [one for one in seen if one not in ({"n1"}, {"n2"})] == []
                assert len(seen) > 20
            (file,) = n1.store.farms()
            assert file.keyset is not None
            assert read_unverified(file.keyset, Keyset).number == 3

    asyncio.run(story())


def test_new_endpoints_of_a_controller_are_kept_and_an_older_keyset_is_said(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        (tmp_path / "c").mkdir()
        with running(tmp_path / "c") as controller:
            network = controller.network("home", **RANGES)
            async with node(tmp_path / "1", controller.token()) as n1:
                await until(lambda: network in n1.overlay.beliefs)
                first = n1.farm._keyset
                assert first is not None
                second = f"tcp://127.0.0.2:{controller.port}"
                text = controller.config.read_text()
                controller.config.write_text(
                    f"{text}endpoints: ['{controller.endpoint}', '{second}']\n"
                )
                controller.stop()
                controller.start()
                await until(lambda: n1.farm._keyset is not first)
                places = [(c.endpoint, c.key) for c in n1.farm._controllers()]
                key = CurvePublic(first.controllers[0].key)
                assert places == [(controller.endpoint, key), (second, key)]

                root = Signer(SigningSeed(read_key(controller.data / "keys" / "root")))
                n1.farm._take_keyset(root.seal(first))
                assert n1.farm.status().problem.startswith("cannot take keyset 1 of farm")
                assert "holds 2" in n1.farm.status().problem
                (file,) = n1.store.farms()
                assert file.keyset is not None
                assert read_unverified(file.keyset, Keyset).number == 2

    asyncio.run(story())


@pytest.mark.parametrize("number", [0, 1])
def test_a_forged_keyset_changes_nothing(tmp_path: Path, number: int) -> None:
    """Of another root, or with a bit that was flipped."""

    async def story() -> None:
        (tmp_path / "c").mkdir()
        with running(tmp_path / "c") as controller:
            network = controller.network("home", **RANGES)
            async with node(tmp_path / "1", controller.token()) as n1:
                await until(lambda: network in n1.overlay.beliefs)
                held = n1.farm._keyset
                assert held is not None
                newer = msgspec.structs.replace(held, number=9)
                if number == 0:
                    forged = Signer(SigningSeed(b"x" * 32)).seal(newer)
                else:
                    good = next(n1.store.farms()).keyset
                    assert good is not None
                    forged = msgspec.structs.replace(good, payload=msgspec.msgpack.encode(newer))
                n1.farm._take_keyset(forged)

                assert n1.farm._keyset is held
                assert "its keyset is not believed" in n1.farm.status().problem

    asyncio.run(story())
