"""The Redis schema's fields, each with its rule."""

import re
from pathlib import Path
from typing import Any

import pytest

from controller.schema.document import DocumentError, sort_out
from controller.schema.fields import MEMBER, NETWORK, OURS, RECORDS, USER, Field, Kind, Rule
from controller.schema.keys import parse
from controller.schema.texts import read, write
from protocol.admin import Failed
from runtime.failure import Exit
from tests.controller.house import House

DOC = (Path(__file__).parents[2] / "docs/schema.md").read_text()
ID = "8056c2e21c000001"
ADDRESS = "16fd2706d6"


def document(**changes: Any) -> dict[str, Any]:
    """A small whole one; `changes` are of its user, network, member: None takes a field away."""
    plain: dict[str, tuple[str, dict[str, str]]] = {
        "user": (
            "zt1:user:local:ann@example.net:~",
            {"id": "local:ann@example.net", "auth": "local", "authUserId": "ann@example.net"},
        ),
        "network": (f"zt1:network:{ID}:~", {"id": ID, "name": "earth"}),
        "member": (f"zt1:network:{ID}:member:{ADDRESS}:~", {"id": ADDRESS, "nwid": ID}),
    }
    whole: dict[str, Any] = {"zt1": "1"}
    for record, (key, value) in plain.items():
        merged = value | changes.get(record, {})
        whole[key] = {name: text for name, text in merged.items() if text is not None}
    return whole


def refused(whole: dict[str, Any]) -> str:
    with pytest.raises(DocumentError) as caught:
        sort_out(whole)
    assert caught.value.code == Exit.USAGE
    return caught.value.message


def of(rule: Rule, record: str) -> list[str]:
    fields = (*RECORDS[record], *OURS.get(record, ()))
    names = {name for f in fields if f.rule is rule for name in (f.name, f.key) if name}
    return sorted(names)


def test_the_table_has_each_field_of_the_schema_once() -> None:
    assert [f.name for f in USER] == [
        "id",
        "auth",
        "authUserId",
        "email",
        "confirmed",
        "lastLogin",
        "creationTime",
        "displayName",
        "stripeCustomerId",
        "referrals",
    ]
    assert [f.name for f in NETWORK] == [
        "id",
        "name",
        "owner",
        "billingUser",
        "billingUserConfirmed",
        "desc",
        "infrastructure",
        "private",
        "creationTime",
        "etherTypes",
        "enableBroadcast",
        "v4AssignMode",
        "v4AssignPool",
        "v6AssignMode",
        "v6AssignPool",
        "ui",
    ]
    assert [f.name for f in MEMBER] == [
        "id",
        "nwid",
        "authorized",
        "bridge",
        "name",
        "notes",
        "authorizedBy",
        "authorizedAt",
        "identity",
        "firstSeen",
        "lastSeen",
        "lastAt",
        "clientVersion",
        "clientOs",
        "ipAssignments",
        "ui",
    ]


@pytest.mark.parametrize(
    ("record", "name"),
    [(record, f.name) for record, fields in RECORDS.items() for f in fields if f.required],
)
def test_a_record_without_a_required_field_is_refused_by_its_name(record: str, name: str) -> None:
    sort_out(document())

    assert f"{name}: it is required" in refused(document(**{record: {name: None}}))
    assert f"{name}: it is required" in refused(document(**{record: {name: ""}}))


def test_the_required_ones_are_those_of_the_schema() -> None:
    needed = {record: [f.name for f in fields if f.required] for record, fields in RECORDS.items()}

    assert needed == {
        "user": ["id", "auth", "authUserId"],
        "network": ["id", "name"],
        "member": ["id", "nwid"],
    }


MUTABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "name": ("network.set", {"name": "mars"}, "mars"),
    "desc": ("network.set", {"desc": "red"}, "red"),
    "private": ("network.set", {"private": False}, "0"),
    "etherTypes": ("network.set", {"ether_types": "800,86dd"}, "800,86dd"),
    "enableBroadcast": ("network.set", {"enable_broadcast": True}, "1"),
    "v4AssignMode": ("network.set", {"v4_assign": "dhcp"}, "dhcp"),
    "v6AssignMode": ("network.set", {"v6_assign": "v6native"}, "v6native"),
    "ui": ("network.set", {"ui": '{"a":1}'}, '{"a":1}'),
}
MUTABLE_MEMBER: dict[str, tuple[str, dict[str, Any], str]] = {
    "authorized": ("member.deauthorize", {}, "0"),
    "bridge": ("member.set", {"bridge": True}, "1"),
    "name": ("member.set", {"name": "n7"}, "n7"),
    "notes": ("member.set", {"notes": "in the cellar"}, "in the cellar"),
    "ui": ("member.set", {"ui": '{"a":1}'}, '{"a":1}'),
}


def exported(house: House, part: str) -> dict[str, str]:
    items = house.do("export")
    return next(i["value"] for i in items if re.fullmatch(part, i["key"]))


@pytest.mark.parametrize("name", MUTABLE)
def test_a_mutable_field_of_a_network_is_set_and_exported(house: House, name: str) -> None:
    house.network()
    verb, arguments, text = MUTABLE[name]
    before = exported(house, r"zt1:network:\w+:~").get(name)
    house.do(verb, network="home", **arguments)

    assert (exported(house, r"zt1:network:\w+:~")[name], before != text) == (text, True)


def test_the_pools_of_a_network_are_changed_and_exported(house: House) -> None:
    house.network(ipv6="fd00:9::/64")
    pools = ("v4AssignPool", "v6AssignPool")
    before = [exported(house, r"zt1:network:\w+:~")[name] for name in pools]
    for more in ("10.10.0.0/24", "fd00:a::/64"):
        house.do("pool.add", network="home", range=more)
    house.do("pool.remove", network="home", range="10.9.0.0/16")
    after = [exported(house, r"zt1:network:\w+:~")[name] for name in pools]

    first, second = (f"fd00:{n}:0000:0000:0000:0000:0000:0000/64" for n in ("0009", "000a"))
    assert before == ["10.9.0.0/16", first]
    assert after == ["10.10.0.0/24", f"{first},{second}"]


@pytest.mark.parametrize("name", MUTABLE_MEMBER)
def test_a_mutable_field_of_a_member_is_set_and_exported(house: House, name: str) -> None:
    house.enrol(house.network())
    verb, arguments, text = MUTABLE_MEMBER[name]
    before = exported(house, r"zt1:network:\w+:member:\w+:~").get(name)
    house.do(verb, network="home", member="n1", **arguments)

    assert (exported(house, r"zt1:network:\w+:member:\w+:~")[name], before != text) == (text, True)


def test_every_mutable_field_has_such_a_test() -> None:
    pools = {"v4AssignPool", "v6AssignPool"}  # ncadm pool

    assert {f.name for f in NETWORK if f.rule is Rule.MUTABLE} == MUTABLE.keys() | pools
    assert {f.name for f in MEMBER if f.rule is Rule.MUTABLE} == MUTABLE_MEMBER.keys()


@pytest.mark.parametrize(
    ("record", "name"),
    [(record, name) for record in ("network", "member") for name in of(Rule.READ_ONLY, record)],
)
def test_setting_a_read_only_field_is_refused_by_its_name(
    house: House, record: str, name: str
) -> None:
    house.enrol(house.network())
    which = {"network": "home"} | ({"member": "n1"} if record == "member" else {})
    before = house.do("network.list"), house.do("member.list", network="home")
    reply = house.call(f"{record}.set", **which, **{name: "1"})

    assert isinstance(reply, Failed)
    assert (reply.code, reply.message) == (
        Exit.USAGE,
        f"cannot set {name} of a {record}: it is read-only",
    )
    assert (house.do("network.list"), house.do("member.list", network="home")) == before


@pytest.mark.parametrize(
    ("record", "name"),
    [(record, name) for record in ("network", "member") for name in of(Rule.HIDDEN, record)],
)
def test_a_hidden_field_is_neither_shown_nor_set(house: House, record: str, name: str) -> None:
    house.enrol(house.network())
    which = {"network": "home"} | ({"member": "n1"} if record == "member" else {})
    reply = house.call(f"{record}.set", **which, **{name: "1"})

    assert isinstance(reply, Failed)
    assert reply.message == f"cannot set {name} of a {record}: it is not for people"
    assert name not in house.do(f"{record}.show", **which)[0]
    assert name not in exported(house, r"zt1:network:\w+:~")


def test_a_field_under_its_name_in_the_schema_is_told_its_name_here(house: House) -> None:
    house.network()
    reply = house.call("network.set", network="home", v4AssignMode="zt")

    assert isinstance(reply, Failed)
    assert reply.message == "cannot set v4AssignMode: it is called v4_assign here"


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("true", True), ("0", False), ("yes", False), ("True", False)]
)
def test_only_1_and_true_are_true(text: str, value: bool) -> None:
    assert read(Kind.BOOL, text) is value


def test_a_missing_boolean_is_false() -> None:
    told = sort_out(document())

    assert told.networks[ID].columns["private"] is False
    assert told.networks[ID].members[ADDRESS].columns["state"] == "pending"


def test_times_are_decimal_milliseconds() -> None:
    told = sort_out(document(network={"creationTime": "1383339033000"}))

    assert told.networks[ID].columns["created_at"] == 1383339033000
    assert write(Kind.TIME, 1383339033000) == "1383339033000"
    for wrong in ("1383339033.5", "0x12", "-1", "2014-01-01", "1e12"):
        assert "no decimal number of milliseconds" in refused(
            document(network={"creationTime": wrong})
        )


@pytest.mark.parametrize(
    "wrong", ["8056C2E21C000001", "8056c2e21c00001", "56c2e21c000001", "x" * 16]
)
def test_network_ids_are_16_lower_case_digits(wrong: str) -> None:
    whole = document()
    whole[f"zt1:network:{wrong}:~"] = {"id": wrong, "name": "other"}

    assert "16 lower-case hexadecimal digits" in refused(whole)


@pytest.mark.parametrize("wrong", ["16FD2706D6", "6fd2706d6", "016fd2706d6"])
def test_addresses_are_10_lower_case_digits(wrong: str) -> None:
    whole = document()
    whole[f"zt1:network:{ID}:member:{wrong}:~"] = {"id": wrong, "nwid": ID}

    assert "10 lower-case hexadecimal digits" in refused(whole)


def test_ids_are_padded_with_zeros(house: House) -> None:
    network = house.network()
    house.enrol(network)
    keys = [item["key"] for item in house.do("export")]

    assert f"zt1:network:{house.registry.controller}000001:~" in keys
    assert any(re.search(r":member:[0-9a-f]{10}:~$", key) for key in keys)


def test_ipv6_is_never_shortened_in_an_export(house: House) -> None:
    network = house.network(ipv6="fd00:9::/64")
    guest = house.enrol(network)
    address = next(a for a in house.addresses(house.join(guest, network)) if ":" in a)
    text = exported(house, r"zt1:network:\w+:~")["v6AssignPool"]
    assigned = exported(house, r"zt1:network:\w+:ipAssignments")
    member = exported(house, r"zt1:network:\w+:member:\w+:~")["ipAssignments"]

    assert text == "fd00:0009:0000:0000:0000:0000:0000:0000/64"
    assert address not in assigned
    for one in (*assigned, *member.split(",")):
        assert "::" not in one
        assert "." in one or re.fullmatch(r"([0-9a-f]{4}:){7}[0-9a-f]{4}/64", one)


@pytest.mark.parametrize(
    ("record", "changes", "said"),
    [
        ("user", {"id": "local:bob"}, "is not auth:authUserId"),
        ("user", {"authUserId": "bob"}, "is not auth:authUserId"),
        ("network", {"id": "8056c2e21c000002"}, "as in the key"),
        ("member", {"nwid": "8056c2e21c000002"}, "as in the key"),
        ("member", {"id": "16fd2706d7"}, "as in the key"),
        ("network", {"name": "no blank"}, "cannot call a network"),
        ("network", {"v4AssignMode": "auto"}, "not one of none, zt, dhcp"),
        ("network", {"v6AssignMode": "dhcp"}, "not one of none, zt, v6native, dhcp6"),
        ("network", {"etherTypes": "0x800"}, "lower-case hexadecimal"),
        ("network", {"v4AssignPool": "10.9.0.0"}, "no network with its number of bits"),
        ("network", {"ui": "{"}, "it is no JSON"),
        ("member", {"ipAssignments": "10.9.0.5/16"}, "ipAssignments say otherwise"),
        ("member", {"ipAssignments": "10.9.0.5"}, "no address with its number of bits"),
    ],
)
def test_a_wrong_field_is_refused_by_key_and_name(
    record: str, changes: dict[str, str | None], said: str
) -> None:
    message = refused(document(**{record: changes}))

    assert message.startswith("cannot import zt1:")
    assert said in message


@pytest.mark.parametrize("version", [None, "", "2", {"a": "b"}])
def test_only_version_1_of_the_schema_is_taken(version: Any) -> None:
    whole = document()
    whole.pop("zt1")
    if version is not None:
        whole["zt1"] = version

    assert "the schema's version must be '1'" in refused(whole)


def test_unknown_keys_are_refused_with_one_that_is_like_it() -> None:
    for wrong in ("zt1:networks:8056c2e21c000001:~", "zt2", f"zt1:network:{ID}:members:x:~"):
        assert "is no key of the schema, such as zt1" in refused(document() | {wrong: {}})


def test_ipassignments_name_members_and_each_address_once() -> None:
    key = f"zt1:network:{ID}:ipAssignments"
    nobody = refused(document() | {key: {"10.2.3.4/24": "1234567890"}})
    twice = refused(document() | {key: {"10.2.3.4/24": ADDRESS, "10.2.3.4/16": ADDRESS}})

    assert "1234567890 is no member" in nobody
    assert "stands there twice" in twice


def test_keys_are_read_and_written_alike() -> None:
    for text in document():
        assert str(parse(text)) == text
    assert str(parse(f"zt1:network:{ID}:ipAssignments")) == f"zt1:network:{ID}:ipAssignments"


def line(field: Field) -> str:
    needed = "!" if field.required else ""
    effect = "" if field.effect else " stored, without effect"
    way = f" {field.way}" if field.way else ""
    return f"| `{field.name}` | {needed}{field.rule} | {field.kind.value} |{way}{effect} |"


@pytest.mark.parametrize("record", RECORDS)
def test_the_documentation_has_every_field_with_its_rule(record: str) -> None:
    section = DOC.split(f"\n## {record}\n")[1].split("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| `")]

    assert rows == [line(field) for field in RECORDS[record]]
