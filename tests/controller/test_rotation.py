"""S7: a signer is replaced, and nobody who is honest notices."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from controller.signing.keyring import read_key
from controller.trust.rotation import DAY_MS, RETIRE_AFTER
from protocol.keys import SigningSeed
from protocol.messages import Ack, AckKeys, Joined, Keys, Rows, Unchanged, Welcome
from protocol.signed import Signed, Signer, StatementError, open_signed, read_unverified
from protocol.statements import Keyset, Membership
from runtime.failure import CannotError, Exit
from tests.controller.farm import Controller, running, wait_for
from tests.controller.house import Guest, House
from tests.controller.node import Node, SilenceError


def shown(house: House) -> dict[str, Any]:
    return house.do("key.show")[0]


def tick(house: House, seconds: float = 1.0) -> None:
    house.later(seconds)
    house.office.keeper.tick(house.now_ms, house.now)
    house.push.run(house.now)


def holds(house: House, guest: Guest) -> None:
    house.say(guest, AckKeys(house.registry.keyset_number))


def certificate(house: House, guest: Guest) -> Signed:
    entry = house.registry.netmap(1).entry(guest.key)
    assert entry is not None
    return entry.signed


def catch_up(house: House, guest: Guest, network: str) -> list[Signed]:
    """Take and acknowledge what is pushed; the certificates in it."""
    found = []
    for _ in range(3):
        house.later(0.05)
        house.push.run(house.now)
        for rows in house.pushed_rows(guest):
            found += [row.membership for row in rows.rows]
            house.say(guest, Ack(network, rows.revision))
    return found


@pytest.fixture
def network(house: House) -> str:
    return house.network()


def test_a_signer_signs_when_every_node_knows_it_and_signs_all_anew(
    house: House, network: str
) -> None:
    first, second = house.enrol(network, name="n1"), house.enrol(network, name="n2")
    before = house.registry.signer
    for guest in (first, second):
        catch_up(house, guest, network)
    house.do("key.rotate")
    for guest in (first, second):
        (pushed,) = [m for m in house.pushed(guest) if isinstance(m, Keys)]
        keyset = read_unverified(pushed.keyset, Keyset)

        assert keyset.number == 2
        assert bytes(before.key) in keyset.signers
        assert len(keyset.signers) == 2
    holds(house, first)
    tick(house)
    assert house.registry.signer is before  # n2 has not said that it holds it
    holds(house, second)
    tick(house)
    after = house.registry.signer

    assert after is not before
    told = {signed.signer for signed in catch_up(house, first, network)}
    assert told == {after.id}
    own = [row for row in catch_up(house, second, network) if row.signer == after.id]
    nodes = {read_unverified(signed, Membership).node for signed in own}
    assert nodes == {first.key, second.key}
    assert house.registry.netmap(1).state(first.key).signer == after.id
    assert shown(house)["rotation"] == "old signer believed"
    newcomer = house.enrol(network, name="n3")
    assert certificate(house, newcomer).signer == after.id


def test_the_spokes_of_a_hub_are_told_anew_too(house: House) -> None:
    network = house.network(topology="hub")
    hub = house.enrol(network, name="hub", token=house.token(roles=["hub"]))
    spoke = house.enrol(network, name="spoke")
    for guest in (hub, spoke):
        catch_up(house, guest, network)
    house.do("key.rotate", now=True)
    tick(house)

    for guest in (hub, spoke):
        told = catch_up(house, guest, network)
        assert {signed.signer for signed in told} == {house.registry.signer.id}
    again = house.join(spoke, network)  # as it does when its certificate's signer is gone
    assert isinstance(again, Joined)
    assert again.membership.signer == house.registry.signer.id


def test_renewed_signatures_keep_the_serial_and_the_addresses(house: House, network: str) -> None:
    guest = house.enrol(network)
    before = read_unverified(certificate(house, guest), Membership)
    house.do("key.rotate", now=True)
    tick(house)
    (signed,) = catch_up(house, guest, network)

    assert read_unverified(signed, Membership) == before


def test_who_was_away_gets_keyset_state_and_certificate_that_fit_together(
    house: House, network: str
) -> None:
    guest = house.enrol(network)
    joined = house.join(guest, network)
    assert isinstance(joined, Joined)
    assert isinstance(house.refresh(guest, network, joined), Unchanged)  # the control
    house.sessions.end(guest.key)
    house.do("key.rotate")
    tick(house)  # nobody is connected: nobody has to be waited for
    tick(house)
    welcome = house.hello(guest)
    again = house.refresh(guest, network, joined)

    assert isinstance(welcome, Welcome)
    keys = read_unverified(welcome.keyset, Keyset).verify_keys()
    assert isinstance(again, Joined)
    assert again.membership.signer == again.state.signer == house.registry.signer.id
    open_signed(again.membership, Membership, keys)
    open_signed(joined.membership, Membership, keys)  # the old one is still believed


def test_a_pushed_keyset_is_repeated_until_it_is_acknowledged_and_ever_more_slowly(
    house: House, network: str
) -> None:
    guest = house.enrol(network)
    house.do("key.rotate")
    pushes = []
    for _ in range(60):
        house.later(1.0)
        house.push.run(house.now)
        pushes.append(sum(isinstance(m, Keys) for m in house.pushed(guest)))
        house.sessions.hear(guest.key, guest.routing, house.now)
    assert pushes[0] == 1
    assert 4 <= sum(pushes) <= 7

    holds(house, guest)
    house.later(120.0)
    house.push.run(house.now)
    assert [m for m in house.pushed(guest) if isinstance(m, Keys)] == []


def test_a_node_that_never_answers_delays_a_rotation_a_week_and_no_longer(
    house: House, network: str
) -> None:
    guest = house.enrol(network)
    before = house.registry.signer
    house.do("key.rotate")
    tick(house, 6.9 * DAY_MS / 1000)
    assert house.registry.signer is before
    house.sessions.hear(guest.key, guest.routing, house.now)
    tick(house, 0.2 * DAY_MS / 1000)

    assert house.registry.signer is not before


def test_the_old_signer_goes_after_its_time_by_itself_or_sooner_by_an_operator(
    house: House, network: str
) -> None:
    guest = house.enrol(network)
    for by_hand in (True, False):
        before = house.registry.signer
        house.do("key.rotate")
        holds(house, guest)
        tick(house)
        tick(house)
        refused = house.call("key.retire")
        assert getattr(refused, "code", 0) == Exit.CONFLICT  # n1 has not what is signed anew
        catch_up(house, guest, network)
        if by_hand:
            house.do("key.retire")
        else:
            tick(house, RETIRE_AFTER / 1000 - 10)
            assert len(shown(house)["signers"]) == 2
            house.sessions.hear(guest.key, guest.routing, house.now)
            tick(house, 20)
        keyset = read_unverified(house.registry.keyset, Keyset)

        assert keyset.signers == (bytes(house.registry.signer.key),)
        assert before.id not in keyset.verify_keys()
        holds(house, guest)
        house.pushed(guest)
    actions = [e.action for e in house.notes() if e.action.startswith("key.")]
    assert actions == ["key.rotate", "key.switch", "key.retire"] * 2
    assert [e.actor for e in house.notes() if e.action == "key.retire"] == ["local", "controller"]


def test_a_rotation_goes_on_after_a_restart_at_every_step(house: House, network: str) -> None:
    """Also after a kill between the database and the key file."""
    guests = [house.enrol(network, name=f"n{i}") for i in range(3)]
    before = house.registry.signer.id
    house.do("key.rotate")
    house.reopen()
    assert shown(house)["rotation"] == "introduced"
    keys = house.config.keys
    kept = {name: (keys / name).read_bytes() for name in ("signer", "signer.next")}
    head = house.registry.netmap(1).head
    house.office.keeper._switch(house.now_ms, house.now)
    for name, data in kept.items():  # the files as the kill would have left them
        (keys / name).write_bytes(data)
        (keys / name).chmod(0o600)
    house.reopen()

    assert house.registry.signer.id != before
    assert not (keys / "signer.next").exists()
    for guest in guests:
        assert certificate(house, guest).signer == house.registry.signer.id
        assert isinstance(house.hello(guest), Welcome)
        reply = house.fetch(guest, network, revision=head)
        assert isinstance(reply, Rows)
        assert reply.full
        assert {row.membership.signer for row in reply.rows} == {house.registry.signer.id}
        house.sessions.end(guest.key)
    house.reopen()
    house.do("key.retire")
    house.reopen()
    assert shown(house)["rotation"] == "none"


def test_what_cannot_be_done_now_is_said(house: House, network: str) -> None:
    house.enrol(network)

    def code(verb: str, **arguments: object) -> int:
        return int(getattr(house.call(verb, **arguments), "code", 0))

    assert code("key.retire") == Exit.CONFLICT
    assert code("key.export") == Exit.CONFLICT
    house.do("key.rotate")
    assert code("key.rotate") == Exit.CONFLICT
    house.do("key.rotate", now=True)
    tick(house)
    assert shown(house)["rotation"] == "old signer believed"


def test_database_and_keys_that_do_not_belong_together_are_not_opened(house: House) -> None:
    other = Signer(SigningSeed(b"x" * 32))
    path = house.config.keys / "signer"
    kept = path.read_bytes()
    path.write_text((b"x" * 32).hex())
    with pytest.raises(CannotError, match="signed by another") as caught:
        house.reopen()
    assert caught.value.code == Exit.PROBLEMS
    path.write_bytes(kept)
    house.open()

    assert house.registry.signer.id != other.id


# real processes and sockets


class Client(threading.Thread):
    """A node that refreshes and reads all the time and verifies everything."""

    def __init__(self, node: Node, network: str) -> None:
        super().__init__(daemon=True)
        self.node, self.network = node, network
        self.refused: list[str] = []
        self.counts: Counter[str] = Counter()
        self.ending = False

    def run(self) -> None:
        while not self.ending:
            try:
                self._turn()
            except StatementError as error:
                self.refused.append(str(error))
            except SilenceError:
                self.counts["silence"] += 1

    def _turn(self) -> None:
        reply = self.node.refresh(self.network)
        self.counts[type(reply).__name__] += 1
        self.node.fetch(self.network)
        line = self.node.connect()
        for pushed in [m for m in line.pushes if isinstance(m, Rows)]:
            if pushed.since <= self.node.revision:
                self.node.learn(pushed)
                line.send(Ack(self.network, self.node.revision))
                self.counts["push"] += 1
        line.pushes.clear()
        assert self.node.membership is not None
        for peer in self.node.peers.values():
            assert peer.network == self.network
        time.sleep(0.1)  # no node may ask much faster


def rotated(controller: Controller, *words: str) -> Signer:
    """Replace the signer as an operator does; the one before, with its secret."""
    before = Signer(SigningSeed(read_key(controller.data / "keys" / "signer")))
    done = controller.ncadm("key", "rotate", *words)
    assert done.returncode == 0, done.stderr
    step: Callable[[], dict[str, Any]] = lambda: controller.ask("key.show")[0]  # noqa: E731
    wait_for(lambda: step()["rotation"] == "old signer believed")

    def retired() -> bool:
        done = controller.ncadm("key", "retire", "--yes")
        assert done.returncode in (0, int(Exit.CONFLICT)), done.stderr
        return done.returncode == 0

    wait_for(retired)
    return before


@pytest.mark.timeout(400)
def all_told(clients: list[Client], before: list[int]) -> bool:
    """Each has had a new certificate since."""
    return all(c.counts["Joined"] > n for c, n in zip(clients, before, strict=True))


def test_signers_are_replaced_again_and_again_under_refreshing_clients(tmp_path: Path) -> None:
    """S7: no valid certificate is refused, no invalid one accepted."""
    with running(tmp_path) as controller:
        network = controller.network()
        nodes = [controller.node(network, f"n{i}").enrol(network) for i in range(6)]
        clients = [Client(node, network) for node in nodes]
        for client in clients:
            client.start()
        gone = []
        for words in ((), (), ("--now",)):
            before = [client.counts["Joined"] for client in clients]
            gone.append(rotated(controller, *words))
            wait_for(partial(all_told, clients, before))
        signing = controller.ask("key.show")[0]["signing"]
        wait_for(lambda: all(node.keyset == 7 for node in nodes))
        late = controller.node(network, "late").enrol(network)
        for client in clients:
            client.ending = True
        for client in clients:
            client.join(30)
        total: Counter[str] = sum((client.counts for client in clients), Counter())
        print(f"3 rotations under 6 clients: {dict(total)}, refused", [c.refused for c in clients])

        assert [client.refused for client in clients] == [[]] * 6
        assert total["silence"] == 0
        assert total["Joined"] >= 3 * 6  # each has heard of each new signer's state
        assert total["Unchanged"] > 6 * 10
        assert len(late.peers) == 7
        forged = [signer.seal(nodes[0].membership) for signer in gone if nodes[0].membership]
        for node in [*nodes, late]:
            assert set(node.keys) == {bytes.fromhex(signing)}
            for certificate in forged:
                with pytest.raises(StatementError, match="whom we do not know"):
                    open_signed(certificate, Membership, node.keys)
