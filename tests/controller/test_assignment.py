"""Memory and database say the same of every address, whatever was done in whatever order."""

import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy.exc import OperationalError

from controller.front.desk import Desk
from controller.store.model import NODE
from controller.verbs.dispatch import answer
from protocol.admin import Call, encode_admin
from protocol.messages import Ack, Joined, Rows
from protocol.signed import read_unverified
from protocol.statements import Membership
from runtime.failure import CannotError
from tests.controller.house import Guest, House

GUESTS = 7  # for five addresses


class Failing(Desk):
    """A desk whose disk fails when it is to."""

    broken = False

    def commit(self) -> None:
        if self.broken:
            raise OperationalError("COMMIT", {}, OSError("disk I/O error"))
        super().commit()


class Farm(House):
    def open(self) -> None:
        super().open()
        self.desk = Failing(self.registry, self.sessions, self.push)
        self.office.desk = self.desk


class AssignmentMachine(RuleBasedStateMachine):
    @initialize(both=st.booleans())
    def begin(self, both: bool) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.house = Farm(Path(self.directory.name))
        ipv6 = "fd00::/125" if both else ""  # six
        self.network = self.house.network(ipv4="10.9.0.0/29", ipv6=ipv6)
        self.house.do("network.set", network="home", reclaim_after=10 * 86400)
        self.guests = [self.house.guest(f"n{i}") for i in range(GUESTS)]
        self.house.later(3601)
        for guest in self.guests[:4]:
            assert self.enter(guest)

    guest = st.integers(0, GUESTS - 1)

    def desk(self) -> Failing:
        assert isinstance(self.house.desk, Failing)
        return self.house.desk

    def enter(self, guest: Guest, **token: Any) -> bool:
        made = self.house.call("token.create", **self._token(token))
        if type(made).__name__ != "Result":
            return False
        key = bytes.fromhex(self._key)
        self.house.admit(key, guest)
        self.house.hello(guest)
        return isinstance(self.house.join(guest, self.network), Joined)

    def _token(self, more: dict[str, Any]) -> dict[str, Any]:
        self._key = f"{self.house.number():064x}"
        return {"network": "home", "key": self._key, "ttl": 86400, **more}

    @rule(number=guest)
    def join(self, number: int) -> None:
        self.enter(self.guests[number])

    @rule(number=guest, offset=st.integers(0, 7))
    def join_with_an_address(self, number: int, offset: int) -> None:
        self.enter(self.guests[number], address=str(ip_address("10.9.0.0") + offset))

    @rule(offset=st.integers(0, 7))
    def promise_an_address(self, offset: int) -> None:
        address = str(ip_address("10.9.0.0") + offset)
        self.house.call("token.create", **self._token({"address": address, "ttl": 7 * 86400}))

    @rule()
    def revoke_the_oldest_token(self) -> None:
        live = self.house.do("token.list", network="home", states=["live"])
        for item in live[:1]:
            self.house.do("token.revoke", token=item["token"])

    @rule(number=guest)
    def leave(self, number: int) -> None:
        self.house.leave(self.guests[number], self.network)

    @rule(number=guest)
    def forget(self, number: int) -> None:
        self.house.call("member.forget", network="home", member=f"n{number}")

    @rule(number=guest)
    def ban_and_authorize(self, number: int) -> None:
        for verb in ("ban", "authorize"):
            self.house.call(f"member.{verb}", network="home", member=f"n{number}")

    @rule(number=guest)
    def be_silent_for_long(self, number: int) -> None:
        """And then the next newcomer to a full pool may have its address."""
        house, guest = self.house, self.guests[number]
        house.sessions.end(guest.key)
        house.desk.seen.clear()
        house.registry.connection.execute(
            NODE.update().where(NODE.c.key == guest.key).values(last_seen=1)
        )
        house.registry.connection.commit()

    @rule(number=guest, what=st.sampled_from(["join", "leave", "forget"]))
    def fail(self, number: int, what: str) -> None:
        """The disk does, while this is asked for."""
        house, guest = self.house, self.guests[number]
        if what == "join":
            house.leave(guest, self.network)
        self.desk().broken = True
        try:
            match what:
                case "join":
                    house.join(guest, self.network)
                case "leave":
                    house.leave(guest, self.network)
                case _:
                    house.call("member.forget", network="home", member=guest.name)
        except CannotError as error:  # what the loop ends with
            assert "cannot write the database" in error.message  # noqa: PT017
        finally:
            self.desk().broken = False
            house.desk._waiting.clear()

    way = st.sampled_from([{}, {"renumber": True}, {"force": True}])

    @rule(name=st.sampled_from(["10.10.0.0/29", "10.11.0.0/30", "fd01::/126"]), way=way)
    def add_or_remove_a_range(self, name: str, way: dict[str, bool]) -> None:
        there = [item["prefix"] for item in self.house.do("pool.list", network="home")]
        if name in there:
            self.house.call("pool.remove", network="home", range=name, **way)
        else:
            self.house.call("pool.add", network="home", range=name)

    @rule(last=st.integers(2, 6), way=way)
    def change_the_range(self, last: int, way: dict[str, bool]) -> None:
        self.house.call(
            "pool.set", network="home", range="10.9.0.0/29", last=f"10.9.0.{last}", **way
        )

    @rule(length=st.sampled_from([0, 30]), renumber=st.booleans())
    def give_subnets_or_none(self, length: int, renumber: bool) -> None:
        self.house.call("network.set", network="home", member_prefix=length, renumber=renumber)

    @rule(name=st.sampled_from(["10.9.0.0/29", "10.10.0.0/29"]))
    def rehearse(self, name: str) -> None:
        """Everything but the commit."""
        call = Call(7, "pool.remove", {"network": "home", "range": name, "renumber": True}, True)
        answer(self.house.office, encode_admin(call), self.house.now_ms, self.house.now)

    @rule(hours=st.sampled_from([13, 25]))
    def wait(self, hours: int) -> None:
        self.house.later(hours * 3600)
        self.agree()  # before a restart makes all of it anew

    @rule()
    def restart(self) -> None:
        self.house.reopen()
        self.house.later(3601)

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "house"):
            self.house.check_addresses()
            self.check_certificates()

    def check_certificates(self) -> None:
        """Each certificate says the addresses that the database has, no two the same."""
        registry = self.house.registry
        netmap = registry.netmap(1)
        seen: list[bytes] = []
        for guest in self.guests:
            entry = netmap.entry(guest.key)
            if entry is None:
                continue
            membership = read_unverified(entry.signed, Membership)
            with registry.connection.begin():
                held = registry.work(self.house.now_ms).addresses(1, entry.member.node)
            stored = sorted(row.packed for row in held if not row.released_at)
            assert list(membership.addresses) == stored
            seen += [packed[:-1] for packed in stored] + list(membership.prefixes)
        assert len(set(seen)) == len(seen)

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.house.close()
            self.directory.cleanup()


TestAssignmentMachine = AssignmentMachine.TestCase
TestAssignmentMachine.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def enter(house: House, network: str, guest: Guest, **token: str) -> bool:
    house.admit(house.token(ttl=300 * 86400, **token), guest)
    house.hello(guest)
    return isinstance(house.join(guest, network), Joined)


def test_both_families_or_none(house: House) -> None:
    """I6: an IPv6 address for each member, where there are some."""
    network = house.network(ipv4="10.9.0.0/16", ipv6="fd00::/126")  # two IPv6 addresses
    entered = [enter(house, network, house.guest(f"n{i}")) for i in range(3)]

    assert entered == [True, True, False]
    assert house.count("assignment") == 4
    house.check_addresses()


@pytest.mark.parametrize(("v4", "v6"), [("none", "none"), ("dhcp", "v6native"), ("dhcp", "dhcp6")])
def test_what_is_assigned_by_others_means_is_not_assigned(house: House, v4: str, v6: str) -> None:
    """`none`, dhcp, v6native and dhcp6 are for addresses that somebody else gives."""
    network = house.network(ipv6="fd00::/64")
    house.do("network.set", network="home", v4_assign=v4, v6_assign=v6)
    guest = house.enrol(network)
    assert house.addresses(house.join(guest, network)) == []
    house.do("network.set", network="home", v6_assign="zt")
    after = house.addresses(house.join(guest, network))

    assert len(after) == 1
    assert ":" in after[0]


def test_members_of_networks_with_equal_ranges_are_in_nobodys_way(house: House) -> None:
    """I8: one range in two networks; no row, no address, no name goes from one to the other."""
    one, other = house.network("one"), house.network("other")
    guests = [house.enrol(one, house.token("one", address="10.9.7.7"), name="a")]
    guests.append(house.enrol(other, house.token("other", address="10.9.7.7"), name="b"))
    for network, guest in zip((one, other), guests, strict=True):
        assert house.addresses(house.join(guest, network)) == ["10.9.7.7/16"]
        rows = house.fetch(guest, network)
        assert isinstance(rows, Rows)
        assert [row.name for row in rows.rows] == [guest.name]
        house.say(guest, Ack(network, rows.revision))
        for foreign in {one, other} - {network}:
            assert not isinstance(house.join(guest, foreign), Joined)
    house.later(1)
    house.pushed(guests[0])
    house.enrol(other, house.token("other"), name="c")
    house.later(1)
    house.push.run(house.now)
    assert house.pushed(guests[0]) == []
    assert len(house.pushed_rows(guests[1])) == 1

    for network in ("one", "other"):
        ips = [item["ip"] for item in house.do("member.list", network=network)]
        assert ["10.9.7.7/16"] in ips
    house.check_addresses()
