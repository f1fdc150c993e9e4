"""The text that is loaded: its order, its sets, and what must never stand in it."""

import re
from collections import Counter
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from msgspec.structs import replace

from agent.enrol.endpoints import PORT_COUNT, PORT_FIRST
from agent.ndmz.counts import FLOWS_MAX, render_rule
from agent.ndmz.guard import Guard, Port, is_internet, render, render_over, rules

PORT = Port(
    name="nr-0000aaaa",
    mac="02:00:00:00:00:0a",
    ip4=IPv4Address("100.127.4.5"),
    ip6=IPv6Address("fd11:2233:4455::405"),
    link_local=IPv6Address("fe80::ff:fe00:a"),
)
CLOSED = Guard(inside4=IPv4Network("100.127.0.0/16"), inside6=IPv6Network("fd11:2233:4455::/64"))
GUARD = replace(
    CLOSED,
    gateways=frozenset({ip_address("192.168.7.1"), ip_address("fe80::1")}),
    own=frozenset(
        {
            ip_network("192.168.7.0/24"),
            ip_network("192.168.0.0/16"),
            ip_network("2001:db8:b:1::/64"),
        }
    ),
    site=frozenset({ip_address("198.51.100.10")}),
    allowed=frozenset({ip_network("10.1.0.0/16")}),
    ports=frozenset({PORT}),
)


def elements(text: str, name: str) -> list[str]:
    found = re.findall(rf"^add element \w+ zosnet_ndmz {name} {{ (.*) }}$", text, re.MULTILINE)
    return found[0].split(", ") if found else []


def chain(guard: Guard, name: str) -> list[str]:
    return [rule.name for rule in rules(guard) if rule.chain == name]


def text_of(guard: Guard, name: str) -> list[str]:
    return [rule.text for rule in rules(guard) if rule.name == name]


def test_a_delegated_prefix_is_a_source_as_it_is_and_no_destination() -> None:
    prefix, part = IPv6Network("2001:db8:b:10::/60"), IPv6Network("2001:db8:b:11::/64")
    port = replace(PORT, subnet=part)
    guard = replace(GUARD, delegated=prefix, ports=frozenset({port}))

    assert text_of(guard, "source6")[0].endswith(f"!= {GUARD.inside6} ip6 saddr != {prefix} drop")
    assert f"ip6 daddr {prefix} drop" in text_of(guard, "own6")
    assert "ip6 saddr 2001:db8:b:10::/60 drop" in text_of(guard, "outside-as-delegated")[0]
    assert text_of(guard, "share6") == [
        f"ip6 saddr {GUARD.inside6} {render_rule(6, FLOWS_MAX)}",
        f"ip6 saddr {part} ct count over {FLOWS_MAX} drop",
    ]
    assert text_of(guard, "port-subnet") == [
        f'ether type ip6 iifname "{PORT.name}" ether saddr {PORT.mac} ip6 saddr {part} accept'
    ]
    assert all(str(prefix) not in text for text in text_of(guard, "nat66"))
    assert chain(guard, "port_check").index("port-claims") < chain(guard, "port_check").index(
        "port-subnet"
    )


def test_without_a_delegated_prefix_there_is_no_rule_about_one() -> None:
    names = {rule.name for rule in rules(GUARD)}

    assert names.isdisjoint({"outside-as-delegated", "port-subnet", "ndmz-dhcp6"})
    assert "ndmz-dhcp6" in {rule.name for rule in rules(replace(GUARD, asks=True))}


def test_the_whole_is_one_transaction_that_empties_before_it_fills_and_deletes_nothing() -> None:
    lines = render(GUARD).splitlines()
    verbs = [line.split()[0] for line in lines]
    last_flush = max(i for i, verb in enumerate(verbs) if verb == "flush")
    first_fill = min(
        i for i, line in enumerate(lines) if line.startswith(("add rule", "add element"))
    )

    assert set(verbs) == {"add", "flush"}
    assert last_flush < first_fill
    assert sum(line.startswith("flush chain") for line in lines) == sum(
        line.startswith("add chain") for line in lines
    )


def test_what_no_rule_lets_through_is_dropped() -> None:
    text = render(CLOSED)

    for chain_name, hook in (("to_ndmz", "input"), ("through", "forward")):
        assert re.search(rf"add chain inet \S+ {chain_name} .*hook {hook} .*policy drop", text)
    assert re.search(r"add chain bridge \S+ port_check .*hook prerouting .*policy drop", text)


def test_without_gateways_and_ports_nothing_is_in_a_set() -> None:
    assert "add element" not in render(CLOSED)


def test_the_sets_hold_what_the_guard_says_without_overlaps() -> None:
    text = render(GUARD)

    assert elements(text, "gw4") == ["192.168.7.1"]
    assert elements(text, "gw6") == ["fe80::1"]
    assert "ip daddr 192.168.0.0/16 drop" in text
    assert "ip6 daddr 2001:db8:b:1::/64 drop" in text
    assert elements(text, "site4") == ["198.51.100.10"]
    assert "ip daddr 10.1.0.0/16 accept" in text
    assert elements(text, "port4") == ['"nr-0000aaaa" . 02:00:00:00:00:0a . 100.127.4.5']


def test_adjacent_gateways_stay_two() -> None:
    two = replace(CLOSED, gateways=frozenset(map(ip_address, ("192.168.7.2", "192.168.7.3"))))

    assert elements(render(two), "gw4") == ["192.168.7.2", "192.168.7.3"]


def test_a_gateway_is_judged_before_an_exception_and_both_before_what_is_closed() -> None:
    order = chain(GUARD, "outward")

    assert order.index("gateway4") < order.index("allowed4") < order.index("closed4")
    assert order.index("site4") < order.index("internet4")
    assert order[-2:] == ["internet4", "internet6"]


def test_the_gateways_dns_is_open_only_when_asked_for() -> None:
    asked = replace(GUARD, dns_gateway=True)
    rule = next(rule for rule in rules(asked) if rule.name == "dns-gateway4")

    assert "dns-gateway4" not in chain(GUARD, "outward")
    assert "th dport 53 accept" in rule.text
    assert "@gw4" in rule.text
    assert chain(asked, "outward").index("dns-gateway4") < chain(asked, "outward").index("gateway4")


def test_ndmz_itself_takes_wireguards_ports_only_while_its_sockets_are_there() -> None:
    listens = replace(GUARD, listens=True)
    (opened,) = set(rules(listens)) - set(rules(GUARD))
    ports = f"{PORT_FIRST}-{PORT_FIRST + PORT_COUNT - 1}"

    assert opened.chain == "to_ndmz"
    assert opened.text == f'iifname {{ "npub4", "npub6" }} udp dport {ports} accept'


def test_only_answers_come_in() -> None:
    outwards, inwards = (rule.text for rule in rules(GUARD) if rule.chain == "through")

    assert outwards.endswith("goto outward")
    assert "ct direction reply ct state established,related accept" in inwards


def test_a_flow_is_known_to_the_guard_that_let_it_through_and_to_no_other() -> None:
    other = replace(GUARD, site=frozenset())

    assert len(marks(render(GUARD))) == 1
    assert marks(render(GUARD)) == marks(render(replace(GUARD)))
    assert not marks(render(GUARD)) & marks(render(other))
    assert not marks(render(GUARD)) & marks(render(GUARD, without={"site4"}))
    assert not marks(render(GUARD)) & {"0x00000000"}


def marks(text: str) -> set[str]:
    """What is asked for and what is set are the same."""
    asked, given = (set(re.findall(rf"ct mark {verb}(0x\w{{8}})", text)) for verb in ("", "set "))
    assert asked == given
    return asked


def test_a_known_flow_is_asked_for_its_next_hop_and_an_error_that_speaks_of_it_is_none() -> None:
    known = [rule.text for rule in rules(GUARD) if rule.name in ("known4", "known6")]

    assert [
        re.findall(r"ct state (\S+) rt (\S+) nexthop @(\S+) accept", text) for text in known
    ] == [
        [("new,established", "ip", "gw4")],
        [("new,established", "ip6", "gw6")],
    ]


def test_counts_of_flows_outlive_a_load_but_for_another_limit() -> None:
    listing = "add @flows4 { ip saddr ct count over 16384 } drop"
    other = render_over(replace(GUARD, flows_max=8192), listing)

    assert render_over(GUARD, listing) == render(GUARD)
    assert other.startswith(
        "flush set inet zosnet_ndmz flows4\nflush set inet zosnet_ndmz flows6\n"
    )
    assert "flush set inet zosnet_ndmz flows" not in render(GUARD)


def test_duplicate_address_detection_is_never_dropped_and_links_are_matched_by_name() -> None:
    text = render(GUARD)

    assert not re.search(r"ip6 saddr :: .*drop", text)
    assert not re.search(r"\b[io]if \"", text)


def test_nat_keeps_away_from_wireguards_ports_and_from_strangers_sources() -> None:
    masks = [rule.text for rule in rules(GUARD) if rule.chain == "masks"]

    assert all("saddr" in text for text in masks)
    assert all(":1024-49151 fully-random" in text for text in masks if "l4proto" in text)
    assert len(masks) == 4


def test_what_rules_are_for_has_a_name_and_can_be_left_out() -> None:
    """Only what is said of several prefixes takes several rules."""
    counts = Counter(rule.name for rule in rules(GUARD))
    whole = render(GUARD).splitlines()

    assert {name for name, count in counts.items() if count > 1} <= {"closed4", "closed6"}
    for name, count in counts.items():
        assert len(render(GUARD, without={name}).splitlines()) == len(whole) - count


def test_no_prefix_stands_in_a_set() -> None:
    """Each load would let packets through (decision 39)."""
    assert "interval" not in render(GUARD)
    assert not re.search(r"\{[^}]*/", render(GUARD))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.80", True),
        ("8.8.8.8", True),
        ("10.9.9.9", False),
        ("172.31.255.255", False),
        ("172.32.0.1", True),
        ("100.127.0.1", False),
        ("100.128.0.1", True),
        ("169.254.1.1", False),
        ("224.0.0.251", False),
        ("255.255.255.255", False),
        ("2001:db8:ffff::80", True),
        ("fd00::1", False),
        ("fe80::1", False),
        ("ff02::1", False),
        ("::1", False),
        ("::ffff:192.168.1.1", False),
        ("64:ff9b::203.0.113.80", True),
        ("64:ff9b::192.168.1.1", False),
        ("2002:c0a8:101::1", False),
    ],
)
def test_the_internet_is_what_is_nobodys_own(address: str, expected: bool) -> None:
    assert is_internet(ip_address(address)) is expected
