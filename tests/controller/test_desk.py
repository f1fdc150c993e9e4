"""A batch is one transaction; what goes wrong costs only the message that did it."""

from ipaddress import ip_address

import pytest
from sqlalchemy.exc import OperationalError

from controller.front import desk as module
from controller.front.desk import WAITING_MAX
from controller.front.rates import BURST, COSTS, DEBT
from controller.members import membership
from controller.store.records import sixteen
from protocol.messages import (
    WIRE_VERSION,
    Admit,
    Code,
    Done,
    Hello,
    Join,
    Joined,
    Leave,
    Ping,
    Pong,
    Refused,
    Welcome,
    encode,
)
from runtime.failure import CannotError
from tests.controller.house import Frame, Guest, House


def code(reply: object) -> str:
    assert isinstance(reply, Refused), reply
    return reply.code


def admit_frame(house: House, token: bytes, guest: Guest) -> tuple[str, bytes, Admit]:
    message = Admit(house.number(), guest.key, guest.name, "0.1.0", "linux")
    return f"t:{token.hex()}", b"token" + guest.routing, message


def test_sixty_four_uses_of_a_single_use_token_in_one_batch_admit_one_node(house: House) -> None:
    house.network()
    token = house.token()
    for _ in range(64):
        house.take(*admit_frame(house, token, house.guest()))
    house.work()
    replies = [reply for _, reply in house.sent]

    assert sum(isinstance(r, Done) for r in replies) == 1
    assert [code(r) for r in replies if not isinstance(r, Done)] == [Code.TOKEN_USED_UP] * 63
    assert house.count("node") == house.count("member") == 1


def test_fifty_joins_in_one_batch_get_fifty_addresses_and_one_push(house: House) -> None:
    network = house.network(ipv6="fd00::/64")
    watcher = house.enrol(network)
    token = house.token(uses=50)
    guests = [house.guest(f"n{i}") for i in range(50)]
    for guest in guests:
        house.admit(token, guest)
        house.hello(guest)
    house.pushed(watcher)
    house.later(1)
    house.sent.clear()
    for guest in guests:
        user = f"n:{guest.key.hex()}"
        join = Join(house.number(), network, guest.wireguard, (), (4,), 51820)
        house.take(user, guest.routing, join)
    house.work()
    joined = [reply for _, reply in house.sent if isinstance(reply, Joined)]
    addresses = [address for reply in joined for address in house.addresses(reply)]

    assert len(joined) == 50
    assert len(set(addresses)) == 100
    pushes = house.pushed_rows(watcher)
    assert [len(rows.rows) for rows in pushes] == [50]


def test_a_message_that_clashes_costs_only_itself(house: House) -> None:
    network = house.network()
    guests = [house.guest(f"n{i}") for i in range(4)]
    token = house.token(uses=4)
    for guest in guests:
        house.admit(token, guest)
        house.hello(guest)
    guests[2].wireguard = guests[0].wireguard
    house.sent.clear()
    for guest in guests:
        user = f"n:{guest.key.hex()}"
        join = Join(house.number(), network, guest.wireguard, (), (4,), 51820)
        house.take(user, guest.routing, join)
    house.work()
    answers = {routing: reply for routing, reply in house.sent if reply.id}

    assert [type(answers[g.routing]).__name__ for g in guests] == [
        "Joined",
        "Joined",
        "Refused",
        "Joined",
    ]
    assert house.count("assignment") == 3
    house.check_addresses()


def test_a_message_that_hits_a_bug_costs_only_itself(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = house.network()
    good, bad = house.enrol(network), house.enrol(network, name="n2")
    real = membership.leave

    def buggy(registry: object, work: object, key: bytes, message: Leave) -> Done:
        if key == bad.key:
            raise ZeroDivisionError
        return real(registry, work, key, message)  # type: ignore[arg-type]

    monkeypatch.setattr(membership, "leave", buggy)
    house.sent.clear()
    for guest in (good, bad):
        house.take(f"n:{guest.key.hex()}", guest.routing, Leave(house.number(), network))
    house.work()
    answers = {routing: reply for routing, reply in house.sent if reply.id}

    assert isinstance(answers[good.routing], Done)
    assert code(answers[bad.routing]) == Code.INTERNAL
    states = {m["name"]: m["joined"] for m in house.do("member.list", network="home")}
    assert states == {"n1": False, "n2": True}


def test_an_address_that_memory_did_not_know_of_is_found_out_and_answered(house: House) -> None:
    """Somebody wrote into the database by hand."""
    network = house.network(ipv4="10.9.0.0/29")
    holder = house.enrol(network, name="holder")
    guest = house.guest()
    house.admit(house.token(), guest)
    house.hello(guest)
    held = house.addresses(house.join(holder, network))[0]
    others = [f"10.9.0.{n}" for n in range(2, 7) if held != f"10.9.0.{n}/29"]
    for address in others[:3]:  # all but one, behind the back of the address space
        house.edit(
            "INSERT INTO assignment"
            " SELECT network, ?, 4, 29, node, 'manual', 0 FROM assignment LIMIT 1",
            sixteen(ip_address(address)),
        )
    joined = house.join(guest, network)

    assert house.addresses(joined) == [f"{others[3]}/29"]
    assert house.count("assignment") == 5


def test_a_full_disk_is_said_and_everything_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = house.network()
    guest = house.enrol(network)

    class FullError(Exception):
        sqlite_errorcode = 13

    def full() -> None:
        raise OperationalError("COMMIT", {}, FullError("database or disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(house.desk, "commit", full)
        refused = house.leave(guest, network)
        assert isinstance(refused, Refused)
        assert refused.code == Code.BUSY
        assert refused.retry_after > 0
        assert isinstance(house.ask(guest, Ping(house.number())), Pong)

    assert isinstance(house.leave(guest, network), Done)


def test_a_disk_that_fails_ends_the_controller(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = house.network()
    guest = house.enrol(network)

    class BrokenError(Exception):
        sqlite_errorcode = 10

    def broken() -> None:
        raise OperationalError("COMMIT", {}, BrokenError("disk I/O error"))

    monkeypatch.setattr(house.desk, "commit", broken)
    with pytest.raises(CannotError, match="cannot write the database"):
        house.leave(guest, network)


def test_a_token_connection_that_speaks_as_a_node_is_dropped(house: House) -> None:
    network = house.network()
    guest = house.enrol(network)
    token = house.token()
    leave = encode(Leave(9, network))
    house.desk.take(b"r", Frame(leave, f"t:{token.hex()}"), house.now)
    house.desk.take(b"r", Frame(encode(Admit(9, b"k" * 32, "", "", "")), "n:" + "00" * 32), 0.0)
    house.desk.take(b"r", Frame(leave, ""), house.now)
    house.desk.take(b"r", Frame(leave, f"a:{guest.key.hex()}"), house.now)

    assert house.desk.waiting == 0
    assert house.desk.counts["nonsense"] == 4


@pytest.mark.parametrize(
    "frame", [b"", b"\xc1", b"\x93\x01\x02", b"\xdd\xff\xff\xff\xff", b"x" * 99]
)
def test_nonsense_is_counted_and_dropped(house: House, frame: bytes) -> None:
    house.desk.take(b"r", Frame(frame, "n:" + "00" * 32), house.now)

    assert house.desk.waiting == 0
    assert house.desk.counts["nonsense"] == 1


def test_too_many_requests_of_one_node_are_told_to_come_later_and_then_nothing(
    house: House,
) -> None:
    guest = house.enrol(house.network())
    house.later(10)
    house.sent.clear()
    for _ in range(600):
        house.take(f"n:{guest.key.hex()}", guest.routing, Ping(house.number()))
        house.work()
    busy = [r for _, r in house.sent if isinstance(r, Refused)]

    assert len(busy) == DEBT
    assert {r.code for r in busy} == {Code.BUSY}
    assert all(r.retry_after > 0 for r in busy)
    assert house.desk.counts["flood"] == 600 - BURST - DEBT
    house.later(3)
    assert isinstance(house.ask(guest, Ping(house.number())), Pong)


def test_a_new_hello_or_line_buys_no_more_requests(house: House) -> None:
    guest = house.enrol(house.network())
    house.sent.clear()
    for number in range(300):
        hello = Hello(house.number(), WIRE_VERSION, "n1", "0.1.0", "linux", 1, 0)
        house.take(f"n:{guest.key.hex()}", b"line %d" % number, hello)
        house.work()
    welcomed = [r for _, r in house.sent if isinstance(r, Welcome)]

    assert len(welcomed) <= BURST / COSTS["hello"]


def test_of_those_who_share_a_token_each_has_its_own_rate(house: House) -> None:
    house.network()
    token = house.token(uses=10)
    known = house.guest()
    house.admit(token, known)
    for _ in range(1000):
        _, _, again = admit_frame(house, token, known)
        house.take(f"t:{token.hex()}", b"greedy", again)
        house.work()
    house.sent.clear()
    house.take(*admit_frame(house, token, house.guest()))
    house.work()

    assert isinstance(house.sent[-1][1], Done)


def test_a_node_that_joins_and_leaves_in_one_batch_is_told_both(house: House) -> None:
    network = house.network()
    guest, other = house.enrol(network), house.enrol(network, name="n2")
    house.sent.clear()
    user = f"n:{guest.key.hex()}"
    join = Join(house.number(), network, guest.wireguard, ("192.0.2.9:5",), (4,), 51820)
    for message in (join, Leave(house.number(), network)):
        house.take(user, guest.routing, message)
    house.work()
    joined, left = [reply for routing, reply in house.sent if routing == guest.routing and reply.id]

    assert code(joined) == Code.NOT_FOUND
    assert isinstance(left, Done)
    assert isinstance(house.ask(other, Ping(house.number())), Pong)


def test_what_waits_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 10)
    house.network()
    token = house.token(uses=100)
    for _ in range(30):
        house.take(*admit_frame(house, token, house.guest()))
    busy = [r for _, r in house.sent if isinstance(r, Refused)]

    assert house.desk.waiting == 10
    assert len(busy) == 20
    assert all((r.code, r.retry_after > 0) == (Code.BUSY, True) for r in busy)
    assert WAITING_MAX > 10


def test_a_batch_that_fails_has_told_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    network = house.network()
    watcher = house.enrol(network)
    guest = house.guest("n2")
    house.admit(house.token(), guest)
    house.hello(guest)
    house.pushed(watcher)
    head = house.registry.networks[1].revision

    def broken() -> None:
        raise OperationalError("COMMIT", {}, ValueError("broken"))

    with monkeypatch.context() as patch:
        patch.setattr(house.desk, "commit", broken)
        with pytest.raises(CannotError):
            house.join(guest, network)

    house.push.run(house.now + 10)
    assert house.pushed_rows(watcher) == []
    assert house.registry.networks[1].revision == head
    assert house.count("assignment") == 1
    assert isinstance(house.join(guest, network), Joined)
