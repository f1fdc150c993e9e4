"""Network resources by hand: what somebody destroys, what is in the way, how large packets are."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.host import TREE, wait_until
from runtime.failure import Exit
from tests.lab.home import NEIGHBOUR, Home
from tests.lab.resources import (
    INTERNET,
    RANGES,
    REPAIR,
    WEB,
    inside,
    item,
    items,
    links,
    nr,
    refused,
    whole,
    with_blue,
    with_networkd,
)
from tests.operating import commands

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    yield from with_networkd()


@pytest.fixture
def blue(home: Home) -> Iterator[Home]:
    yield from with_blue(home)


# -- drift


@pytest.mark.parametrize(
    "damage",
    [
        "ip -n web route flush default",
        "ip -n web -6 route flush default",
        "ip -n web addr flush dev eth0",
        "ip -n web link delete eth0",
        "ip netns exec n-blue nft flush ruleset",
        "ip netns exec n-blue nft add rule inet zosnet_nr through drop",
        "ip netns exec n-blue nft add chain inet zosnet_nr through '{ policy accept ; }'",
        "ip -n n-blue link delete b-blue",
        "ip -n n-blue link delete public",
        "ip -n n-blue link set public down",
        "ip -n n-blue addr flush dev b-blue",
        "ip -n n-blue link set b-blue down",
        "ip -n n-blue route flush default",
        "ip netns exec n-blue sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",
        "ip -n ndmz link delete $(ip -n ndmz -o link | grep -o 'nr-[0-9a-f]*' | head -1)",
        "ip netns delete n-blue",
    ],
)
def test_what_somebody_destroys_is_repaired(blue: Home, damage: str) -> None:
    before, rules = item(blue), guard(blue)
    wait_until("all of it", lambda: whole(blue))
    blue.node.script(damage)
    wait_until("the repair", lambda: whole(blue) and guard(blue) == rules, timeout=REPAIR)
    wait_until("what it says", lambda: item(blue) == before, timeout=REPAIR)

    assert "policy drop" in rules
    assert blue.reach("web", NEIGHBOUR["private"]) == set()


def guard(home: Home) -> str:
    listing = home.node.inside("n-blue", "nft", "list", "table", "inet", "zosnet_nr")
    return home.node.run(*listing, check=False).stdout


# -- what is in the way


def test_a_foreign_namespace_is_left_alone_and_named(home: Home) -> None:
    home.node.script("ip netns add n-blue; ip -n n-blue link add b-blue type bridge")
    before = home.node.output("ip", "-n", "n-blue", "-d", "link")
    error = refused(home, "create", "blue", *RANGES)
    after, kept = home.node.output("ip", "-n", "n-blue", "-d", "link"), items(home)
    home.node.script("ip netns delete n-blue")
    nr(home, "create", "blue", *RANGES)
    made = home.reach("n-blue", *WEB)
    nr(home, "delete", "blue")

    assert error["error"] == "cannot use namespace n-blue: it exists and is not ours"
    assert error["code"] == Exit.CONFLICT
    assert "ip netns delete n-blue" in error["hint"]
    assert (after, kept) == (before, [])
    assert made == INTERNET


def test_a_foreign_link_in_a_workload_is_left_alone_and_named(blue: Home) -> None:
    blue.node.script(
        "ip netns add db; ip -n db link add eth0 type dummy || ip -n db link add eth0 type bridge"
    )
    before = blue.node.output("ip", "-n", "db", "-d", "link")
    error = refused(blue, "attach", "blue", "db")
    after = blue.node.output("ip", "-n", "db", "-d", "link")
    nr(blue, "attach", "blue", "db", "--link", "eth1")
    reached = blue.reach("db", *WEB)
    blue.node.script("ip netns delete db")

    assert error["error"] == (
        "cannot attach db: a link eth0 exists in namespace db and is not ours"
    )
    assert (error["code"], after) == (Exit.CONFLICT, before)
    assert reached == INTERNET


def test_a_namespace_that_somebody_puts_in_place_of_ours_is_left_alone(blue: Home) -> None:
    blue.node.script("ip netns delete n-blue; ip netns add n-blue")
    said = "cannot use namespace n-blue: it exists and is not ours"
    wait_until("the reason", lambda: item(blue)["problem"] == said, timeout=REPAIR)
    theirs = links(blue, "n-blue")
    waits = blue.node.output("zosnet-agent", "why")
    blue.node.script("ip netns delete n-blue")
    wait_until("the repair", lambda: whole(blue), timeout=REPAIR)

    assert [name for _, name in theirs] == ["lo"]
    assert said in waits
    assert item(blue)["problem"] == ""


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ("create blue --ipv4 10.7.0.0/24", Exit.CONFLICT, "zosnet-agent nr delete blue"),
        ("create red --ipv4 100.127.3.0/24", Exit.CONFLICT, None),
        ("create red --ipv4 10.1.1.7/24", Exit.USAGE, "10.1.1.0/24"),
        ("attach blue nobody", Exit.NOT_FOUND, "ip netns add nobody"),
        ("attach bleu web", Exit.NOT_FOUND, "did you mean 'blue'?"),
        ("attach blue ndmz", Exit.CONFLICT, None),
        ("attach blue web --ipv4 10.1.1.9", Exit.CONFLICT, "zosnet-agent nr detach blue web"),
        ("show bleu", Exit.NOT_FOUND, "did you mean 'blue'?"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(
    blue: Home, words: str, code: Exit, hint: str | None
) -> None:
    before = items(blue)
    error = refused(blue, *shlex.split(words))

    assert error["code"] == code
    assert error["error"].startswith("cannot ")
    assert hint is None or hint in error["hint"]
    assert items(blue) == before


# -- the size of packets

SMALL = 1400
LARGE_SEGMENTS = f"""
table inet sizes {{
    chain seen {{
        type filter hook input priority -300; policy accept;
        tcp flags & (syn | rst) == syn tcp option maxseg size > {SMALL - 40} counter comment "large"
        tcp flags & (syn | rst) == syn counter comment "all"
    }}
}}
"""


@contextmanager
def narrow(home: Home) -> Iterator[None]:
    """The node's uplink takes smaller packets than usual."""
    home.node.script(f"ip link set eth0 mtu {SMALL}")
    try:
        yield
    finally:
        home.node.script("ip link set eth0 mtu 1500")


def sizes(home: Home) -> tuple[int, int]:
    """TCP connections that the Internet has seen begin: with large segments, all of them."""
    listed = home.inet.output("nft", "list", "table", "inet", "sizes")
    large, every = [int(part.split()[0]) for part in listed.split("packets ")[1:]]
    return large, every


def test_packets_are_as_large_as_the_uplink_takes_them(blue: Home) -> None:
    blue.inet.run("nft", "-f", "-", input=LARGE_SEGMENTS)

    def mtus() -> set[int]:
        ends = [("web", "eth0"), ("n-blue", "b-blue"), ("n-blue", "public"), ("ndmz", "tonrs")]
        shown = [blue.node.output("ip", "-n", s, "-j", "link", "show", name) for s, name in ends]
        return {json.loads(text)[0]["mtu"] for text in shown}

    usual = mtus()
    blue.reach("web", *WEB)
    before = sizes(blue)
    with narrow(blue):
        wait_until("smaller packets", lambda: mtus() == {SMALL}, timeout=REPAIR)
        said = item(blue)["mtu"]
        blue.inet.run("nft", "flush", "table", "inet", "sizes")
        blue.inet.run("nft", "delete", "table", "inet", "sizes")
        blue.inet.run("nft", "-f", "-", input=LARGE_SEGMENTS)
        reached = blue.reach("web", *WEB)
        narrowed = sizes(blue)
        # as a workload that knows better
        inside(blue, "web", "ip link set eth0 mtu 1500")
        blue.reach("web", *WEB)
        clamped = sizes(blue)
    wait_until("usual packets", lambda: mtus() == {1500}, timeout=REPAIR)
    blue.inet.run("nft", "delete", "table", "inet", "sizes")

    assert (usual, said) == ({1500}, SMALL)
    assert before[0] == before[1] > 0
    assert reached == INTERNET
    assert narrowed[0] == clamped[0] == 0 < narrowed[1] < clamped[1]


# -- what the document shows

SECTION = "\n## Networks of a node's own: `zosnet-agent nr`\n"
OUTSIDE = re.compile(r"100\.127\.\d+\.\d+|fd(?!12)[0-9a-f:]+")


def test_the_document_shows_what_the_commands_print(home: Home) -> None:
    text = (TREE / "docs/operating.md").read_text().partition(SECTION)[2].partition("\n## ")[0]
    shown = [
        c
        for b in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for c in commands(b)
    ]
    printed = [shell(home, command) for command, _ in shown]
    home.node.script("ip netns delete web")

    assert len(shown) > 8
    for (_, before), now in zip(shown, printed, strict=True):
        assert steady(before) == steady(now)


def shell(home: Home, command: str) -> str:
    done = home.node.run("sh", "-c", f"exec 2>&1; {command}", check=False)
    return done.stdout


def steady(text: str) -> str:
    """Without the addresses that another node has, which move columns."""
    return re.sub(r" +", " ", OUTSIDE.sub("OUTSIDE", text))
