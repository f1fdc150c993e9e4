"""How many flows a workload may have, and what of the counting is in what nft lists."""

import pytest

from agent.ndmz.counts import (
    FLOWS_MAX,
    flows_each,
    render_forget,
    render_rule,
    render_sets,
    without_counts,
)

SET = """
\tset flows4 {
\t\ttype ipv4_addr
\t\tsize 65536
\t\tflags dynamic%s
\t}

\tset gw4 {
\t\ttype ipv4_addr
\t\telements = { 192.168.7.1 }
\t}
"""
ELEMENTS = """
\t\telements = { 100.127.4.5 ct count over 7,
\t\t\t     100.127.4.6 ct count over 7 }"""


@pytest.mark.parametrize(
    ("table", "workloads", "expected"),
    [
        (None, 100, FLOWS_MAX),
        (262_144, 1, FLOWS_MAX),
        (262_144, 8, FLOWS_MAX),
        (262_144, 16, 8_192),
        (65_536, 4, 8_192),
        (65_536, 0, FLOWS_MAX),
    ],
)
def test_where_the_host_tracks_them_too_all_flows_together_leave_half_of_its_table(
    table: int | None, workloads: int, expected: int
) -> None:
    assert flows_each(table, workloads) == expected


def test_each_address_counts_in_the_set_of_its_family() -> None:
    assert [line.split()[4] for line in render_sets("inet x")] == ["flows4", "flows6"]
    assert render_rule(4, 7) == "add @flows4 { ip saddr ct count over 7 } drop"
    assert render_rule(6, 7) == "add @flows6 { ip6 saddr ct count over 7 } drop"


def test_counts_are_forgotten_only_for_another_limit() -> None:
    listing = render_rule(4, 7)

    assert render_forget("inet x", listing, 7) == ""
    assert render_forget("inet x", "", 7) == ""
    assert render_forget("inet x", listing, 8).splitlines() == [
        "flush set inet x flows4",
        "flush set inet x flows6",
    ]


def test_what_packets_bring_is_no_part_of_what_was_loaded() -> None:
    assert without_counts(SET % ELEMENTS) == SET % ""
