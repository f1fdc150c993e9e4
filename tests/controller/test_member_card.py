"""A member as it is shown: whether it is here and for how long so, when it came first and last, and with what."""

from datetime import UTC, datetime
from typing import Any

from protocol.messages import WIRE_VERSION, Done, Hello, encode
from tests.controller.house import START_MS, Frame, Guest, House


def card(house: House) -> dict[str, Any]:
    return house.do("member.show", network="home", member="n1")[0]


def connections(house: House) -> dict[str, tuple[str, int]]:
    items = house.do("member.list", network="home")
    return {item["name"]: (item["connection"], item["age"]) for item in items}


def greet(house: House, guest: Guest, version: str, system: str, peer: str) -> None:
    keyset = house.registry.keyset_number
    hello = Hello(house.number(), WIRE_VERSION, "n1", version, system, 1, keyset)
    house.desk.take(guest.routing, Frame(encode(hello), f"n:{guest.key.hex()}", peer), house.now)
    house.work()


def told(moment_ms: int) -> str:
    return f"{datetime.fromtimestamp(moment_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def test_each_is_connected_disconnected_expected_or_pending_for_so_long(house: House) -> None:
    network = house.network()
    house.enrol(network, name="here")
    away = house.enrol(network, name="away")
    house.do("member.add", network="home", key="ab" * 32, name="late")
    asks = house.guest("asks")
    assert isinstance(house.admit(house.token(ask=True), asks), Done)
    house.hello(asks)
    house.sessions.end(away.key)
    house.later(90)

    assert connections(house) == {
        "here": ("connected", 90),
        "away": ("disconnected", 90),
        "late": ("expected", 90),
        "asks": ("pending", 90),
    }
    house.keep_seen()
    house.reopen()
    house.later(60)
    assert connections(house) == {
        "here": ("disconnected", 150),
        "away": ("disconnected", 150),
        "late": ("expected", 150),
        "asks": ("pending", 150),
    }


def test_the_first_contact_stays_and_the_last_is_the_newest_with_what_it_came_with(
    house: House,
) -> None:
    guest = house.enrol(house.network())
    first = card(house)
    house.later(3600)
    greet(house, guest, "0.2.0", "zos", "203.0.113.9")
    at_ms = house.now_ms
    house.sessions.end(guest.key)
    house.keep_seen()
    house.reopen()
    house.later(60)
    last = card(house)

    names = ("first_seen", "last_seen", "last_at", "client_version", "client_os")
    came = told(START_MS)
    assert [first[name] for name in names] == [came, came, "198.51.100.7", "0.1.0", "linux"]
    assert [last[name] for name in names] == [came, told(at_ms), "203.0.113.9", "0.2.0", "zos"]


def test_an_export_says_the_same_in_the_words_of_the_schema(house: House) -> None:
    guest = house.enrol(house.network())
    house.later(3600)
    greet(house, guest, "0.2.0", "zos", "203.0.113.9")
    at_ms = house.now_ms
    house.keep_seen()
    (member,) = (i["value"] for i in house.do("export") if ":member:" in i["key"])

    assert START_MS <= int(member["firstSeen"]) < START_MS + 1000
    assert [member[name] for name in ("lastSeen", "lastAt", "clientVersion", "clientOs")] == [
        str(at_ms),
        "203.0.113.9",
        "0.2.0",
        "zos",
    ]
