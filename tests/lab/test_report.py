"""View, report and progress, without a farm."""

import io
import json
from pathlib import Path

import pytest

from lab.checks import Check, Pair
from lab.knock import Answer
from lab.progress import Progress
from lab.report import make_report, render, write
from lab.view import NodeView, as_row, look
from runtime.failure import CannotError

INTERNET = {
    "step": "done",
    "pid": 7,
    "uplink": {"nic": "eth0", "class": "rfc1918", "reason": "private IPv4"},
    "nics": [{"name": "eth0", "ipv4": "192.168.7.100/24", "ipv6": ["2001:db8:b:1::5/64"]}],
    "seconds": {"probe": 0.1, "done": 0.25},
}
NDMZ = {"ready4": True, "ready6": False, "addresses": ["192.168.7.101/24"]}
NETWORKD = {
    "seconds": {"ndmz": 0.4, "admitted": 0.5, "overlay": 0.75, "first_ping": 0.8},
    "networks": [{"name": "home", "namespace": "n-1", "addresses": ["10.90.0.2/16", "fd90::2/64"]}],
}


def node(root: Path, **status: object) -> NodeView:
    run = root / "run/zosnet"
    run.mkdir(parents=True, exist_ok=True)
    for name, content in status.items():
        (run / f"{name}.json").write_text(json.dumps(content))
    return look(root, "n2", "behind NAT")


def test_a_view_has_what_the_status_files_say(tmp_path: Path) -> None:
    view = node(tmp_path, internet=INTERNET, ndmz=NDMZ, networkd=NETWORKD)

    assert view.seconds == {
        "uplink": 0.25,
        "ndmz": 0.4,
        "admitted": 0.5,
        "overlay": 0.75,
        "first_ping": 0.8,
    }
    assert view.overlay == ("10.90.0.2", "fd90::2")
    assert view.namespace == "n-1"
    assert as_row(view)["uplink"] == "eth0 (private IPv4)"
    assert as_row(view)["ndmz"] == ["IPv4"]


def test_a_node_that_says_nothing_or_nonsense_has_an_empty_view(tmp_path: Path) -> None:
    nothing = look(tmp_path / "no-such-node", "n2", "")
    nonsense = node(tmp_path, internet="no status at all")

    assert (nothing.seconds, nothing.overlay, nothing.namespace) == ({}, (), "")
    assert nonsense.boot.uplink is None


def test_a_report_has_the_shape_that_programs_rely_on(tmp_path: Path) -> None:
    view = node(tmp_path, internet=INTERNET, ndmz=NDMZ, networkd=NETWORKD)
    pair = Pair("n2", "n1", "10.90.0.1", Answer("answer", "0.4 ms"))
    report = make_report({"n2": view}, [pair], [Check("c", ok=True, detail="d")])
    write(tmp_path / "r.json", report)

    assert json.loads((tmp_path / "r.json").read_text()) == {
        "ok": True,
        "nodes": [
            {
                "name": "n2",
                "layout": "behind NAT",
                "uplink": {"nic": "eth0", "class": "rfc1918", "reason": "private IPv4"},
                "ipv4": "192.168.7.100/24",
                "ipv6": ["2001:db8:b:1::5/64"],
                "ndmz": {"ready4": True, "ready6": False},
                "overlay": ["10.90.0.2", "fd90::2"],
                "seconds": {
                    "uplink": 0.25,
                    "ndmz": 0.4,
                    "admitted": 0.5,
                    "overlay": 0.75,
                    "first_ping": 0.8,
                },
            }
        ],
        "pings": [
            {
                "from": "n2",
                "to": "n1",
                "address": "10.90.0.1",
                "via": "",
                "ok": True,
                "detail": "0.4 ms",
            }
        ],
        "checks": [{"name": "c", "ok": True, "detail": "d"}],
    }


@pytest.mark.parametrize("checks", [[], [Check("a", ok=True, detail=""), Check("b", False, "")]])
def test_a_report_is_ok_only_when_there_were_checks_and_all_passed(checks: list[Check]) -> None:
    assert make_report({}, [], checks)["ok"] is False
    assert make_report({}, [], [Check("a", ok=True, detail="")])["ok"] is True


def test_a_person_sees_who_is_silent_and_what_failed(tmp_path: Path) -> None:
    view = node(tmp_path, internet=INTERNET, ndmz=NDMZ, networkd=NETWORKD)
    pairs = [
        Pair("n2", "n2", "fd90::1", Answer("silent")),
        Pair("n2", "n2", "10.90.0.1", Answer("answer", "0.4 ms")),
    ]
    shown = render(make_report({"n2": view}, pairs, [Check("door", ok=False, detail="open")]))

    assert "eth0: private IPv4" in shown
    assert "0.4 ms / SILENT" in shown
    assert "FAIL  door\n      open" in shown


def test_a_node_without_an_uplink_shows_what_its_cards_lack_and_no_seconds(tmp_path: Path) -> None:
    waiting = {"step": "probe", "nics": [{"name": "eth0", "reason": "no carrier"}]}
    report = make_report({"n2": node(tmp_path, internet=waiting)}, [], [Check("c", True, "")])

    assert report["nodes"][0]["uplink"]["reason"] == "eth0: no carrier"
    assert "none: eth0: no carrier" in render(report)
    assert "SECONDS" not in render(report)


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(CannotError) as said:
        write(tmp_path / "no/such/r.json", {})

    assert said.value.message.startswith("cannot write the report to")


def test_without_a_terminal_each_phase_is_one_line(tmp_path: Path) -> None:
    shown = io.StringIO()
    progress = Progress(shown)
    progress.show({"n2": node(tmp_path, internet=INTERNET)})
    progress.show({"n2": node(tmp_path, internet=INTERNET)})
    progress.show({"n2": node(tmp_path, networkd=NETWORKD)})
    lines = [line.partition(" s  ")[2] for line in shown.getvalue().splitlines()]

    assert lines == [
        "n2  uplink after 0.25 s: eth0, private IPv4 (192.168.7.100/24, 2001:db8:b:1::5/64)",
        "n2  ndmz after 0.40 s",
        "n2  admitted after 0.50 s",
        "n2  overlay after 0.75 s: 10.90.0.2, fd90::2",
        "n2  first ping after 0.80 s",
    ]


def test_on_a_terminal_the_table_is_painted_over_and_taken_away(tmp_path: Path) -> None:
    shown = io.StringIO()
    progress = Progress(shown, live=True)
    progress.show({"n2": node(tmp_path, internet=INTERNET)})
    first = shown.getvalue()
    progress.show({"n2": node(tmp_path, internet=INTERNET)})
    unchanged = shown.getvalue()
    progress.show({"n2": node(tmp_path, networkd=NETWORKD)})
    progress.finish()
    painted = shown.getvalue()

    assert "eth0: private IPv4" in first
    assert unchanged == first
    assert painted.count("\x1b[2A\x1b[J") == 2
    assert painted.endswith("\x1b[J")
