"""What is refused changes nothing: neither what the batch will write, nor which addresses are free."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select
from sqlmodel import SQLModel

from controller.config import PendingConfig
from controller.front.handlers import handle
from controller.front.request import Request, payer, read_request
from controller.members.membership import JoinedLater
from controller.members.minting import LIVE_MAX
from controller.store.model import MEMBER
from controller.store.work import Work
from protocol.keys import new_curve_pair
from protocol.messages import (
    WIRE_VERSION,
    Code,
    Done,
    Hello,
    Join,
    Joined,
    Leave,
    Mint,
    Minted,
    Refresh,
    Refused,
    Rotate,
    Welcome,
    encode,
)
from tests.controller.house import DAY_MS, Frame, Guest, House

IPV4, IPV6 = "10.9.0.0/28", "fd00::/124"  # small: each address of them is looked at


@dataclass
class Asked:
    """A frame, and from whose connection."""

    user: str
    message: Any

    def request(self) -> Request:
        frame = Frame(encode(self.message), self.user)
        return read_request(b"asker", self.user, payer(b"asker", self.user), frame)


def by(guest: Guest, message: Any) -> Asked:
    return Asked(f"n:{guest.key.hex()}", message)


def new_key() -> bytes:
    return bytes(new_curve_pair()[0])


def home(house: House, **more: Any) -> str:
    return house.network(**{"ipv4": IPV4, "ipv6": IPV6} | more)


def admitted(house: House, name: str = "n1", **token: Any) -> Guest:
    """Let in, not joined."""
    guest = house.guest(name)
    assert isinstance(house.admit(house.token(**token), guest), Done)
    return guest


def stranger(house: House) -> tuple[Guest, str]:
    """A member elsewhere, and a public network that it may walk into."""
    house.network("elsewhere", "10.8.0.0/28")
    network = home(house)
    house.do("network.set", network="home", private=False)
    return admitted(house, "n2", network="elsewhere"), network


def admission(house: House, token: bytes, guest: Guest | None = None) -> Asked:
    user, _, message = house.admit_frame(token, guest or house.guest("late"))
    return Asked(user, message)


def refreshing(house: House, guest: Guest, network: str, **more: Any) -> Refresh:
    """From somebody who holds all that there is."""
    fields: dict[str, Any] = {"families": guest.families, "endpoints": guest.endpoints}
    number = house.registry.number_of(network)
    epoch = house.registry.networks[number].epoch if number else 1
    fields |= {"serial": 1, "incarnation": house.registry.incarnation, "epoch": epoch} | more
    return Refresh(
        id=house.number(),
        network=network,
        wireguard=guest.wireguard,
        listen_port=51820,
        revision=0,
        **fields,
    )


# the ways to be refused: what is asked, and the code


def admit_by_no_token(house: House) -> Asked:
    home(house)
    return admission(house, new_key())


def admit_by_a_revoked_token(house: House) -> Asked:
    home(house)
    token = house.token()
    house.do("token.revoke", token=token[:6].hex())
    return admission(house, token)


def admit_by_an_expired_token(house: House) -> Asked:
    home(house)
    token = house.token(ttl=60)
    house.later(60)
    return admission(house, token)


def admit_by_a_used_token(house: House) -> Asked:
    home(house)
    token = house.token()
    house.admit(token, house.guest())
    return admission(house, token)


def admit_a_banned_node(house: House) -> Asked:
    home(house)
    guest = admitted(house)
    house.do("member.ban", network="home", member="n1")
    return admission(house, house.token(), guest)


def admit_by_a_token_whose_maker_lost_the_role(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network, house.token(roles=["mint"]))
    key = new_key()
    house.ask(guest, Mint(house.number(), network, key, 1, 60_000))
    house.do("member.set", network="home", member="n1", roles=[])
    return admission(house, key)


def admit_to_an_address_that_is_taken(house: House) -> Asked:
    taken = house.addresses(house.join(house.enrol(network := home(house)), network))[0]
    return admission(house, house.old_token(address=taken.partition("/")[0]))


def admit_to_an_address_that_rests(house: House) -> Asked:
    network = home(house)
    (taken, _) = house.addresses(house.join(house.enrol(network), network))
    house.do("member.forget", network="home", member="n1")
    return admission(house, house.token(address=taken.partition("/")[0]))


def admit_to_an_address_in_no_range(house: House) -> Asked:
    home(house)
    return admission(house, house.old_token(address="10.77.0.9"))


def admit_to_a_seat_that_is_taken(house: House) -> Asked:
    house.enrol(home(house), house.token(roles=["management"]))
    return admission(house, house.token(roles=["management"], address="10.9.0.7", ask=True))


def full_door(house: House, **limits: int) -> Asked:
    home(house)
    house.registry.pending = replace(PendingConfig(), **limits)
    admitted(house, ask=True)
    return admission(house, house.token(roles=["management"], address="10.9.0.7", ask=True))


def admit_to_a_full_door(house: House) -> Asked:
    return full_door(house, per_network=1)


def admit_to_a_full_house(house: House) -> Asked:
    return full_door(house, in_all=1)


def greeting(house: House, guest: Guest, version: int = WIRE_VERSION) -> Hello:
    return Hello(house.number(), version, "another name", "0.2.0", "linux", 7, 0)


def hello_of_another_version(house: House) -> Asked:
    home(house)
    guest = admitted(house)
    return by(guest, greeting(house, guest, 2))


def hello_of_nobody(house: House) -> Asked:
    home(house)
    return by(guest := house.guest(), greeting(house, guest))


def hello_of_a_banned_node(house: House) -> Asked:
    home(house)
    guest = admitted(house)
    house.do("member.ban", network="home", member="n1")
    return by(guest, greeting(house, guest))


def hello_by_the_next_key_of_a_banned_node(house: House) -> Asked:
    home(house)
    guest = admitted(house)
    key = new_key()
    assert isinstance(house.ask(guest, Rotate(house.number(), key)), Done)
    house.do("member.ban", network="home", member="n1")
    return Asked(f"n:{key.hex()}", greeting(house, guest))


def join_no_network(house: House) -> Asked:
    network = home(house)
    guest = admitted(house)
    return by(guest, house.joining(guest, network[:10] + "ffffff"))


def join_a_private_network(house: House) -> Asked:
    guest, network = stranger(house)
    house.do("network.set", network="home", private=True)
    return by(guest, house.joining(guest, network))


def join_of_a_forgotten_node(house: House) -> Asked:
    network = home(house)
    guest = admitted(house)
    house.do("member.forget", network="home", member="n1")
    return by(guest, house.joining(guest, network))


def join_of_a_banned_node(house: House) -> Asked:
    network = home(house)
    guest = admitted(house)
    house.do("member.ban", network="home", member="n1")
    return by(guest, house.joining(guest, network))


def walk_in_with_a_bad_endpoint(house: House) -> Asked:
    guest, network = stranger(house)
    return by(guest, replace(house.joining(guest, network), endpoints=("example.org:5",)))


def walk_in_with_a_bad_family(house: House) -> Asked:
    guest, network = stranger(house)
    return by(guest, replace(house.joining(guest, network), families=(5,)))


def walk_into_a_full_mesh(house: House) -> Asked:
    guest, network = stranger(house)
    house.do("network.set", network="home", mesh_max=2)
    for name in ("a", "b"):
        house.enrol(network, house.token(), name=name)
    return by(guest, house.joining(guest, network))


def refresh_into_a_full_mesh(house: House) -> Asked:
    asked = walk_into_a_full_mesh(house)
    message: Join = asked.message
    guest = Guest(bytes.fromhex(asked.user[2:]), message.wireguard, b"")
    return by(guest, refreshing(house, guest, message.network))


def walk_into_a_full_pool(house: House) -> Asked:
    guest, network = stranger(house)
    for number in range(13):
        house.enrol(network, house.token(), name=f"a{number}")
    return by(guest, house.joining(guest, network))


def join_a_full_mesh(house: House) -> Asked:
    network = home(house)
    guest = admitted(house)
    house.do("network.set", network="home", mesh_max=2)
    for name in ("a", "b"):
        house.enrol(network, name=name)
    return by(guest, house.joining(guest, network))


def come_back_when_one_family_is_full(house: House) -> Asked:
    """What it had in the other one would be its own again."""
    network = home(house, ipv6="fd00::/126")  # two
    guest = house.enrol(network)
    house.leave(guest, network)
    house.later(DAY_MS / 1000 + 1)
    for name in ("a", "b"):
        house.enrol(network, name=name)
    return by(guest, house.joining(guest, network))


def come_when_one_family_is_full_and_one_has_an_idle_holder(house: House) -> Asked:
    """Who would have to give way does not."""
    network = home(house, ipv6="fd00::/126")  # two
    house.do("pool.set", network="home", range=IPV4, last="10.9.0.3")
    idle = house.enrol(network, name="idle")
    (_, kept) = house.addresses(house.join(idle, network))
    house.do("member.set", network="home", member="idle", addresses=[kept.partition("/")[0]])
    house.do("member.add", network="home", key="ab" * 32, name="b")
    house.sessions.end(idle.key)
    house.keep_seen()
    house.later(31 * DAY_MS / 1000)
    guest = admitted(house, "late")
    return by(guest, house.joining(guest, network))


def refresh_after_leaving(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network)
    house.leave(guest, network)
    return by(guest, refreshing(house, guest, network))


def refresh_with_a_bad_family(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network)
    return by(guest, refreshing(house, guest, network, families=(5,)))


def refresh_with_a_bad_endpoint(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network)
    return by(guest, refreshing(house, guest, network, endpoints=("example.org:5",)))


def refresh_no_network(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network)
    return by(guest, refreshing(house, guest, network[:10] + "ffffff"))


def leave_no_network(house: House) -> Asked:
    network = home(house)
    return by(admitted(house), Leave(house.number(), network[:10] + "ffffff"))


def leave_where_one_never_was(house: House) -> Asked:
    guest, network = stranger(house)
    return by(guest, Leave(house.number(), network))


def mint_without_the_role(house: House) -> Asked:
    network = home(house)
    return by(house.enrol(network), Mint(house.number(), network, new_key(), 1, 60_000))


def mint_with_the_key_of_another_token(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network, house.token(roles=["mint"]))
    return by(guest, Mint(house.number(), network, house.token(), 1, 60_000))


def mint_too_many(house: House) -> Asked:
    network = home(house)
    guest = house.enrol(network, house.token(roles=["mint"]))
    (member,) = house.do("member.list", network="home")
    for _ in range(LIVE_MAX):
        house.old_token(created_by=f"node {member['address']}")
    return by(guest, Mint(house.number(), network, new_key(), 1, 60_000))


def rotate_to_the_key_of_a_node(house: House) -> Asked:
    home(house)
    return by(admitted(house), Rotate(house.number(), admitted(house, "n2").key))


def rotate_to_the_key_of_a_token(house: House) -> Asked:
    home(house)
    return by(admitted(house), Rotate(house.number(), house.token()))


def rotate_to_what_another_has_named(house: House) -> Asked:
    home(house)
    key = new_key()
    house.ask(admitted(house, "n2"), Rotate(house.number(), key))
    return by(admitted(house), Rotate(house.number(), key))


WAYS: dict[Callable[[House], Asked], str] = {
    admit_by_no_token: Code.DENIED,
    admit_by_a_revoked_token: Code.DENIED,
    admit_by_an_expired_token: Code.TOKEN_EXPIRED,
    admit_by_a_used_token: Code.TOKEN_USED_UP,
    admit_a_banned_node: Code.BANNED,
    admit_by_a_token_whose_maker_lost_the_role: Code.DENIED,
    admit_to_an_address_that_is_taken: Code.CONFLICT,
    admit_to_an_address_that_rests: Code.CONFLICT,
    admit_to_an_address_in_no_range: Code.CONFLICT,
    admit_to_a_seat_that_is_taken: Code.CONFLICT,
    admit_to_a_full_door: Code.FULL,
    admit_to_a_full_house: Code.FULL,
    hello_of_another_version: Code.BAD_REQUEST,
    hello_of_nobody: Code.DENIED,
    hello_of_a_banned_node: Code.BANNED,
    hello_by_the_next_key_of_a_banned_node: Code.BANNED,
    join_no_network: Code.NOT_FOUND,
    join_a_private_network: Code.NOT_FOUND,
    join_of_a_forgotten_node: Code.DENIED,
    join_of_a_banned_node: Code.BANNED,
    walk_in_with_a_bad_endpoint: Code.BAD_REQUEST,
    walk_in_with_a_bad_family: Code.BAD_REQUEST,
    walk_into_a_full_mesh: Code.MESH_FULL,
    refresh_into_a_full_mesh: Code.MESH_FULL,
    walk_into_a_full_pool: Code.POOL_EXHAUSTED,
    join_a_full_mesh: Code.MESH_FULL,
    come_back_when_one_family_is_full: Code.POOL_EXHAUSTED,
    come_when_one_family_is_full_and_one_has_an_idle_holder: Code.POOL_EXHAUSTED,
    refresh_after_leaving: Code.NOT_FOUND,
    refresh_with_a_bad_family: Code.BAD_REQUEST,
    refresh_with_a_bad_endpoint: Code.BAD_REQUEST,
    refresh_no_network: Code.NOT_FOUND,
    leave_no_network: Code.NOT_FOUND,
    leave_where_one_never_was: Code.NOT_FOUND,
    mint_without_the_role: Code.DENIED,
    mint_with_the_key_of_another_token: Code.CONFLICT,
    mint_too_many: Code.POOL_EXHAUSTED,
    rotate_to_the_key_of_a_node: Code.CONFLICT,
    rotate_to_the_key_of_a_token: Code.CONFLICT,
    rotate_to_what_another_has_named: Code.CONFLICT,
}


# what may not change


def fingerprint(house: House, work: Work) -> dict[str, Any]:
    """All that this batch would write, and what memory says of free addresses."""
    shelves = (work.pools, work.nodes, work.members, work.assignments, work.tokens, work.floors)
    raw: Any = work.connection.connection.dbapi_connection
    return {
        "rows": [{k: s.rows[k] for k in (*s._fresh, *s._dirty)} for s in shelves],
        "networks": dict(work.changed_networks),
        "touched": {number: list(nodes) for number, nodes in work.touched.items()},
        "restated": set(work.restated),
        "notes": list(work.audit),
        "renamed": dict(work.renamed),
        "dismissed": dict(work.dismissed),
        "waiting": dict(waiting(work) if work.waiting is None else work.waiting),
        "statements": raw.total_changes,
        "numbering": (house.registry.numbering._nodes, house.registry.numbering._last),
        "spaces": [
            space for number in house.registry.networks for space in spaces(house, work, number)
        ],
    }


def waiting(work: Work) -> dict[int, int]:
    query = select(MEMBER.c.network, func.count()).where(
        MEMBER.c.state == "pending", MEMBER.c.removed_at == 0
    )
    return {row[0]: row[1] for row in work.connection.execute(query.group_by(MEMBER.c.network))}


def spaces(house: House, work: Work, number: int) -> list[tuple[Any, ...]]:
    found = []
    for place in house.registry.book.places(work, house.registry.networks[number]):
        space, shape = place.space, place.space.shape
        space.wake_all(work.now_ms)
        every = range(shape.first, shape.first + shape.step * shape.size, shape.step)
        taken = [address for address in every if address in space]
        found.append((taken, space.taken, space.free, space.resting, space.wakes_at()))
    return found


def stored(house: House) -> dict[str, list[Any]]:
    connection = house.registry.connection
    with connection.begin():
        return {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in SQLModel.metadata.sorted_tables
        }


def batch(house: House) -> Work:
    """One in which somebody else was let in and has joined."""
    companion, network = house.guest("companion"), house.network("companions", "10.7.0.0/28")
    token = house.token("companions")
    work = house.registry.batch(house.now_ms)
    for asked in (
        admission(house, token, companion),
        by(companion, house.joining(companion, network)),
    ):
        assert isinstance(handle(house.registry, work, asked.request()), Done | JoinedLater)
    return work


def end(house: House) -> None:
    house.registry.connection.rollback()
    house.registry.distrust()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_refusal_changes_nothing(house: House, way: Callable[[House], Asked]) -> None:
    asked = way(house)
    work = batch(house)
    before = fingerprint(house, work)
    refused = handle(house.registry, work, asked.request())
    after = fingerprint(house, work)
    end(house)

    assert isinstance(refused, Refused), refused
    assert refused.code == WAYS[way]
    assert after == before


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_of_a_refusal_is_written(house: House, way: Callable[[House], Asked]) -> None:
    asked = way(house)
    before = stored(house)
    refused = house.tell(asked.user, b"asker", asked.message)

    assert isinstance(refused, Refused), refused
    assert stored(house) == before
    house.check_addresses()


def test_what_is_granted_shows(house: House) -> None:
    """The control: each kind of message changes what is looked at."""
    guest, network = stranger(house)
    keys = [new_key(), new_key()]
    asking = house.token(ask=True, address="10.9.0.7")
    minter = house.enrol(network, house.token(roles=["mint"]), name="minter")
    pairs: list[tuple[Asked, type[Any]]] = [
        (admission(house, house.token()), Done),
        (admission(house, asking, guest), Done),
        (by(minter, greeting(house, minter)), Welcome),
        (by(minter, Mint(house.number(), network, keys[0], 1, 60_000)), Minted),
        (by(minter, refreshing(house, minter, network, families=(4, 6))), JoinedLater),
        (by(minter, Rotate(house.number(), keys[1])), Done),
        (Asked(f"n:{keys[1].hex()}", greeting(house, minter)), Welcome),
    ]
    work = batch(house)
    prints = [fingerprint(house, work)]
    for asked, kind in pairs:
        assert isinstance(handle(house.registry, work, asked.request()), kind)
        prints.append(fingerprint(house, work))
    end(house)

    assert all(one != other for one, other in pairwise(prints))


@pytest.mark.parametrize("verb", ["join", "leave"])
def test_who_walks_in_and_who_leaves_shows(house: House, verb: str) -> None:
    guest, network = stranger(house)
    message: Any = house.joining(guest, network)
    if verb == "leave":
        assert isinstance(house.ask(guest, message), Joined)
        message = Leave(house.number(), network)
    work = batch(house)
    before = fingerprint(house, work)
    assert isinstance(
        handle(house.registry, work, by(guest, message).request()), Done | JoinedLater
    )
    after = fingerprint(house, work)
    end(house)

    changed = {name for name in before if before[name] != after[name]}
    assert {"rows", "touched", "notes", "spaces"} <= changed
