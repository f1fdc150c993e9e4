"""Which tables count as somebody else's firewall, and what a person is told to do."""

from agent.boot.bridge_nf import foreign, remedies


def test_only_tables_that_see_bridged_frames_and_are_not_ours_are_foreign() -> None:
    tables = {
        ("ip", "filter"),
        ("inet", "firewalld"),
        ("inet", "zosnet_guard"),
        ("bridge", "filter"),
        ("netdev", "x"),
    }

    assert foreign(tables) == ("inet firewalld", "ip filter")


def test_the_remedies_are_the_switch_and_a_rule_for_each_table() -> None:
    assert remedies(["ip filter", "ip_tables nat"]) == (
        'set host.bridge_nf: "off" in agent.yaml',
        "nft insert rule ip filter FORWARD iifname zos oifname zos accept",
    )
