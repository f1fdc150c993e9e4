"""Routes: a prefix behind a member is in its certificate, and in everybody's settings."""

from ipaddress import ip_network
from typing import Any

import pytest

from agent.nr.plan import plan_resource
from agent.overlay.peers import Here, plan_peers
from agent.overlay.verify import Judge
from protocol.admin import Failed
from protocol.messages import Joined, Rows
from protocol.packing import unpack_network
from protocol.signed import read_unverified
from protocol.statements import Keyset
from runtime.failure import Exit
from tests.controller.house import Guest, House

OFFICE = "10.50.0.0/24"


def failed(reply: object) -> Failed:
    assert isinstance(reply, Failed), reply
    assert reply.message.startswith("cannot ")
    return reply


def route(house: House, *routes: str, network: str = "home") -> list[str]:
    house.later(0.1)
    shown: list[str] = house.do("network.set", network=network, routes=list(routes))[0]["routes"]
    return shown


def two(house: House) -> tuple[str, Guest, Guest]:
    network = house.network(ipv6="fd00::/64")
    first = house.enrol(network, name="n1", endpoints=("192.0.2.1:5",))
    return network, first, house.enrol(network, name="n2", endpoints=("192.0.2.2:5",))


def prefixes(house: House, guest: Guest, network: str) -> list[str]:
    membership = house.membership(house.join(guest, network))
    return [str(prefix) for prefix in membership.networks]


def node_of(house: House, name: str) -> str:
    return str(house.do("member.show", network="home", member=name)[0]["address"])


def test_a_route_is_in_the_certificate_of_its_member_and_in_the_settings_of_all(
    house: House,
) -> None:
    network, first, second = two(house)
    before = house.membership(house.join(first, network)).serial
    shown = route(house, f"{OFFICE} via n1")
    joined = house.join(second, network)

    assert house.membership(house.join(first, network)).serial == before + 1
    assert shown == [f"{OFFICE} via {node_of(house, 'n1')}"]
    assert prefixes(house, first, network) == [OFFICE]
    assert prefixes(house, second, network) == []
    assert isinstance(joined, Joined)
    assert [(str(unpack_network(p)), via.hex()) for p, via in joined.settings.routes] == [
        (OFFICE, node_of(house, "n1"))
    ]


def test_members_are_told_at_once_of_the_route_and_of_the_certificate(house: House) -> None:
    _, first, second = two(house)
    house.pushed(first)
    house.pushed(second)
    route(house, f"{OFFICE} via n1")
    house.later(0.1)
    house.push.run(house.now)
    told = house.pushed(second)

    settings = [r.settings for r in told if isinstance(r, Joined)]
    assert [len(s.routes) for s in settings] == [1]
    rows = [row for r in told if isinstance(r, Rows) for row in r.rows]
    from protocol.statements import Membership

    changed = [read_unverified(row.membership, Membership) for row in rows]
    assert [[str(p) for p in m.networks] for m in changed if m.node == first.key] == [[OFFICE]]


def test_agents_route_the_prefix_to_the_device_and_let_only_its_member_carry_it(
    house: House,
) -> None:
    network, first, second = two(house)
    route(house, f"{OFFICE} via n1")
    joined = house.join(second, network)
    rows = house.fetch(second, network)
    assert isinstance(joined, Joined)
    assert isinstance(rows, Rows)
    mine = house.membership(joined)
    keyset = read_unverified(house.registry.keyset, Keyset)
    judge = Judge(second.key)
    state = judge.state(joined.state, keyset, network, None)
    own = judge.own(joined.membership, state, keyset, second.wireguard, None)
    verified = judge.members(own, rows.rows, state, keyset, None)
    here = Here(families=frozenset({4}))
    plan = plan_peers(verified, here, {})
    resource = plan_resource(network, mine, joined.settings, uplink_mtu=1500)
    theirs = plan_resource(
        network, house.membership(house.join(first, network)), joined.settings, uplink_mtu=1500
    )

    assert ip_network(OFFICE) in resource.routes
    assert ip_network(OFFICE) in plan.peers[first.wireguard].allowed
    assert verified.refusals == ()
    assert ip_network(OFFICE) not in theirs.routes
    assert [str(gateway) for gateway in theirs.gateways] == ["10.50.0.1/24"]


@pytest.mark.parametrize("by", ["name", "node", "ipv4", "ipv6"])
def test_the_member_is_named_by_name_node_or_overlay_address(house: House, by: str) -> None:
    two(house)
    member = house.do("member.show", network="home", member="n2")[0]
    ipv4, ipv6 = (one.partition("/")[0] for one in member["ip"])
    name = {"name": "n2", "node": member["address"], "ipv4": ipv4, "ipv6": ipv6}[by]

    assert route(house, f"{OFFICE} via {name}") == [f"{OFFICE} via {member['address']}"]


def test_a_route_moves_and_goes_with_its_prefix(house: House) -> None:
    network, first, second = two(house)
    route(house, f"{OFFICE} via n1", "2001:db8:50::/64 via n1")
    moved = route(house, f"{OFFICE} via n2")
    after = prefixes(house, first, network), prefixes(house, second, network)
    gone = route(house)

    assert len(moved) == 1
    assert after == ([], [OFFICE])
    assert (gone, prefixes(house, second, network)) == ([], [])


def test_the_same_routes_again_change_no_certificate(house: House) -> None:
    network, first, _ = two(house)
    route(house, f"{OFFICE} via n1")
    before = house.membership(house.join(first, network)).serial
    route(house, f"{OFFICE} via n1")

    assert house.membership(house.join(first, network)).serial == before


def test_a_member_that_has_not_joined_has_its_route_when_it_does(house: House) -> None:
    network = house.network()
    guest = house.guest(name="n1")
    house.admit(house.token(network), guest)
    route(house, f"{OFFICE} via n1")
    house.hello(guest)

    assert prefixes(house, guest, network) == [OFFICE]


@pytest.mark.parametrize(
    ("routes", "said", "code"),
    [
        (["10.50.0.0/24"], "no prefix via a member", Exit.USAGE),
        (["10.50.0.0/24 via"], "no prefix via a member", Exit.USAGE),
        (["10.50.0.1/24 via n1"], "it is an address in a range", Exit.USAGE),
        (["0.0.0.0/0 via n1"], "leads to ndmz", Exit.USAGE),
        (["::/0 via n1"], "leads to ndmz", Exit.USAGE),
        (["224.0.0.0/8 via n1"], "not one for an overlay", Exit.USAGE),
        (["100.127.1.0/24 via n1"], "not one for an overlay", Exit.USAGE),
        (["10.9.7.0/24 via n1"], "it overlaps the pool 10.9.0.0/16", Exit.CONFLICT),
        (["10.0.0.0/8 via n1"], "it overlaps the pool 10.9.0.0/16", Exit.CONFLICT),
        (["2001:db8:5:7::/64 via n1"], "it overlaps the pool 2001:db8:5::/48", Exit.CONFLICT),
        ([f"{OFFICE} via n1", f"{OFFICE} via n2"], "twice", Exit.USAGE),
        ([f"{OFFICE} via n7"], "cannot find member 'n7'", Exit.NOT_FOUND),
        ([f"{OFFICE} via 10.9.200.200"], "no member of home has it", Exit.NOT_FOUND),
        ([f"10.{n}.0.0/16 via n1" for n in range(100, 165)], "32 at most", Exit.USAGE),
    ],
)
def test_what_is_no_route_is_refused_and_nothing_is_changed(
    house: House, routes: list[str], said: str, code: Exit
) -> None:
    network, first, _ = two(house)
    house.do("prefix.add", network="home", prefix="2001:db8:5::/48")
    route(house, "10.60.0.0/24 via n1")
    refused = failed(house.call("network.set", network="home", routes=routes))

    assert (refused.code, said in refused.message) == (code, True), refused.message
    assert prefixes(house, first, network) == ["10.60.0.0/24"]
    assert len(house.do("network.show", network="home")[0]["routes"]) == 1


def test_routes_go_with_the_member_that_is_forgotten(house: House) -> None:
    network, first, second = two(house)
    route(house, f"{OFFICE} via n1", "10.60.0.0/24 via n2")
    house.pushed(second)
    house.later(0.1)
    house.do("member.forget", network="home", member="n1")
    told = [r.settings for r in house.pushed(second) if isinstance(r, Joined)]
    again = house.enrol(network, name="n3")

    assert [len(settings.routes) for settings in told] == [1]
    assert house.do("network.show", network="home")[0]["routes"] == [
        f"10.60.0.0/24 via {node_of(house, 'n2')}"
    ]
    house.admit(house.token(network), first)
    house.hello(first)
    assert prefixes(house, first, network) == prefixes(house, again, network) == []


def test_a_hub_carries_what_lies_behind_the_others(house: House) -> None:
    network, _, _ = two(house)
    hub = house.enrol(network, name="hub", endpoints=("192.0.2.9:5",))
    house.do("network.set", network="home", topology="hub")
    house.do("member.set", network="home", member="hub", roles=["hub"])
    before = house.membership(house.join(hub, network))
    route(house, f"{OFFICE} via n1")
    after = house.membership(house.join(hub, network))
    house.later(0.1)
    house.do("network.set", network="home", routes=[])
    without = house.membership(house.join(hub, network))

    assert [str(p) for p in before.relayed] == ["10.9.0.0/16", "fd00::/64"]
    assert ip_network(OFFICE) in after.relayed
    assert before.serial < after.serial < without.serial
    assert without.relayed == before.relayed
    house.later(0.1)
    route(house, f"{OFFICE} via n1")
    house.later(0.1)
    house.do("member.forget", network="home", member="n1")
    forgotten = house.membership(house.join(hub, network))
    assert forgotten.relayed == before.relayed
    house.reopen()
    house.hello(hub)
    assert house.membership(house.join(hub, network)) == forgotten


def test_a_prefix_has_one_owner(house: House) -> None:
    two(house)
    house.do("prefix.add", network="home", prefix="2001:db8:5::/48")
    house.do("prefix.lease", network="home", member="n1")
    house.do("prefix.release", network="home", prefix="2001:db8:5::/64")
    route(house, f"{OFFICE} via n1")
    work = house.registry.work(house.now_ms)
    member: Any = work.member(1, int(node_of(house, "n2"), 16))
    house.registry.connection.rollback()
    house.edit("UPDATE member SET prefixes = '10.70.0.0/24' WHERE node = ?", member.node)
    refused = failed(house.call("network.set", network="home", routes=["10.70.0.0/24 via n1"]))

    assert "it belongs to n2" in refused.message


def test_routes_survive_export_and_import(house: House, tmp_path: Any) -> None:
    _, first, _ = two(house)
    shown = route(house, f"{OFFICE} via n1")
    items = house.do("export")
    other = House(tmp_path / "other")
    try:
        document = {item["key"]: item["value"] for item in items}
        moved = other.do("import", id="import-0001", part=document, number=0, last=True)[0]
        other.hello(first)

        assert other.do("network.show", network="home")[0]["routes"] == shown
        assert prefixes(other, first, moved["id"]) == [OFFICE]
    finally:
        other.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"routes":["10.50.0.0/24 via 1234567890"]}', "1234567890 is no member"),
        ('{"routes":["10.50.0.300/24 via 1234567890"]}', "is no route"),
        ('{"routes":["10.50.0.0/24 via n1"]}', "is no route"),
        ('{"colour":"red"}', "zosnet: Object contains unknown field"),
        ('{"mtu":5}', "1280 to 9000"),
    ],
)
def test_wrong_settings_in_a_document_are_refused(house: House, text: str, said: str) -> None:
    document = {
        "zt1": "1",
        "zt1:network:8056c2e21c000001:~": {
            "id": "8056c2e21c000001",
            "name": "home",
            "zosnet": text,
        },
    }
    refused = failed(house.call("import", id="import-0001", part=document, number=0, last=True))

    assert said in refused.message
    assert house.count("network") == 0
