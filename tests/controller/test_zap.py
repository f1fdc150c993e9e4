"""Who may connect: nodes that are known, tokens that live, nobody else."""

from collections.abc import Iterator

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from controller.front import sockets
from controller.front.zap import Zap, answer, user_id
from controller.store.database import open_reader
from tests.controller.house import House


@pytest.fixture
def reader(house: House) -> Iterator[Connection]:
    connection = open_reader(house.config.database)
    yield connection
    connection.close()


def request(key: bytes, *, domain: bytes = b"zosnet", mechanism: bytes = b"CURVE") -> list[bytes]:
    return [b"1.0", b"7", domain, b"198.51.100.7", b"", mechanism, key]


def test_a_token_lives_until_it_is_used_up_expired_or_revoked(
    house: House, reader: Connection
) -> None:
    house.network()
    token, used, gone = house.token(ttl=60), house.token(), house.token()
    for key in (token, used, gone):
        assert user_id(reader, key, house.now_ms) == f"t:{key.hex()}"
    house.admit(used, house.guest())
    house.do("token.revoke", token=gone[:6].hex())
    house.later(60)

    assert [user_id(reader, key, house.now_ms) for key in (token, used, gone)] == ["", "", ""]


def test_a_node_is_known_until_it_is_banned_everywhere_or_forgotten(
    house: House, reader: Connection
) -> None:
    home = house.network()
    house.network("other", ipv4="10.10.0.0/16")
    guest = house.enrol(home)
    house.admit(house.token("other"), guest)
    known = f"n:{guest.key.hex()}"
    assert user_id(reader, guest.key, house.now_ms) == known
    house.do("member.ban", network="home", member="n1")
    assert user_id(reader, guest.key, house.now_ms) == known
    house.do("member.deauthorize", network="other", member="n1")
    assert user_id(reader, guest.key, house.now_ms) == known  # so that it can be told
    house.do("member.forget", network="other", member="n1")

    assert user_id(reader, guest.key, house.now_ms) == ""


def test_a_stranger_is_nobody(house: House, reader: Connection) -> None:
    assert user_id(reader, b"s" * 32, house.now_ms) == ""


def test_the_answer_names_the_user_or_refuses() -> None:
    assert answer(request(b"k" * 32), lambda _domain, key: f"n:{key.hex()}") == [
        b"1.0",
        b"7",
        b"200",
        b"OK",
        b"n:" + b"6b" * 32,
        b"",
    ]
    assert answer(request(b"k" * 32), lambda _domain, _key: "")[2] == b"400"


@pytest.mark.parametrize(
    "wrong",
    [
        request(b"k" * 31),
        request(b"k" * 32, mechanism=b"NULL"),
        request(b"k" * 32, mechanism=b"PLAIN"),
        request(b"k" * 32, domain=b"other"),
        [b"1.0"],
        [],
        [*request(b"k" * 32), b"more"],
        [b"2.0", *request(b"k" * 32)[1:]],
    ],
)
def test_anything_else_is_refused_without_a_look(wrong: list[bytes]) -> None:
    def look_up(_domain: bytes, _key: bytes) -> str:
        raise AssertionError("asked")

    assert answer(wrong, look_up)[2] in (b"400", b"500")


@given(st.lists(st.binary(max_size=40), max_size=9))
def test_no_request_makes_it_fail(frames: list[bytes]) -> None:
    assert answer(frames, lambda _domain, _key: "")[2] in (b"400", b"500")


def test_a_look_up_that_fails_asks_the_client_to_come_again(house: House) -> None:
    """400 and 500 mean "denied" to a client: it would throw its token away."""
    context = sockets.new_context()
    house.config.database.with_name("other.db").touch()  # has no tables
    zap = Zap(context, house.config.database.with_name("other.db"), lambda: 0)
    with context.socket(zmq.REQ) as asker:
        asker.connect(sockets.ZAP_ENDPOINT)
        for _ in range(2):
            asker.send_multipart(request(b"k" * 32))
            reply = asker.recv_multipart()
            assert (reply[1], reply[2]) == (b"7", b"300")
    assert zap.alive
    context.term()
    zap.join()

    assert not zap.alive
