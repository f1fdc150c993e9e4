"""`--dry-run`: a change goes as far as it can go without being one."""

from typing import Any

import msgspec
import pytest
from nacl import bindings
from sqlmodel import SQLModel

from controller.signing.keyring import read_key
from controller.trust.paper import render_signed
from controller.verbs.dispatch import VERBS, answer
from protocol.admin import CHANGE, Call, Failed, Result, changes, encode_admin
from protocol.keys import new_curve_pair
from runtime.failure import Exit
from tests.controller.house import House
from tests.controller.test_audit import written
from tests.controller.test_roster import statements

MEMBER: dict[str, Any] = {"network": "home", "member": "n1"}
PLACE = {
    "zt1": "1",
    "zt1:network:8056c2e21c0000aa:~": {"id": "8056c2e21c0000aa", "name": "place"},
    "zt1:network:8056c2e21c0000aa:member:16fd2706d6:~": {
        "id": "16fd2706d6",
        "nwid": "8056c2e21c0000aa",
    },
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "network.create": {"id": "request-2", "name": "two", "ipv4": "10.8.0.0/16"},
    "network.give": {"network": "home", "owner": "local:ann@example.net"},
    "network.set": {"network": "home", "name": "house"},
    "network.delete": {"network": "empty"},
    "pool.add": {"network": "home", "range": "10.6.0.0/24"},
    "pool.remove": {"network": "home", "range": "10.9.0.0/16", "force": True},
    "pool.set": {"network": "home", "range": "10.9.0.0/16", "first": "10.9.0.9"},
    "member.add": {"network": "home", "key": "cd" * 32, "addresses": ["10.9.0.9"]},
    "member.adopt": {"network": "place", "member": "16fd2706d6", "key": "ab" * 32},
    "member.authorize": {"network": "home", "member": "n2"},
    "member.deauthorize": MEMBER,
    "member.ban": MEMBER,
    "member.unban": {"network": "home", "member": "n3"},
    "member.forget": MEMBER,
    "member.set": MEMBER | {"name": "n7", "roles": ["transit"]},
    "prefix.add": {"network": "home", "prefix": "2001:db8:6::/48"},
    "prefix.remove": {"network": "home", "prefix": "2001:db8:7::/48"},
    "prefix.lease": MEMBER | {"pool": "2001:db8:5::/48"},
    "prefix.release": {"network": "home", "prefix": "2001:db8:5::/64"},
    "key.admin.add": {"name": "bob", "key": "cd" * 32},
    "key.admin.remove": {"name": "alice"},
    "import": {
        "id": "import-0001",
        "number": 0,
        "last": True,
        "part": {
            "zt1": "1",
            "zt1:user:local:ann:~": {"id": "local:ann", "auth": "local", "authUserId": "ann"},
            "zt1:network:8056c2e21c0000ff:~": {"id": "8056c2e21c0000ff", "name": "earth"},
            "zt1:network:8056c2e21c0000ff:ipAssignments": {"10.2.3.4/24": "16fd2706d7"},
            "zt1:network:8056c2e21c0000ff:member:16fd2706d7:~": {
                "id": "16fd2706d7",
                "nwid": "8056c2e21c0000ff",
            },
        },
    },
    "token.create": {"network": "home", "key": "ab" * 32},
    "token.prune": {"older": 0},
    "token.revoke": {},
    "key.rotate": {},
    "key.retire": {"now": True},
    "key.import": {},
    "key.take-root": {"public": bytes(new_curve_pair()[0]).hex()},
    "key.drop-root": {},
}
FROM_HERE = ("key.take-root", "key.drop-root")  # the secret crosses no network
LOGGED_ONLY = FROM_HERE  # what they change is a file


@pytest.fixture
def full(house: House) -> House:
    """A controller with something of everything."""
    home = house.network("home")
    house.network("empty", ipv4="10.7.0.0/16")
    house.enrol(home, name="n1")
    house.enrol(home, name="n2")
    house.do("member.deauthorize", network="home", member="n2")
    house.enrol(home, name="n3")
    house.do("member.ban", network="home", member="n3")
    for prefix in ("2001:db8:5::/48", "2001:db8:7::/48"):
        house.do("prefix.add", network="home", prefix=prefix)
    house.do("prefix.lease", network="home", member="n2")
    house.do("key.admin.add", name="alice", key="ef" * 32)
    house.do("import", id="import-0000", number=0, last=True, part=PLACE)
    token = house.token("home")
    EXAMPLES["token.revoke"] = {"token": token[:6].hex()}
    house.do("key.rotate", now=True)
    house.office.keeper.tick(house.now_ms, house.now)
    _sign_examples(house)
    return house


def _sign_examples(house: House) -> None:
    """What only this controller's root key can write."""
    root = house.registry.keyring.root_signer
    assert root is not None
    now = house.office.keeper.now.keyset
    later = root.seal(msgspec.structs.replace(now, number=now.number + 1))
    EXAMPLES["key.import"] = {"text": render_signed(root.key, later)}
    seed = bytes(read_key(house.config.keys / "root"))
    proof = bindings.crypto_sign(house.office.root.challenge, seed + bytes(root.key))[:64]
    EXAMPLES["key.drop-root"] = {"proof": proof.hex()}


def everything(house: House) -> dict[str, list[Any]]:
    """All rows, and what is in memory beside them."""
    connection = house.registry.connection
    with connection.begin():
        rows: dict[str, list[Any]] = {
            name: [tuple(row) for row in connection.execute(table.select())]
            for name, table in SQLModel.metadata.tables.items()
        }
    rows["networks"] = [house.do("network.list"), house.registry.last_number]
    rows["netmap"] = [(n, house.registry.netmap(n).head) for n in house.registry.networks]
    rows["pushed"] = list(house.sent)
    rows["keys"] = [(path.name, path.read_bytes()) for path in sorted(house.config.keys.iterdir())]
    return rows


def test_every_verb_that_changes_something_has_its_example() -> None:
    assert sorted(EXAMPLES) == sorted(verb for verb in VERBS if changes(verb))


@pytest.mark.parametrize("verb", EXAMPLES)
def test_a_rehearsal_says_what_would_change_and_changes_nothing(full: House, verb: str) -> None:
    before = everything(full)
    rehearsed = full.rehearse(verb, **EXAMPLES[verb])
    after = everything(full)
    full.later(0.05)
    done = full.call(verb, **EXAMPLES[verb])

    assert isinstance(rehearsed, Result), rehearsed
    assert rehearsed.kind == CHANGE
    assert rehearsed.note == "nothing was changed (--dry-run); this would change:"
    assert after == before
    full.check_addresses()
    assert isinstance(done, Result), done
    audited = everything(full)["audit"][len(before["audit"]) :]
    assert [(i["action"], i["object"], i["detail"]) for i in rehearsed.items] == [
        row[6:9] for row in audited
    ]


@pytest.mark.parametrize("verb", EXAMPLES)
def test_every_change_is_in_the_audit_log_with_the_name_of_who_made_it(
    full: House, verb: str
) -> None:
    """O4: by user here, by admin key from elsewhere."""
    before = len(full.notes())
    full.later(0.05)
    actor = "local carol" if verb in FROM_HERE else "admin carol"
    frame = encode_admin(Call(7, verb, EXAMPLES[verb]))
    answer(full.office, frame, full.now_ms, full.now, actor=actor)
    fresh = full.notes()[before:]

    assert fresh
    assert {note.actor for note in fresh} == {actor}
    assert {note.action.partition(".")[0] for note in fresh} == {verb.partition(".")[0]}
    assert all(note.object for note in fresh)


@pytest.mark.parametrize("verb", EXAMPLES)
def test_a_change_and_its_entry_are_one_transaction(full: House, verb: str) -> None:
    """O4: neither is there without the other, whenever the controller ends."""
    full.later(0.05)
    with statements(full) as seen:
        full.do(verb, **EXAMPLES[verb])

    (tables,) = written(seen)
    assert "audit" in tables
    assert tables > {"audit"} or verb in LOGGED_ONLY


def test_a_rehearsal_of_what_is_so_already_says_that_nothing_would_change(full: House) -> None:
    rehearsed = full.rehearse("member.authorize", **MEMBER)

    assert isinstance(rehearsed, Result)
    assert rehearsed.items == []
    assert rehearsed.note.endswith("this would change nothing")


def test_a_rehearsal_fails_as_the_change_would(full: House) -> None:
    arguments = {"id": "request-9", "name": "home"}
    rehearsed = full.rehearse("network.create", **arguments)

    assert isinstance(rehearsed, Failed)
    assert rehearsed == full.call("network.create", **arguments)
    assert rehearsed.code == Exit.CONFLICT


def test_what_only_looks_is_not_rehearsed(full: House) -> None:
    refused = full.rehearse("network.list")

    assert isinstance(refused, Failed)
    assert refused.code == Exit.USAGE


def test_after_a_rehearsal_the_next_change_is_one(full: House) -> None:
    full.rehearse("member.ban", **MEMBER)
    full.do("member.ban", **MEMBER)

    assert full.do("member.show", **MEMBER)[0]["state"] == "banned"
