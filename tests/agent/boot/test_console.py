"""What a person before the node reads while it boots."""

from pathlib import Path

from agent.boot.console import news
from agent.boot.journal import Journal
from agent.boot.status import BootStatus, Nic, Step, Uplink

ETH0 = Nic(name="eth0", reason="no carrier")
ETH10 = Nic(name="eth10", reason="no answer to DHCP; no router advertisement")
UPLINK = Uplink(
    nic="eth0", reason="RFC1918 IPv4 192.168.7.2/24 by 192.168.7.1, the only one usable"
)


def test_a_boot_is_told_line_by_line(tmp_path: Path) -> None:
    said: list[str] = []
    clock = iter(range(1000))
    journal = Journal(
        0.0,
        None,
        path=tmp_path / "j",
        clock=lambda: next(clock) / 10,
        tell=lambda _, line: said.append(line),
    )
    for step in (Step.RECOVER, Step.SPACES, Step.MOVE, Step.RAISE, Step.PROBE):
        journal.begin(step)
    journal.note(nics=(ETH10, ETH0))
    journal.note(nics=(ETH0, ETH10))
    journal.note(resting_until=12.0)
    journal.note(resting_until=12.1, round=1)
    journal.note(resting_until=None, round=1)
    journal.note(uplink=UPLINK)
    for step in list(Step)[list(Step).index(Step.STORE) :]:
        journal.begin(step)
    journal.note(stands=True)

    assert said == [
        "asking for a network on eth0, eth10",
        f"no uplink yet: eth0: no carrier; eth10: {ETH10.reason}; asking again in 11 s",
        "uplink eth0: RFC1918 IPv4 192.168.7.2/24 by 192.168.7.1, the only one usable",
        "zos stands on eth0",
        "done: dhcp zos keeps the lease",
    ]


def test_a_later_run_that_finds_zos_says_so_and_asks_nobody(tmp_path: Path) -> None:
    said: list[tuple[float, str]] = []
    before = BootStatus(step=Step.UNIT, pid=1, uplink=UPLINK, nics=(ETH0,), seconds={"recover": 1})
    journal = Journal(
        0.0, before, path=tmp_path / "j", clock=lambda: 7.0, tell=lambda *line: said.append(line)
    )
    for step in (Step.RECOVER, Step.BRIDGE, Step.PORT, Step.UNIT, Step.DONE):
        journal.begin(step)

    assert said == [
        (7.0, "zos stands on eth0"),
        (7.0, "done: dhcp zos keeps the lease"),
    ]


def test_a_node_without_nics_says_that() -> None:
    before = BootStatus(step=Step.PROBE, pid=1, seconds={"recover": 0.1})
    now = BootStatus(step=Step.PROBE, pid=1, seconds={"recover": 0.1}, resting_until=5.0)

    assert news(before, now, elapsed=6.0) == ("no uplink yet: there is no NIC; asking again in 0 s")
    assert news(now, now, elapsed=6.0) is None


def test_a_nic_that_comes_later_is_asked_too() -> None:
    before = BootStatus(step=Step.PROBE, pid=1, seconds={"recover": 0.1}, nics=(ETH10,))
    now = BootStatus(step=Step.PROBE, pid=1, seconds={"recover": 0.1}, nics=(ETH10, ETH0))

    line = news(before, now, elapsed=1.0)

    assert line == "asking for a network on eth0, eth10"
