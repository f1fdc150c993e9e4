"""An operator's own change by hand: named, believed when somebody says so, and signed anew."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from controller.accepting import accept
from controller.store import audit
from controller.store.database import open_writer
from controller.store.sums import Sums
from controller.store.survey import survey
from protocol.messages import Done, Joined, Refused, Rows
from protocol.signed import read_unverified
from protocol.statements import Membership
from runtime.failure import Exit
from tests.controller.farm import running
from tests.controller.house import House


def accepted(house: House) -> list[str]:
    """By the command, while the controller is stopped."""
    keys = house.registry.keyring
    house.close()
    connection = open_writer(house.config.database)
    found = accept(house.config, keys, connection)
    with connection.begin():
        assert list(survey(connection, Sums(keys.sums_key))) == []
        assert audit.verify(connection) is None
    connection.close()
    house.open()
    return found


def test_an_accepted_member_is_signed_anew_and_its_peers_are_told(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network, name="bad"), house.enrol(network, name="peer")
    before = house.membership(house.join(guest, network))
    held = house.registry.networks[1].revision
    house.spoil("UPDATE member SET roles = 'transit' WHERE name = 'bad'")
    assert isinstance(house.join(guest, network), Refused)
    found = accepted(house)
    house.hello(guest)
    house.hello(peer)
    now = house.membership(house.join(guest, network))
    rows = house.fetch(peer, network, held)

    assert [what.split()[-1] for what in found] == ["bad"]
    assert [row.detail for row in house.audit("database.accept")] == found
    assert (now.roles, now.serial) == (("transit",), before.serial + 1)
    assert isinstance(rows, Rows)
    told = {read_unverified(row.membership, Membership).node: row for row in rows.rows}
    assert read_unverified(told[guest.key].membership, Membership) == now


def test_an_accepted_ban_is_told_to_peers(house: House) -> None:
    network = house.network()
    guest, peer = house.enrol(network, name="bad"), house.enrol(network, name="peer")
    held = house.registry.networks[1].revision
    house.spoil("UPDATE member SET state = 'banned' WHERE name = 'bad'")
    accepted(house)
    house.hello(peer)
    rows = house.fetch(peer, network, held)

    assert isinstance(rows, Rows)
    assert rows.gone == (guest.key,)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE network SET dns = '10.9.0.53'",
        "UPDATE pool SET last = first",
        "DELETE FROM revocation",
        "UPDATE revocation SET serial = 77",
    ],
)
def test_an_accepted_network_has_a_new_epoch(house: House, edit: str) -> None:
    network = house.network()
    guest = house.enrol(network)
    house.enrol(network, name="revoked")
    house.do("member.ban", network="home", member="revoked")
    epoch = house.registry.networks[1].epoch
    house.spoil(edit)
    found = accepted(house)
    house.hello(guest)
    joined = house.join(guest, network)

    assert len(found) == 1
    assert isinstance(joined, Joined)
    assert house.state(joined).epoch > epoch


def test_accepted_tokens_and_admin_keys_open_what_they_say(house: House) -> None:
    house.network()
    token = house.token()
    house.do("key.admin.add", name="alice", key="ab" * 32)
    house.spoil("UPDATE join_token SET uses = 2, uses_left = 2")
    house.spoil("UPDATE admin_key SET name = 'ann'")
    assert isinstance(house.admit(token, house.guest()), Refused)
    found = accepted(house)

    assert found == [f"token {token[:6].hex()}", "admin key ann"]
    assert isinstance(house.admit(token, house.guest()), Done)


def test_what_makes_no_certificate_is_believed_and_still_left_out(house: House) -> None:
    network = house.network()
    house.enrol(network, name="bad")
    good = house.enrol(network, name="good")
    house.spoil("UPDATE member SET wireguard = x'99' WHERE name = 'bad'")
    accepted(house)
    house.hello(good)
    rows = house.fetch(good, network)

    assert isinstance(rows, Rows)
    assert len(rows.rows) == 1


def test_nothing_is_accepted_where_nothing_was_changed(house: House) -> None:
    house.enrol(house.network())
    revision = house.registry.networks[1].revision

    assert accepted(house) == []
    assert house.audit("database.accept") == []
    assert house.registry.networks[1].revision == revision


def test_check_names_what_was_edited_until_it_is_accepted(tmp_path: Path) -> None:
    with running(tmp_path) as one:
        network = one.network()
        one.node(network).enrol(network)
        one.stop()
        assert one.command("check").returncode == Exit.OK
        with closing(sqlite3.connect(one.data / "zosnet.db")) as other, other:
            other.execute("UPDATE member SET roles = 'hub'")
            other.execute("UPDATE meta SET value = x'32' WHERE key = 'incarnation'")
        found = one.command("check")
        accepting = one.command("check", "--accept")
        after = one.command("check")

        assert found.returncode == Exit.PROBLEMS
        assert "member home/" in found.stdout
        assert "'incarnation' of the controller" in found.stdout
        assert accepting.returncode == after.returncode == Exit.OK
        assert accepting.stdout.count("accepted: ") == 2
        assert "is sound" in after.stdout
        one.start()
        assert one.ask("status")[0]["incarnation"] == 2
