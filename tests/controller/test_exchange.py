"""Export and import: what comes in goes out again, and nothing that is here is changed."""

import copy
import json
from typing import Any

import pytest

from controller.admin.importing import cut
from controller.schema.records import is_place, place_key
from controller.store.records import Node
from controller.verbs import imported
from protocol.admin import Failed
from protocol.messages import Joined
from runtime.failure import Exit
from tests.controller.house import House

# what a database of 2014 could hold, in its own words: `true` and `1`, unknown fields, no pool
ZT = "8056c2e21c"
REDIS: dict[str, Any] = {
    "zt1": "1",
    "zt1:user:local:ann@example.net:~": {
        "id": "local:ann@example.net",
        "auth": "local",
        "authUserId": "ann@example.net",
        "email": "ann@example.net",
        "confirmed": "1",
        "lastLogin": "1400000000000",
        "creationTime": "1390000000000",
        "displayName": "Ann",
        "stripeCustomerId": "cus_1234",
        "referrals": '{"coupon":"x"}',
        "salt": "unknown to us",
    },
    f"zt1:network:{ZT}000001:~": {
        "id": f"{ZT}000001",
        "name": "earth.zerotier.net",
        "owner": "local:ann@example.net",
        "billingUser": "local:ann@example.net",
        "billingUserConfirmed": "true",
        "subscription": "gold",
        "desc": "The Earth",
        "infrastructure": "1",
        "private": "true",
        "creationTime": "1383339033000",
        "etherTypes": "800,806,86dd",
        "enableBroadcast": "true",
        "v4AssignMode": "zt",
        "v4AssignPool": "28.0.0.0/8,10.2.3.0/24",
        "v6AssignMode": "none",
        "ui": '{"colour":"blue"}',
        "multicastLimit": "32",
    },
    f"zt1:network:{ZT}000001:ipAssignments": {
        "10.2.3.4/24": "16fd2706d6",
        "29.1.1.1/7": "16fd2706d6",
        "10.2.3.5/24": "00000000ab",
        "fd80:56c2:e21c:0000:0199:9316:fd27:06d6/88": "16fd2706d6",
    },
    f"zt1:network:{ZT}000001:member:16fd2706d6:~": {
        "id": "16fd2706d6",
        "nwid": f"{ZT}000001",
        "authorized": "1",
        "bridge": "true",
        "name": "server",
        "notes": "in the cellar",
        "authorizedBy": "local:ann@example.net",
        "authorizedAt": "1383339034000",
        "identity": "16fd2706d6:0:" + "ab" * 64,
        "firstSeen": "1383339033500",
        "lastSeen": "1400000000001",
        "lastAt": "203.0.113.5/9993",
        "clientVersion": "0.9.2",
        "clientOs": "linux",
        "ipAssignments": "29.1.1.1/7,10.2.3.4/24,fd80:56c2:e21c:0000:0199:9316:fd27:06d6/88",
        "ui": "{}",
    },
    f"zt1:network:{ZT}000001:member:00000000ab:~": {
        "id": "00000000ab",
        "nwid": f"{ZT}000001",
        "authorized": "false",
        "hideInSlushpile": "1",
    },
    f"zt1:network:{ZT}000002:~": {"id": f"{ZT}000002", "name": "mars", "private": "0"},
    f"zt1:network:{ZT}000002:member:16fd2706d6:~": {
        "id": "16fd2706d6",
        "nwid": f"{ZT}000002",
        "lastSeen": "1400000000999",
        "clientVersion": "0.9.3",
    },
}


def failed(reply: object) -> Failed:
    assert isinstance(reply, Failed), reply
    assert reply.message.startswith("cannot import")
    return reply


def take(house: House, document: dict[str, Any], **more: Any) -> Any:
    house.later(0.001)
    return house.call(
        "import", id=f"import-{house.number():08}", part=document, number=0, last=True, **more
    )


def give(house: House, limit: int = 500, **more: Any) -> dict[str, Any]:
    """The export, from all its pages."""
    whole: dict[str, Any] = {}
    after = ""
    while True:
        reply = house.call("export", limit=limit, after=after, **more)
        for item in reply.items:  # type: ignore[union-attr]
            if isinstance(item["value"], dict):
                whole[item["key"]] = whole.get(item["key"], {}) | item["value"]
            else:
                whole[item["key"]] = item["value"]
        after = reply.next  # type: ignore[union-attr]
        if not after:
            return whole


def renamed(document: dict[str, Any], before: str, now: str) -> dict[str, Any]:
    renamed: dict[str, Any] = json.loads(json.dumps(document).replace(before, now))
    return renamed


def test_what_is_imported_is_exported_the_same_with_every_field(house: House) -> None:
    document = renamed(REDIS, ZT, house.registry.controller)
    take(house, document)
    house.reopen()

    assert give(house) == document


def test_networks_of_another_controller_keep_their_numbers_under_our_id(house: House) -> None:
    reply = take(house, REDIS)
    ours = house.registry.controller

    mapping = [(item["from"], item["id"], item["name"]) for item in reply.items]
    assert mapping == [
        (f"{ZT}000001", f"{ours}000001", "earth.zerotier.net"),
        (f"{ZT}000002", f"{ours}000002", "mars"),
    ]
    without_v6 = renamed(REDIS, ZT, ours)
    exported = give(house)
    assert exported.keys() == without_v6.keys()
    assert exported[f"zt1:network:{ours}000001:~"] == without_v6[f"zt1:network:{ours}000001:~"]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_an_export_in_small_pages_is_the_same(house: House, limit: int) -> None:
    take(house, REDIS)

    assert give(house, limit) == give(house)
    assert list(give(house, limit)) == list(give(house))


def test_one_network_is_exported_alone(house: House) -> None:
    take(house, REDIS)
    ours = house.registry.controller
    alone = give(house, network="mars")

    assert list(alone) == [
        "zt1",
        f"zt1:network:{ours}000002:~",
        f"zt1:network:{ours}000002:member:16fd2706d6:~",
    ]


def test_what_has_changed_since_is_exported_as_it_is_now(house: House) -> None:
    take(house, REDIS)
    ours = house.registry.controller
    house.do("network.set", network="mars", private=True, desc="red")
    house.do("network.set", network="earth.zerotier.net", private=False)
    house.do("member.set", network="earth.zerotier.net", member="server", notes="sold")
    exported = give(house)
    earth = exported[f"zt1:network:{ours}000001:~"]

    assert (earth["private"], earth["enableBroadcast"], earth["subscription"]) == (
        "0",
        "true",
        "gold",
    )
    assert exported[f"zt1:network:{ours}000002:~"] == {
        "id": f"{ours}000002",
        "name": "mars",
        "private": "1",
        "desc": "red",
    }
    assert exported[f"zt1:network:{ours}000001:member:16fd2706d6:~"]["notes"] == "sold"
    assert exported[f"zt1:network:{ours}000001:member:16fd2706d6:~"]["clientOs"] == "linux"


def test_shortened_ipv6_is_taken_and_written_out_in_full(house: House) -> None:
    document = copy.deepcopy(REDIS)
    short, full = (
        "fd80:56c2:e21c:0:199:9316:fd27:6d6/88",
        "fd80:56c2:e21c:0000:0199:9316:fd27:06d6/88",
    )
    take(house, renamed(document, full, short))

    assert full in give(house)[f"zt1:network:{house.registry.controller}000001:ipAssignments"]
    assert short not in json.dumps(give(house))


# -- members without a key


def test_a_zerotier_identity_is_no_key_of_ours_and_its_member_a_place(house: House) -> None:
    take(house, REDIS)
    rows = house.do("member.list", network="earth.zerotier.net", hidden=True)
    server = next(row for row in rows if row["name"] == "server")

    assert server["address"] == "16fd2706d6"
    assert bytes.fromhex(server["key"]) == place_key(0x16FD2706D6)
    assert server["ip"] == ["10.2.3.4/24", "29.1.1.1/7", "fd80:56c2:e21c:0:199:9316:fd27:6d6/88"]
    assert (server["state"], server["joined"], server["online"]) == ("authorized", False, False)


def test_nobody_gets_the_addresses_of_a_place(house: House) -> None:
    document: dict[str, Any] = {
        "zt1": "1",
        f"zt1:network:{ZT}000001:~": {
            "id": f"{ZT}000001",
            "name": "home",
            "v4AssignMode": "zt",
            "v4AssignPool": "10.2.3.0/29",
        },
        f"zt1:network:{ZT}000001:ipAssignments": {
            f"10.2.3.{n}/29": f"{n:010x}" for n in (2, 3, 4, 5)
        },
    }
    for n in (2, 3, 4, 5):
        key = f"zt1:network:{ZT}000001:member:{n:010x}:~"
        document[key] = {"id": f"{n:010x}", "nwid": f"{ZT}000001"}
    take(house, document)
    network = house.do("network.show", network="home")[0]["id"]
    guest = house.enrol(network)

    assert house.addresses(house.join(guest, network)) == ["10.2.3.6/29"]


def test_a_member_of_ours_comes_with_its_key_and_connects_to_the_new_controller(
    house: House, tmp_path: Any
) -> None:
    network = house.network(ipv6="fd00::/64")
    guest = house.enrol(network, name="berlin-1", endpoints=("192.0.2.1:5",))
    house.do("member.set", network="home", member="berlin-1", roles=["transit"], notes="rack 4")
    house.do("network.set", network="home", mtu=1380, dns=["10.9.0.2"], topology="hub")
    before = house.addresses(house.join(guest, network))
    document = give(house)
    other = House(tmp_path / "other")
    try:
        moved = take(other, document).items[0]
        assert (moved["members"], moved["places"]) == (1, 0)
        other.hello(guest)
        joined = other.join(guest, moved["id"])

        assert isinstance(joined, Joined)
        assert other.addresses(joined) == before
        assert other.membership(joined).roles == ("transit",)
        shown = other.do("network.show", network="home")[0]
        assert (shown["mtu"], shown["dns"], shown["topology"]) == (1380, ["10.9.0.2"], "hub")
        again = renamed(document, house.registry.controller, other.registry.controller)
        assert give(other).keys() == again.keys()
    finally:
        other.close()


def test_a_place_is_told_by_its_key() -> None:
    node = Node(5, place_key(5), "", 0, 0, "", "", "", 0)
    other = Node(6, place_key(5), "", 0, 0, "", "", "", 0)

    assert (is_place(node), is_place(other)) == (True, False)


def test_a_place_that_is_adopted_is_its_nodes_with_name_and_addresses(house: House) -> None:
    take(house, REDIS)
    guest = house.guest(name="as it calls itself")
    network = house.do("network.show", network="earth.zerotier.net")[0]["id"]
    which = {"network": "earth.zerotier.net", "member": "server"}
    unknown = house.call("member.adopt", **which, key=guest.key.hex()[:-2])
    adopted = house.do("member.adopt", **which, key=guest.key.hex())[0]
    again = house.do("member.adopt", **which, key=guest.key.hex())[0]
    house.reopen()
    house.hello(guest)
    joined = house.join(guest, network)

    assert isinstance(unknown, Failed)
    assert (adopted["address"], adopted["key"]) == ("16fd2706d6", guest.key.hex())
    assert adopted == again
    assert isinstance(joined, Joined)
    assert "10.2.3.4/24" in house.addresses(joined)
    member = give(house)[f"zt1:network:{network}:member:16fd2706d6:~"]
    assert member["identity"] == f"16fd2706d6:zosnet:{guest.key.hex()}"
    assert (member["name"], member["notes"]) == ("server", "in the cellar")


def test_only_a_place_is_adopted_and_by_a_key_that_nobody_has(house: House) -> None:
    take(house, REDIS)
    home = house.network("home", ipv4="10.1.0.0/16")
    guest = house.enrol(home, house.token("home"), name="n1")
    address = house.do("member.list", network="home")[0]["address"]
    which = {"network": "earth.zerotier.net", "member": "server"}
    taken = house.call("member.adopt", **which, key=guest.key.hex())
    mine = house.call("member.adopt", network="home", member="n1", key="ab" * 32)

    assert isinstance(taken, Failed)
    assert isinstance(mine, Failed)
    assert (taken.code, mine.code) == (Exit.CONFLICT, Exit.CONFLICT)
    assert f"that key is {address}'s already" in taken.message
    assert "it has a key already" in mine.message


# -- what clashes


def clashing(house: House, change: str) -> dict[str, Any]:
    document = copy.deepcopy(REDIS)
    match change:
        case "number":
            house.network("other", ipv4="10.1.0.0/16")
        case "name":
            house.registry.last_number = 8
            house.network("mars", ipv4="10.1.0.0/16")
        case "twin numbers":
            twin = "1111111111000002"
            document[f"zt1:network:{twin}:~"] = {"id": twin, "name": "twin"}
        case "twin names":
            document[f"zt1:network:{ZT}000003:~"] = {"id": f"{ZT}000003", "name": "mars"}
        case "number 0":
            document[f"zt1:network:{ZT}000000:~"] = {"id": f"{ZT}000000", "name": "zero"}
        case "user":
            take(house, {"zt1": "1", **{k: v for k, v in REDIS.items() if ":user:" in k}})
            document["zt1:user:local:ann@example.net:~"]["email"] = "other@example.net"
        case "node":
            house.registry.last_number = 8
            house.enrol(house.network("other", ipv4="10.1.0.0/16"))
            address = house.do("member.list", network="other")[0]["address"]
            document = renamed(document, "16fd2706d6", address)
        case "pools":
            key = f"zt1:network:{ZT}000001:~"
            document[key]["v4AssignPool"] = "10.2.3.128/25,10.2.0.0/16"
        case "outside":
            key = f"zt1:network:{ZT}000001:~"
            document[key]["v4AssignPool"] = "10.2.3.128/25"
        case _:
            raise AssertionError(change)
    return document


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("number", "number 000001 of network 8056c2e21c000001 is that of other here"),
        ("name", "a network is called mars already"),
        ("twin numbers", "two networks have the number 000002"),
        ("twin names", "a network is called mars already"),
        ("number 0", "has the number 0"),
        ("user", "user local:ann@example.net is here with other fields"),
        ("node", "is that of another node here"),
        ("pools", "it overlaps"),
        ("outside", "it overlaps 10.2.3.128/25"),
    ],
)
def test_what_clashes_is_refused_and_nothing_is_changed(
    house: House, change: str, said: str
) -> None:
    document = clashing(house, change)
    before = give(house), house.count("node"), house.count("audit")
    reply = failed(take(house, document))

    assert reply.code == Exit.CONFLICT
    assert said in reply.message
    assert (give(house), house.count("node"), house.count("audit")) == before


def test_an_import_is_made_once(house: House) -> None:
    take(house, REDIS)

    assert "number 000001" in failed(take(house, REDIS)).message


def test_many_clashes_are_counted(house: House) -> None:
    document: dict[str, Any] = {"zt1": "1"}
    for n in range(1, 9):
        document[f"zt1:network:{ZT}{n:06x}:~"] = {"id": f"{ZT}{n:06x}", "name": "same"}

    assert "and 2 more" in failed(take(house, document)).message


def test_numbers_of_imported_networks_are_not_given_to_new_ones(house: House) -> None:
    document = renamed(REDIS, f"{ZT}000002", f"{ZT}ffffff")
    take(house, document)
    house.reopen()
    made = [house.network(name, ipv4="10.1.0.0/16") for name in ("one", "two")]

    assert [network[10:] for network in made] == ["000002", "000003"]


# -- in parts


def parts(house: House, *given: dict[str, Any], number: str = "import-0001") -> list[Any]:
    return [
        house.call("import", id=number, part=part, number=i, last=i == len(given) - 1)
        for i, part in enumerate(given)
    ]


def test_a_document_in_parts_is_the_same_as_whole(house: House) -> None:
    document = renamed(REDIS, ZT, house.registry.controller)
    pieces = [
        {key: {name: text}} if isinstance(value, dict) else {key: value}
        for key, value in document.items()
        for name, text in (value.items() if isinstance(value, dict) else [("", "")])
    ]
    parts(house, *pieces)

    assert len(pieces) > 40
    assert give(house) == document


def test_nothing_is_taken_before_the_last_part(house: House) -> None:
    house.call("import", id="import-0001", part=REDIS, number=0, last=False)

    assert house.count("network") == house.count("user") == 0


def test_parts_out_of_order_or_of_two_imports_are_refused(house: House) -> None:
    house.call("import", id="import-0001", part={"zt1": "1"}, number=0, last=False)
    house.call("import", id="import-0002", part={"zt1": "1"}, number=0, last=False)
    mixed = failed(house.call("import", id="import-0001", part=REDIS, number=1, last=True))
    gap = failed(house.call("import", id="import-0003", part=REDIS, number=1, last=True))

    assert "a part is missing" in mixed.message
    assert mixed.code == gap.code == Exit.CONFLICT
    assert house.count("network") == 0


def test_what_waits_for_its_last_part_is_bounded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imported, "STAGED_MAX", 1000)
    reply = failed(house.call("import", id="import-0001", part=REDIS, number=0, last=True))

    assert (reply.code, house.office.staged) == (Exit.EXHAUSTED, None)


def test_parts_of_a_large_document_fit_into_frames() -> None:
    large: dict[str, Any] = {
        "zt1": "1",
        "hash": {f"field {n}": "x" * 100 for n in range(20_000)},
        **{f"key {n}": {"a": "b" * 1000} for n in range(1000)},
    }
    cuts = list(cut(large))
    joined: dict[str, Any] = {}
    for part in cuts:
        assert len(json.dumps(part)) < 400_000
        for key, value in part.items():
            joined[key] = joined.get(key, {}) | value if isinstance(value, dict) else value

    assert joined == large
    assert len(cuts) > 5
