"""An address that a living token names is kept for whoever comes with the token."""

from ipaddress import ip_address
from typing import Any

import pytest
from msgspec.structs import replace

from controller.addresses.promises import Promises
from controller.store.records import Token, sixteen
from protocol.admin import Failed
from protocol.messages import Code, Done, Joined, Refused, Reply
from tests.controller.house import House

ADDRESS = "10.9.0.4"
OTHERS = ["10.9.0.2", "10.9.0.3", "10.9.0.5", "10.9.0.6"]  # of 10.9.0.0/29
WEEK = 7 * 86400


def come(house: House, network: str, *, token: bytes | None = None, name: str = "n") -> Reply:
    """A node that was never here joins."""
    guest = house.guest(name)
    assert isinstance(house.admit(token or house.token(), guest), Done)
    house.hello(guest)
    return house.join(guest, network)


def got(house: House, *replies: Reply) -> list[str]:
    return sorted(a.partition("/")[0] for reply in replies for a in house.addresses(reply))


def code(reply: Reply) -> str:
    assert isinstance(reply, Refused), reply
    return reply.code


def name(token: bytes) -> str:
    return token[:6].hex()


def failed(house: House, verb: str, **arguments: Any) -> Failed:
    reply = house.call(verb, network="home", **arguments)
    assert isinstance(reply, Failed), reply
    return reply


@pytest.fixture
def home(house: House) -> str:
    return house.network(ipv4="10.9.0.0/29")


def test_nobody_gets_it_by_itself_and_the_tokens_holder_gets_it(house: House, home: str) -> None:
    """A pool that is full but for it is full to all others."""
    token = house.token(address=ADDRESS)
    others = [come(house, home) for _ in range(4)]
    late = come(house, home)
    holder = come(house, home, token=token)

    assert got(house, *others) == OTHERS
    assert code(late) == Code.POOL_EXHAUSTED
    assert isinstance(late, Refused)
    assert "tokens" in late.hint
    assert "ncadm token list home" in late.hint
    assert got(house, holder) == [ADDRESS]
    house.check_addresses()


def test_without_the_token_it_is_given_out_as_any_other(house: House, home: str) -> None:
    """The control."""
    assert ADDRESS in got(house, *[come(house, home) for _ in range(5)])


def test_it_is_kept_over_a_restart(house: House, home: str) -> None:
    token = house.token(address=ADDRESS)
    house.reopen()
    others = [come(house, home) for _ in range(4)]
    house.reopen()

    assert got(house, *others) == OTHERS
    assert code(come(house, home)) == Code.POOL_EXHAUSTED
    assert got(house, come(house, home, token=token)) == [ADDRESS]
    house.check_addresses()


@pytest.mark.parametrize("end", ["expired", "revoked", "pruned"])
@pytest.mark.parametrize("restart", [False, True])
def test_it_is_free_again_when_the_token_is_worth_nothing(
    house: House, home: str, end: str, restart: bool
) -> None:
    token = house.token(address=ADDRESS, ttl=600)
    for _ in range(4):
        come(house, home)
    if end == "revoked":
        house.do("token.revoke", token=name(token))
    else:
        house.later(599)
        assert code(come(house, home)) == Code.POOL_EXHAUSTED
        house.later(1)
    if end == "pruned":
        house.do("token.prune", older=0)
    if restart:
        house.reopen()

    assert got(house, come(house, home)) == [ADDRESS]
    house.check_addresses()


def test_what_the_holder_got_and_gave_up_is_as_any_other(house: House, home: str) -> None:
    token = house.token(address=ADDRESS, ttl=WEEK)
    come(house, home, token=token, name="holder")
    house.do("member.forget", network="home", member="holder")
    for _ in range(4):
        come(house, home)
    assert code(come(house, home)) == Code.POOL_EXHAUSTED  # it rests
    house.later(86401)

    assert got(house, come(house, home)) == [ADDRESS]


def test_a_holder_who_waits_to_be_authorized_has_it_already(house: House, home: str) -> None:
    token = house.token(address=ADDRESS, ask=True)
    assert isinstance(house.admit(token, house.guest("asks")), Done)
    others = [come(house, home) for _ in range(4)]

    assert got(house, *others) == OTHERS
    assert code(come(house, home)) == Code.POOL_EXHAUSTED


def test_one_that_rests_is_promised_away_from_who_had_it(house: House, home: str) -> None:
    """It comes back to another; the token's holder has to wait for the rest to be over, no longer."""
    (had,) = got(house, house.join(guest := house.enrol(home), home))
    house.leave(guest, home)
    token = house.token(address=had, ttl=WEEK)
    back = house.join(guest, home)
    house.later(86401)
    house.enrol(home, name="another")

    assert got(house, back) != [had]
    assert got(house, come(house, home, token=token)) == [had]
    house.check_addresses()


def test_who_comes_back_has_what_it_had_when_no_token_names_it(house: House, home: str) -> None:
    """The control."""
    before = house.join(guest := house.enrol(home), home)
    house.leave(guest, home)

    assert got(house, house.join(guest, home)) == got(house, before)


def test_a_second_token_for_it_is_refused_while_the_first_lives(house: House, home: str) -> None:
    """One address is for one node: a second promise could not be kept."""
    key = "ab" * 32
    first = house.token(address=ADDRESS)
    refused = failed(house, "token.create", key=key, address=ADDRESS)
    same = house.do("token.create", network="home", key=first.hex(), address=ADDRESS)
    house.do("token.revoke", token=name(first))

    assert refused.code == 4
    assert refused.message.startswith(f"cannot assign {ADDRESS}: token {name(first)} promises it")
    assert f"ncadm token revoke {name(first)}" in refused.hint
    assert same[0]["token"] == name(first)
    assert house.do("token.create", network="home", key=key, address=ADDRESS)
    assert len(house.do("token.list", network="home", states=["live"])) == 1


def test_of_two_tokens_from_before_the_first_to_come_has_it(house: House, home: str) -> None:
    """It is kept for as long as one of them lives."""
    house.old_token(address=ADDRESS, expires_at=house.now_ms + 600_000)
    later = house.old_token(address=ADDRESS, expires_at=house.now_ms + 900_000)
    for _ in range(4):
        come(house, home)
    house.later(700)
    assert code(come(house, home)) == Code.POOL_EXHAUSTED

    assert got(house, come(house, home, token=later)) == [ADDRESS]


@pytest.mark.parametrize("verb", ["member.add", "member.set"])
def test_an_operator_gives_it_to_nobody_else_unless_the_token_is_revoked(
    house: House, home: str, verb: str
) -> None:
    token = house.token(address=ADDRESS)
    house.enrol(home, name="n1")
    wanted: dict[str, Any] = {"addresses": [ADDRESS]}
    wanted |= {"member": "n1"} if verb == "member.set" else {"key": "cd" * 32}
    refused = failed(house, verb, **wanted)
    house.do("token.revoke", token=name(token))

    assert refused.message.startswith(f"cannot assign {ADDRESS}: token {name(token)} promises it")
    assert f"ncadm token revoke {name(token)}" in refused.hint
    house.do(verb, network="home", **wanted)
    house.check_addresses()


@pytest.mark.parametrize("wrong", ["10.9.0.0", "10.9.0.1", "10.9.0.7", "10.8.0.1", "10.9.0.x"])
def test_what_no_holder_could_get_is_not_promised(house: House, home: str, wrong: str) -> None:
    """The range's own address, the management member's, the broadcast address, another range's."""
    assert failed(house, "token.create", key="ab" * 32, address=wrong).message.startswith("cannot ")
    assert house.count("join_token") == 0
    assert house.token(address=ADDRESS)


def test_a_rehearsed_token_promises_nothing(house: House, home: str) -> None:
    house.rehearse("token.create", network="home", key="ab" * 32, address=ADDRESS)

    assert ADDRESS in got(house, *[come(house, home) for _ in range(5)])


def test_a_holder_whose_admission_fails_is_promised_it_still(house: House, home: str) -> None:
    token = house.token(address=ADDRESS)
    house.registry.pending = replace(house.registry.pending, per_network=0)
    asks = house.token(address="10.9.0.5", ask=True)
    assert code(house.admit(asks, house.guest())) == Code.FULL
    others = [come(house, home) for _ in range(3)]

    assert got(house, *others) == ["10.9.0.2", "10.9.0.3", "10.9.0.6"]
    assert code(come(house, home)) == Code.POOL_EXHAUSTED
    assert got(house, come(house, home, token=token)) == [ADDRESS]


def test_the_holder_and_somebody_else_in_one_batch(house: House, home: str) -> None:
    holder, other, token = house.guest("holder"), house.guest("other"), house.token(address=ADDRESS)
    for _ in range(4):
        come(house, home)
    house.admit(house.token(), other)
    house.take(f"n:{other.key.hex()}", other.routing, house.joining(other, home))
    house.take(*house.admit_frame(token, holder))
    house.take(f"n:{holder.key.hex()}", holder.routing, house.joining(holder, home))
    house.work()
    answers = {to: reply for to, reply in house.sent if reply.id}

    assert code(answers[other.routing]) == Code.POOL_EXHAUSTED
    assert got(house, answers[holder.routing]) == [ADDRESS]
    house.check_addresses()


def test_ipv6_and_subnets_are_kept_as_well(house: House) -> None:
    network = house.network(ipv4="10.9.0.0/16", ipv6="fd00::/126", member_prefix=17)
    tokens = [house.token(address=address) for address in ("10.9.128.1", "fd00::3")]
    refused = come(house, network)
    house.do("token.revoke", token=name(tokens[0]))
    other = come(house, network)

    assert code(refused) == Code.POOL_EXHAUSTED
    assert got(house, other) == ["10.9.128.1", "fd00::2"]


def test_other_ranges_keep_it_too(house: House, home: str) -> None:
    """Memory is built anew when ranges change."""
    token = house.token(address=ADDRESS)
    house.do("pool.add", network="home", range="10.10.0.0/30")
    others = [come(house, home) for _ in range(5)]

    assert got(house, *others) == sorted([*OTHERS, "10.10.0.2"])
    assert got(house, come(house, home, token=token)) == [ADDRESS]


def test_usage_shows_it_neither_used_nor_free(house: House, home: str) -> None:
    token = house.token(address=ADDRESS)
    house.enrol(home)
    (item,) = house.do("pool.usage", network="home")
    come(house, home, token=token)
    (later,) = house.do("pool.usage", network="home")

    counts = ("size", "used", "resting", "promised", "free")
    assert [item[name] for name in counts] == [5, 1, 0, 1, 3]
    assert [later[name] for name in counts] == [5, 2, 0, 0, 3]


def test_a_join_reads_no_token_for_it(house: House, home: str) -> None:
    house.token(address=ADDRESS)
    guest, late = house.guest(), house.guest()
    for one in (guest, late):
        house.admit(house.token(), one)
    said: list[str] = []
    raw: Any = house.registry.connection.connection.dbapi_connection
    raw.set_trace_callback(said.append)
    assert isinstance(house.join(guest, home), Joined)
    raw.set_trace_callback(None)

    assert any("assignment" in statement for statement in said)
    assert not any("join_token" in statement for statement in said)


def test_a_deleted_network_promises_nothing(house: House, home: str) -> None:
    house.token(address=ADDRESS)
    house.do("network.delete", network="home")

    assert list(house.registry.book.promises.of(1)) == []


# the memory of it


def token(number: int, until: int, address: str = ADDRESS, **more: Any) -> Token:
    key = bytes([number]) * 32
    return replace(Token(key, 1, 1, 1, 0, until, address, False, "", "local"), **more)


def test_promises_last_until_the_last_token_ends_and_leave_nothing_behind() -> None:
    promises, place = Promises(), sixteen(ip_address(ADDRESS))

    assert promises.take(token(1, 100), 0) == 100
    assert promises.take(token(2, 200), 0) == 200
    assert promises.take(token(1, 100), 0) == 200
    assert promises.tokens(1, place, 99) == {b"\1" * 32: 100, b"\2" * 32: 200}
    assert promises.tokens(1, place, 100) == {b"\2" * 32: 200}
    assert promises.take(token(2, 200, uses_left=0), 0) == 100
    assert promises.take(token(1, 100, revoked_at=50), 50) == 0
    assert promises.tokens(1, place, 0) == {}
    assert promises.take(token(3, 300, "10.9.0.5"), 0) == 300
    assert list(promises.of(1)) == [(int.from_bytes(sixteen(ip_address("10.9.0.5"))), 300)]
    assert promises.take(token(4, 900, "10.9.0.6"), 300) == 900
    assert [until for _, until in promises.of(1)] == [900]
    promises.forget(1)
    assert list(promises.of(1)) == []
