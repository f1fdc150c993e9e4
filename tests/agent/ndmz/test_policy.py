from ipaddress import ip_address, ip_interface, ip_network

from msgspec.structs import replace

from agent.ndmz.policy import (
    MAX_GATEWAYS,
    MAX_SITES,
    PUBLIC_DNS,
    Facts,
    add_site,
    choose_dns,
    lacking,
    read_facts,
    read_host,
    render_resolv_conf,
)
from netns.values import Address, IPAddress, Link, Route


def link(index: int, name: str) -> Link:
    return Link(
        index=index,
        name=name,
        kind="veth",
        mac="",
        mtu=1500,
        up=True,
        carrier=True,
        master=None,
        alias="",
        parent=None,
    )


def held(index: int, text: str, *, scope: int = 0, tentative: bool = False) -> Address:
    return Address(
        link=index,
        interface=ip_interface(text),
        scope=scope,
        tentative=tentative,
        dad_failed=False,
        deprecated=False,
        permanent=False,
        valid_s=60,
        preferred_s=60,
    )


def route(to: str | None, via: str | None, index: int) -> Route:
    gateway = ip_address(via) if via else None
    return Route(
        destination=ip_network(to) if to else None,
        family=gateway.version if gateway else 4,
        via=gateway,
        link=index,
        metric=0,
        protocol=4,
    )


LINKS = [link(4, "npub4"), link(6, "npub6"), link(1, "tonrs")]


def test_gateways_are_those_of_default_routes_on_the_uplinks_only() -> None:
    routes = [
        route(None, "192.168.7.1", 4),
        route(None, "fe80::1", 6),
        route("10.0.0.0/8", "192.168.7.2", 4),
        route(None, "100.127.0.9", 1),
        route(None, None, 4),
    ]

    facts = read_facts(LINKS, [], routes)

    assert facts.gateways == {ip_address("192.168.7.1"), ip_address("fe80::1")}


def test_of_thousands_of_gateways_that_somebody_advertises_a_few_are_let_out_to() -> None:
    routes = [route(None, f"fe80::bad:{n:x}", 6) for n in range(5000)]
    routes.append(route(None, "192.168.7.1", 4))

    facts = read_facts(LINKS, [], routes)

    assert len(facts.gateways) == MAX_GATEWAYS
    assert ip_address("192.168.7.1") in facts.gateways


def test_every_prefix_of_an_uplink_address_is_closed_and_of_zos_too() -> None:
    addresses = [
        held(4, "192.168.7.20/24"),
        held(6, "2001:db8:b:1::2/64", tentative=True),
        held(1, "100.127.0.1/16"),
    ]

    facts = read_facts(LINKS, addresses, [], host_addresses=[held(9, "203.0.113.9/28")])

    assert facts.own == {
        ip_network("192.168.7.0/24"),
        ip_network("2001:db8:b:1::/64"),
        ip_network("203.0.113.0/28"),
    }


def test_a_family_is_ready_with_a_usable_address_and_a_gateway() -> None:
    gateways = [route(None, "192.168.7.1", 4), route(None, "fe80::1", 6)]
    waiting = [
        held(4, "192.168.7.20/24"),
        held(6, "2001:db8:b:1::2/64", tentative=True),
        held(6, "fe80::2/64", scope=253),
    ]
    done = [*waiting[:1], held(6, "2001:db8:b:1::2/64")]

    before, after = read_facts(LINKS, waiting, gateways), read_facts(LINKS, done, gateways)
    without = read_facts(LINKS, done, [])

    assert (before.ready4, before.ready6) == (True, False)
    assert (after.ready4, after.ready6) == (True, True)
    assert (without.ready4, without.ready6) == (False, False)


ZOS = replace(link(9, "zos"), mac="02:00:00:00:00:09")
HELD = [held(9, "192.168.7.20/24"), held(9, "fe80::9/64", scope=253)]
SHARED_LINKS = [*LINKS, link(7, "nshared4")]
THROUGH = [held(7, "192.0.0.7/31")], [route(None, "192.0.0.6", 7)]


def test_the_host_has_what_its_best_default_route_by_zos_says() -> None:
    by_zos, other = route(None, "192.168.7.1", 9), route(None, "10.0.0.1", 3)
    host = read_host(ZOS, HELD, [by_zos, replace(other, metric=500)])
    aside = read_host(ZOS, HELD, [replace(by_zos, metric=100), other])

    assert [str(a) for a in (*host.addresses, *host.gateways)] == ["192.168.7.20", "192.168.7.1"]
    assert (host.mac, host.usable, host.elsewhere) == (ZOS.mac, True, False)
    assert (aside.usable, aside.elsewhere) == (False, True)
    assert not read_host(None, [], [by_zos]).usable


def test_through_the_host_its_gateways_count_and_its_addresses_are_lent() -> None:
    host = read_host(ZOS, HELD, [route(None, "192.168.7.1", 9)])
    facts = read_facts(SHARED_LINKS, *THROUGH, host_addresses=HELD, host=host)
    alone = read_facts(SHARED_LINKS, *THROUGH, host=read_host(ZOS, [], []))

    assert facts.gateways == {ip_address("192.168.7.1")}
    assert facts.relays == {ip_address("192.0.0.6")}
    assert ip_network("192.0.0.6/31") in facts.own
    assert (facts.usable4, [str(a) for a in facts.lent]) == ((), ["192.168.7.20"])
    assert (facts.ready4, facts.own4) == (True, False)
    assert (alone.ready4, alone.gateways) == (False, frozenset())
    assert "the host, which shares its own" in lacking(alone, False, True, shared=True)[0]


def test_a_lease_beside_it_is_its_own() -> None:
    addresses, routes = THROUGH
    both = read_facts(
        SHARED_LINKS,
        [*addresses, held(4, "192.168.7.30/24")],
        [*routes, route(None, "192.168.7.1", 4)],
        host=read_host(ZOS, HELD, []),
    )
    no_gateway = read_facts(SHARED_LINKS, [*addresses, held(4, "192.168.7.30/24")], routes)

    assert (both.own4, [str(a) for a in both.usable4]) == (True, ["192.168.7.30"])
    assert not no_gateway.own4


FACTS = Facts(
    gateways=frozenset({ip_address("192.168.7.1"), ip_address("fe80::1")}),
    own=frozenset({ip_network("192.168.7.0/24"), ip_network("203.0.113.0/28")}),
    usable4=(ip_interface("192.168.7.20").ip,),  # type: ignore[arg-type]
)


def test_configured_servers_are_taken_as_they_are() -> None:
    configured = [ip_address("192.168.7.53"), ip_address("2001:db8::53")]

    assert choose_dns(configured, [ip_address("9.9.9.9")], FACTS) == tuple(configured)


def test_offered_servers_are_taken_when_the_guard_lets_them_through() -> None:
    offered = [ip_address(a) for a in ("192.168.7.1", "203.0.113.3", "203.0.113.53", "fd00::1")]

    assert choose_dns([], offered, FACTS) == (ip_address("203.0.113.53"),)


def test_when_none_is_left_public_ones_are_taken_those_of_a_ready_family_first() -> None:
    six = replace(
        FACTS,
        usable4=(),
        usable6=(ip_address("2001:db8::2"),),
    )

    assert choose_dns([], [ip_address("192.168.7.1")], FACTS) == PUBLIC_DNS[:3]
    assert choose_dns([], [], six)[:2] == PUBLIC_DNS[2:]


def test_gateway_means_the_current_gateways_that_can_be_asked_from_behind_a_router() -> None:
    assert choose_dns([], [], FACTS, gateway=True) == (ip_address("192.168.7.1"),)


def test_resolv_conf_names_each_server_once() -> None:
    lines = render_resolv_conf([ip_address("9.9.9.9"), ip_address("2620:fe::fe")]).splitlines()

    assert lines[1:3] == ["nameserver 9.9.9.9", "nameserver 2620:fe::fe"]
    assert lines[0].startswith("#")


def test_a_site_is_an_address_and_nothing_that_a_controller_writes_behind_it() -> None:
    known = add_site((), "203.0.113.9")
    known = add_site(known, "fe80::1% }\nadd rule inet zosnet_ndmz outward accept #")
    known = add_site(known, "1.2.3.4 }")

    assert [str(address) for address in known] == ["203.0.113.9", "fe80::1"]


def test_only_the_newest_sites_are_kept() -> None:
    known: tuple[IPAddress, ...] = ()
    for number in [*range(20), 15]:
        known = add_site(known, f"203.0.113.{number}")

    assert [str(a) for a in known[-2:]] == ["203.0.113.19", "203.0.113.15"]
    assert len(known) == MAX_SITES
