"""Clock, rights, supervisor and units, as they cannot be spoiled on a machine that others use."""

from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.doctor.finding import Finding, Verdict, refused
from agent.doctor.machine import check_clock, check_rights, check_supervisor, check_units, programs
from runtime.failure import CannotError
from tests.fakes.running import RunningZinit, wait_for
from zinit import units
from zinit.client import Client, State
from zinit.install import write_unit
from zinit.units import Unit

NOW_MS = 1_900_000_000_000
DAY_MS = 86_400_000


def clock(path: Path, now_ms: int, config: AgentConfig | None = None) -> Finding:
    return check_clock(path, config or AgentConfig(), wall=lambda: now_ms)


def test_a_clock_of_1970_is_told_and_how_to_set_it(tmp_path: Path) -> None:
    never = clock(tmp_path / "clock", 0)

    assert never.verdict == Verdict.WARN
    assert never.said == "1970-01-01 00:00 UTC: it was never set"
    assert "date -s" in never.todo
    assert "clock: step" in never.todo
    assert "clock: step" not in clock(tmp_path / "clock", 0, AgentConfig(clock="step")).todo
    assert clock(tmp_path / "clock", NOW_MS).verdict == Verdict.OK


def test_a_clock_behind_what_the_node_has_lived_through_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "clock").write_text(f"{NOW_MS} 0 another-boot\n")
    behind = clock(tmp_path / "clock", NOW_MS - DAY_MS)

    assert behind.verdict == Verdict.FAIL
    assert "86400 s behind" in behind.said
    assert clock(tmp_path / "clock", 0).verdict == Verdict.FAIL
    assert clock(tmp_path / "clock", NOW_MS + 1000).verdict == Verdict.OK  # it saves each minute


@pytest.mark.parametrize(
    ("held", "clock", "lacking"),
    [
        ("000001ffffffffff", "step", ""),
        ("0000000000203000", "report", ""),
        ("0000000000203000", "step", "CAP_SYS_TIME"),
        ("0000000000202000", "report", "CAP_NET_ADMIN"),
        ("0000000000000000", "report", "CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN"),
    ],
)
def test_rights_that_root_lacks_are_named(
    held: str, clock: str, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    config = AgentConfig(clock="step" if clock == "step" else "report")
    found = check_rights(f"CapPrm:\t0\nCapEff:\t{held}\nCapBnd:\t0\n", config)

    assert (found.verdict == Verdict.FAIL) == bool(lacking)
    assert found.said == (f"root lacks {lacking} here" if lacking else "all that are needed")


def test_services_that_zinit_lacks_or_gave_up_are_told(tmp_path: Path) -> None:
    zinit = RunningZinit(tmp_path).start()
    try:
        zinit.run("internet", "exec: /bin/false\noneshot: true\n")
        zinit.run("networkd", "exec: sleep 100\n")
        client = Client(zinit.socket)
        wait_for(lambda: client.list()["internet"] == State.ERROR)
        found = {f.about: f for f in check_supervisor("zinit", client)}
    finally:
        zinit.end()

    assert found["supervisor"].verdict == Verdict.OK
    assert found["service internet"].verdict == Verdict.FAIL
    assert found["service internet"].todo == "zinit log internet"
    assert found["service dhcp-zos"].verdict == Verdict.WARN
    assert found["service networkd"].verdict == Verdict.OK


def test_every_program_that_our_units_name_is_looked_for(tmp_path: Path) -> None:
    agent = tmp_path / "zosnet agent"
    agent.write_text("#!/bin/sh\n")
    agent.chmod(0o755)
    for unit in (units.internet(agent), units.dhcp_zos(agent), units.networkd(agent)):
        write_unit(unit, directory=tmp_path)
        assert str(agent) in programs(units.render(unit))
    well = check_units(tmp_path)
    agent.unlink()
    gone = check_units(tmp_path)

    assert [f.verdict for f in well] == [Verdict.OK] * 3
    assert [f.verdict for f in gone] == [Verdict.FAIL] * 3
    assert all(str(agent) in f.said for f in gone)


def test_a_unit_that_is_none_is_said() -> None:
    assert programs(units.render(Unit("x", ("/bin/sh", "-c", "echo hi")))) == ["/bin/sh"]
    for text in ("", "exec: [", "test: /bin/true", 'exec: "/bin/sh -c \'"'):
        with pytest.raises(CannotError, match="cannot read a unit"):
            programs(text)


def test_root_that_is_refused_has_a_failure_and_nobody_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = PermissionError(1, "Operation not permitted")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    root = refused("x", error)
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    assert root.verdict == Verdict.FAIL
    assert refused("x", error).verdict == Verdict.UNKNOWN
    assert refused("x", OSError(5, "Input/output error")).verdict == Verdict.FAIL
