"""The text that the host loads: its order, and what must never stand in it."""

import re
from ipaddress import IPv4Address, IPv4Network

from msgspec.structs import replace

from agent.ndmz.host_guard import HostGuard, render, rules
from agent.ndmz.pair import Pair

CLOSED = HostGuard(Pair(IPv4Network("192.0.0.6/31")))
GUARD = replace(
    CLOSED,
    mac="02:00:00:00:00:01",
    gateways=frozenset({IPv4Address("192.168.7.1")}),
    allowed=frozenset({IPv4Network("10.1.0.0/24"), IPv4Network("10.1.0.0/16")}),
)


def test_the_whole_is_one_transaction_that_empties_before_it_fills_and_deletes_nothing() -> None:
    lines = render(GUARD).splitlines()
    last_flush = max(i for i, line in enumerate(lines) if line.startswith("flush"))
    first_fill = min(
        i for i, line in enumerate(lines) if line.startswith(("add rule", "add element"))
    )

    assert {line.split()[0] for line in lines} == {"add", "flush"}
    assert last_flush < first_fill


def test_without_a_gateway_no_set_holds_anything_and_with_one_it_is_merged() -> None:
    assert "add element" not in render(CLOSED)
    assert "gw4 { 192.168.7.1 }" in render(GUARD)
    assert "ip daddr 10.1.0.0/16 accept" in render(GUARD)


def test_every_rule_that_drops_or_accepts_names_our_links_or_stands_behind_one_that_does() -> None:
    """Packets of others pass: each chain with a hook has policy accept."""
    base = [rule for rule in rules(GUARD) if rule.chain != "outward"]

    assert all(re.search(r'"(zos|ndzs4)"', rule.text) for rule in base)
    assert render(GUARD).count("policy accept") == 4
    assert "policy drop" not in render(GUARD)


def test_the_fence_stands_only_while_nobody_else_made_the_host_a_router() -> None:
    names = [rule.name for rule in rules(GUARD)]
    open_names = [rule.name for rule in rules(replace(GUARD, fenced=False))]

    assert "fence" in names
    assert [name for name in names if name != "fence"] == open_names
    assert names.index("host-answers") < names.index("fence")


def test_what_workloads_may_reach_is_judged_from_the_narrow_to_the_wide_and_ends_in_a_drop() -> (
    None
):
    names = [rule.name for rule in rules(GUARD) if rule.chain == "outward"]

    assert names.index("host-gateway") < names.index("host-allowed") < names.index("host-internet")
    assert names[-1] == "host-rest"


def test_nat_keeps_away_from_wireguards_ports_and_comes_before_that_of_others() -> None:
    masks = [rule.text for rule in rules(GUARD) if rule.chain == "masks"]

    assert all("ip saddr 192.0.0.7" in text for text in masks)
    assert ":1024-49151 fully-random" in masks[0]
    assert "hook postrouting priority 90" in render(GUARD)


def test_every_rule_has_a_name_of_its_own_and_can_be_left_out() -> None:
    asked = replace(GUARD, dns_gateway=True)
    names = [rule.name for rule in rules(asked)]
    whole = render(asked).splitlines()

    assert len(set(names)) == len(names)
    for name in names:
        assert len(render(asked, without={name}).splitlines()) == len(whole) - 1
