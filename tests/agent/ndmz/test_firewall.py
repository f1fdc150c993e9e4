from typing import Literal

import pytest

from agent.ndmz.firewall import ForeignChain, find_foreign, judge, judge_sharing

LISTING = """\
table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t\tcounter packets 0 bytes 0 jump DOCKER-USER
\t}
\tchain INPUT {
\t\ttype filter hook input priority filter; policy accept;
\t}
}
table inet zosnet_ndmz {
\tchain through {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table bridge other {
\tchain f {
\t\ttype filter hook forward priority filter; policy drop;
\t}
}
table ip6 open {
\tchain f {
\t\ttype filter hook forward priority filter; policy accept;
\t}
}
"""
DOCKER = (ForeignChain("ip filter", "drop"),)
OPEN = (ForeignChain("ip6 open", "accept"),)


def test_forward_hooks_of_others_are_found_and_ours_and_bridge_tables_are_not() -> None:
    assert find_foreign(LISTING) == DOCKER + OPEN


def test_iptables_legacy_is_found_where_nftables_shows_nothing() -> None:
    assert find_foreign("", legacy_tables="nat\nfilter\n")[0].table == "iptables-legacy filter"
    assert find_foreign("", legacy_tables="nat\n") == ()


@pytest.mark.parametrize(
    ("setting", "foreign", "switch_off", "warned"),
    [
        ("auto", (), True, False),
        ("auto", DOCKER, False, True),
        ("auto", OPEN, False, False),
        ("off", DOCKER, True, False),
        ("keep", (), False, False),
        ("keep", DOCKER, False, True),
    ],
)
def test_bridged_frames_leave_the_firewall_only_where_nobody_relies_on_it(
    setting: Literal["auto", "keep", "off"],
    foreign: tuple[ForeignChain, ...],
    switch_off: bool,
    warned: bool,
) -> None:
    verdict = judge(setting, foreign)

    assert verdict.switch_off is switch_off
    assert (verdict.warning is not None) is warned


def test_the_warning_names_the_table_and_both_remedies() -> None:
    warning = judge("auto", DOCKER).warning

    assert warning
    assert "ip filter" in warning
    assert 'host.bridge_nf to "off"' in warning
    assert "iptables -I FORWARD" in warning


def test_the_warning_names_the_bridge_on_which_ndmz_is() -> None:
    warning = judge("keep", DOCKER, bridge="br-pub").warning

    assert warning
    assert "iptables -I FORWARD -i br-pub -o br-pub -j ACCEPT" in warning
    assert "zos" not in warning


def test_what_goes_through_the_host_passes_each_firewall_and_the_closed_one_is_named() -> None:
    said = judge_sharing(DOCKER + OPEN)

    assert judge_sharing(()) is None
    assert judge_sharing(OPEN) is None
    assert said
    assert "(ip filter)" in said
    assert "iptables -I FORWARD -i ndzs4 -j ACCEPT" in said
