"""What a token says, who makes one, when it is over."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection

from controller.front.rates import BURST, COSTS
from controller.front.zap import user_id
from controller.members.minting import LIVE_MAX
from controller.store.database import open_reader
from protocol.admin import Failed, Result
from protocol.keys import new_curve_pair
from protocol.messages import (
    MINT_TTL_MAX,
    MINT_USES_MAX,
    Code,
    Done,
    MessageError,
    Mint,
    Minted,
    Refused,
    Reply,
    decode_node_request,
    encode,
)
from runtime.failure import Exit
from tests.controller.house import DAY_MS, ENDPOINT, Guest, House

HOUR_MS = 3_600_000


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    assert reply.message.startswith("cannot ")
    return reply.code


def name(token: bytes) -> str:
    return token[:6].hex()


def states(house: House) -> dict[str, str]:
    return {item["token"]: item["state"] for item in house.do("token.list")}


def may_connect(house: House, key: bytes) -> bool:
    reader: Connection = open_reader(house.config.database)
    try:
        return bool(user_id(reader, key, house.now_ms))
    finally:
        reader.close()


def mint(house: House, guest: Guest, network: str, **more: int) -> tuple[bytes, Reply]:
    """The public half, and the answer."""
    key = bytes(new_curve_pair()[0])
    wanted = {"uses": 1, "ttl_ms": HOUR_MS} | more
    return key, house.ask(guest, Mint(house.number(), network, key, **wanted))


@pytest.fixture
def minter(house: House) -> tuple[Guest, str]:
    network = house.network()
    return house.enrol(network, house.token(roles=["mint"])), network


# what it says


def test_show_tells_all_that_a_token_carries(house: House) -> None:
    """J8: roles, fixed address, uses, end and purpose of a token can be looked up."""
    house.network()
    token = house.token(
        uses=1,
        ttl=3600,
        roles=["mint", "hub"],
        address="10.9.7.7",
        ask=True,
        desc="berlin\x1b[2J rack 7",
    )
    shown = house.do("token.show", token=name(token))[0]

    assert shown == house.do("token.list")[0]
    assert shown["roles"] == ["hub", "mint"]
    assert (shown["address"], shown["ask"], shown["desc"]) == ("10.9.7.7", True, "berlin[2J rack 7")
    assert (shown["uses"], shown["uses_left"], shown["state"]) == (1, 1, "live")
    assert shown["created_by"] == "local"
    assert shown["expires"] > shown["created"]
    assert token.hex() not in str(shown)


def test_a_token_is_for_one_node_and_ten_minutes_unless_it_says_more(house: House) -> None:
    house.network()
    token = house.token()
    row = house.registry.work(0).token(token)
    house.registry.connection.rollback()

    assert row is not None
    assert (row.uses, row.expires_at - row.created_at) == (1, 600_000)


# when it is over


def test_uses_and_end_hold_at_use_though_nobody_sweeps(house: House) -> None:
    """J2: with the clock past its end, and with its uses gone, no node gets in by it."""
    house.network()
    token, short = house.token(uses=2, ttl=3600), house.token(uses=2, ttl=60)
    assert isinstance(house.admit(token, house.guest()), Done)
    assert isinstance(house.admit(short, house.guest()), Done)
    house.later(60)
    assert code(house.admit(short, house.guest())) == Code.TOKEN_EXPIRED
    assert not may_connect(house, short)
    assert may_connect(house, token)
    assert isinstance(house.admit(token, house.guest()), Done)
    assert code(house.admit(token, house.guest())) == Code.TOKEN_USED_UP
    assert not may_connect(house, token)

    assert states(house) == {name(token): "used up", name(short): "expired"}
    assert house.count("join_token") == 2


def test_a_revoked_token_stays_in_the_list_and_is_worth_nothing(house: House) -> None:
    house.network()
    token, guest = house.token(uses=5), house.guest()
    house.admit(token, guest)
    assert may_connect(house, token)
    revoked = house.do("token.revoke", token=name(token))
    again = house.do("token.revoke", token=name(token))

    assert revoked == again == house.do("token.list")
    assert (revoked[0]["state"], revoked[0]["uses_left"]) == ("revoked", 4)
    assert not may_connect(house, token)
    assert code(house.admit(token, house.guest())) == Code.DENIED
    assert code(house.admit(token, guest)) == Code.DENIED  # on a line that was open before
    notes = [n for n in house.notes() if n.action == "token.revoke"]
    assert len(notes) == 1


def test_pruning_takes_what_was_dead_for_a_day_and_nothing_else(house: House) -> None:
    house.network()
    used, expired, revoked = house.token(), house.token(ttl=60), house.token()
    live, fresh = house.token(uses=2, ttl=30 * 86400), house.token(ttl=3 * 86400)
    house.admit(used, house.guest())
    house.do("token.revoke", token=name(revoked))
    assert house.do("token.prune") == [{"pruned": 0}]
    house.later(86_400 + 61)
    house.do("token.revoke", token=name(fresh))
    before = house.count("audit")
    assert house.do("token.prune") == [{"pruned": 3}]
    assert states(house) == {name(live): "live", name(fresh): "revoked"}
    assert house.count("audit") == before + 1
    assert house.do("token.prune", older=0) == [{"pruned": 1}]
    assert states(house) == {name(live): "live"}

    assert expired not in (used, revoked)
    assert code(house.admit(used, house.guest())) == Code.DENIED


def test_a_mistyped_token_is_not_found_and_a_near_one_is_named(house: House) -> None:
    house.network()
    token = house.token()
    wrong = name(token)[:-1] + ("0" if name(token)[-1] != "0" else "1")
    for verb in ("token.show", "token.revoke"):
        reply = house.call(verb, token=wrong)
        assert isinstance(reply, Failed)
        assert (reply.code, reply.hint) == (Exit.NOT_FOUND, f"did you mean {name(token)!r}?")

    assert states(house) == {name(token): "live"}


# made by members


def test_a_member_with_the_role_mints_a_token_that_admits(
    house: House, minter: tuple[Guest, str]
) -> None:
    guest, network = minter
    token, reply = mint(house, guest, network, uses=2)
    newcomer = house.enrol(network, token, name="n2")

    assert isinstance(reply, Minted)
    curve = bytes(house.registry.keyring.curve_public)
    assert reply.controllers == ((ENDPOINT, curve),)
    assert reply.expires_ms == house.now_ms + HOUR_MS
    shown = house.do("token.show", token=name(token))[0]
    node = house.do("member.show", network="home", member="n1")[0]["address"]
    assert (shown["created_by"], shown["uses_left"]) == (f"node {node}", 1)
    assert (shown["roles"], shown["address"]) == ([], "")
    assert house.membership(house.join(newcomer, network)).roles == ()
    note = next(n for n in house.notes() if n.action == "token.create" and "node" in n.actor)
    assert (note.actor, note.object) == (f"node {node}", network)
    assert name(token) in note.detail


def test_who_has_not_the_role_mints_nothing(house: House, minter: tuple[Guest, str]) -> None:
    guest, network = minter
    plain = house.enrol(network, name="plain")
    other = house.network("other", ipv4="10.10.0.0/16")
    for who, where in ((plain, network), (guest, other), (guest, "00" * 8)):
        assert code(mint(house, who, where)[1]) == Code.DENIED
    stranger = house.guest()
    assert code(mint(house, stranger, network)[1]) == Code.DENIED
    house.do("member.set", network="home", member="plain", roles=["mint"])

    assert isinstance(mint(house, plain, network)[1], Minted)
    assert len(house.do("token.list", network="other")) == 0


@pytest.mark.parametrize("how", ["ban", "deauthorize", "forget", "role"])
def test_tokens_of_a_member_that_may_mint_no_more_admit_nobody(
    house: House, minter: tuple[Guest, str], how: str
) -> None:
    guest, network = minter
    token, _ = mint(house, guest, network, uses=9)
    assert isinstance(house.admit(token, house.guest("n2")), Done)
    if how == "role":
        house.do("member.set", network="home", member="n1", roles=[])
    else:
        house.do(f"member.{how}", network="home", member="n1")

    assert code(house.admit(token, house.guest())) == Code.DENIED
    assert code(mint(house, guest, network)[1]) in (Code.DENIED, Code.BANNED)


@pytest.mark.parametrize(
    "wrong", [{"uses": 0}, {"uses": MINT_USES_MAX + 1}, {"ttl_ms": 0}, {"ttl_ms": MINT_TTL_MAX + 1}]
)
def test_what_a_member_mints_is_bounded(wrong: dict[str, int]) -> None:
    most = Mint(1, "ab" * 8, b"k" * 32, MINT_USES_MAX, MINT_TTL_MAX)
    assert decode_node_request(encode(most)) == most
    assert MINT_TTL_MAX == DAY_MS

    with pytest.raises(MessageError):
        decode_node_request(encode(msgspec.structs.replace(most, **wrong)))


def test_the_same_token_minted_again_is_one_and_anothers_is_refused(
    house: House, minter: tuple[Guest, str]
) -> None:
    guest, network = minter
    rival = house.enrol(network, house.token(roles=["mint"]), name="rival")
    taken = house.token()
    before = house.count("join_token")
    message = Mint(house.number(), network, b"k" * 32, 3, HOUR_MS)
    first, again = house.ask(guest, message), house.ask(guest, message)

    assert first == again
    assert house.count("join_token") == before + 1
    assert code(house.ask(rival, message)) == Code.CONFLICT
    theirs = msgspec.structs.replace(message, token=taken)
    assert code(house.ask(guest, theirs)) == Code.CONFLICT


def test_a_member_has_so_many_live_tokens_and_not_more(
    house: House, minter: tuple[Guest, str]
) -> None:
    guest, network = minter
    for _ in range(LIVE_MAX):
        house.later(COSTS["mint"])
        assert isinstance(mint(house, guest, network, ttl_ms=MINT_TTL_MAX)[1], Minted)
    house.later(COSTS["mint"])
    assert code(mint(house, guest, network)[1]) == Code.POOL_EXHAUSTED
    newest = house.do("token.list")[-1]["token"]
    house.do("token.revoke", token=newest)

    assert isinstance(mint(house, guest, network)[1], Minted)


def test_who_mints_too_fast_is_told_to_come_later(house: House, minter: tuple[Guest, str]) -> None:
    guest, network = minter
    answers = [mint(house, guest, network)[1] for _ in range(20)]
    busy = [reply for reply in answers if isinstance(reply, Refused)]

    assert {reply.code for reply in busy} == {Code.BUSY}
    assert len(answers) - len(busy) <= BURST / COSTS["mint"]
    house.later(60)
    assert isinstance(mint(house, guest, network)[1], Minted)


# the list


def listed(house: House, **wanted: Any) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    after = ""
    while True:
        reply = house.call("token.list", **wanted, after=after)
        assert isinstance(reply, Result), reply
        found += [item["token"] for item in reply.items]
        after = reply.next
        if not after:
            return found


def test_the_list_comes_in_pages_and_can_be_filtered(
    house: House, minter: tuple[Guest, str]
) -> None:
    guest, network = minter
    house.network("other", ipv4="10.10.0.0/16")
    first = listed(house)
    expired, live, revoked, other = (
        house.token(ttl=1),
        house.token(uses=3),
        house.token(),
        house.token("other"),
    )
    house.later(2)
    minted, _ = mint(house, guest, network)
    house.do("token.revoke", token=name(revoked))
    every = [*first, *map(name, (expired, live, revoked, other, minted))]

    assert listed(house) == listed(house, limit=2) == every
    assert listed(house, network="other") == [name(other)]
    assert listed(house, by="node *", limit=1) == [name(minted)]
    assert listed(house, states=["used up"]) == first
    assert listed(house, states=["expired", "revoked"]) == [name(expired), name(revoked)]
    assert listed(house, states=["live"], limit=1) == [name(live), name(other), name(minted)]
    assert isinstance(house.call("token.list", after="x"), Failed)


def test_a_token_that_was_made_otherwise_is_not_made_again(house: House) -> None:
    house.network()
    house.network("other", ipv4="10.10.0.0/16")
    made = {"network": "home", "key": "ab" * 32, "uses": 3}
    first = house.do("token.create", **made)
    house.later(10)

    assert house.do("token.create", **made) == first
    for other in ({"network": "other"}, {"uses": 4}, {"roles": ["hub"]}, {"ask": True}):
        refused = house.call("token.create", **(made | other))
        assert isinstance(refused, Failed)
        assert refused.code == Exit.CONFLICT
