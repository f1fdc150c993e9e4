"""ensure_unit against the stand-in: twice is once, and a crash after any step is made good."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime.failure import CannotError, Exit
from tests.fakes.running import RunningZinit, alive, wait_for
from zinit.client import AbsentError, Client
from zinit.install import ensure_unit, remove_unit, write_unit
from zinit.units import Unit, render

OLD = Unit("svc", ("/bin/sleep", "100"))
NEW = Unit("svc", ("/bin/sleep", "200"))


@pytest.fixture
def client(zinit: RunningZinit) -> Client:
    return zinit.client


def runs(client: Client, unit: Unit) -> bool:
    """The service runs with the arguments of `unit`, or does so at once (an exec takes a moment)."""

    def seen() -> bool:
        status = client.status(unit.name)
        if status is None or not alive(status.pid):
            return False
        return "\0".join(unit.exec) in Path(f"/proc/{status.pid}/cmdline").read_text()

    wait_for(seen)
    return True


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_new_unit_is_written_and_runs(zinit: RunningZinit, client: Client) -> None:
    changed = ensure_unit(client, OLD, directory=zinit.units)

    assert changed
    assert runs(client, OLD)
    assert (zinit.units / "svc.yaml").read_text() == render(OLD)
    assert (zinit.units / "svc.yaml").stat().st_mode & 0o777 == 0o644
    assert names(zinit.units) == ["svc.yaml"]


def test_twice_is_once(zinit: RunningZinit, client: Client) -> None:
    ensure_unit(client, OLD, directory=zinit.units)
    before = zinit.status("svc"), (zinit.units / "svc.yaml").stat().st_mtime_ns
    changed = ensure_unit(client, OLD, directory=zinit.units)

    assert not changed
    assert before == (zinit.status("svc"), (zinit.units / "svc.yaml").stat().st_mtime_ns)


def test_a_changed_unit_replaces_the_process(zinit: RunningZinit, client: Client) -> None:
    ensure_unit(client, OLD, directory=zinit.units)
    pid = zinit.status("svc").pid
    changed = ensure_unit(client, NEW, directory=zinit.units)

    assert changed
    assert not alive(pid)
    assert runs(client, NEW)


def test_a_unit_that_waits_for_its_dependency_is_left_alone(
    zinit: RunningZinit, client: Client
) -> None:
    unit = replace(OLD, after=("internet",))
    ensure_unit(client, unit, directory=zinit.units)
    changed = ensure_unit(client, unit, directory=zinit.units)

    assert not changed
    assert zinit.state("svc") == "Blocked"


def test_a_finished_oneshot_is_not_run_again_and_a_failed_one_is(
    zinit: RunningZinit, client: Client, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    unit = Unit("once", ("/bin/sh", "-c", f"echo x >>{ran}; test -e {tmp_path}/go"), oneshot=True)
    ensure_unit(client, unit, directory=zinit.units)
    zinit.wait_state("once", "Error")
    (tmp_path / "go").touch()
    after_failure = ensure_unit(client, unit, directory=zinit.units)
    zinit.wait_state("once", "Success")
    after_success = ensure_unit(client, unit, directory=zinit.units)
    time.sleep(0.1)

    assert after_failure
    assert not after_success
    assert ran.read_text() == "x\nx\n"


def test_a_quick_oneshot_runs_once(zinit: RunningZinit, client: Client, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    unit = Unit("once", ("/bin/sh", "-c", f"echo x >>{ran}"), oneshot=True)
    for _ in range(5):
        ensure_unit(client, unit, directory=zinit.units)
        zinit.wait_state("once", "Success")
        remove_unit(client, "once", directory=zinit.units)

    assert ran.read_text() == "x\n" * 5


def test_a_stopped_service_is_started(zinit: RunningZinit, client: Client) -> None:
    ensure_unit(client, OLD, directory=zinit.units)
    client.stop("svc")
    changed = ensure_unit(client, OLD, directory=zinit.units)

    assert changed
    assert runs(client, OLD)


@pytest.mark.parametrize("step", ["stop", "forget", "write_atomic", "monitor"])
def test_a_crash_after_any_step_is_made_good_by_the_next_call(
    new_zinit: RunningZinit, step: str
) -> None:
    new_zinit.unit("svc", render(OLD))
    client = new_zinit.start().client
    code = crash_after(step, new_zinit)
    changed = ensure_unit(client, NEW, directory=new_zinit.units)

    assert code == -9
    assert changed is (step != "monitor")
    assert runs(client, NEW)
    assert (new_zinit.units / "svc.yaml").read_text() == render(NEW)


def crash_after(step: str, zinit: RunningZinit) -> int:
    """Call ensure_unit in a process that dies by SIGKILL right after `step`."""
    code = f"""
        import os, signal
        from pathlib import Path
        from runtime import files
        from zinit.client import Client
        from zinit.install import ensure_unit
        from zinit.units import Unit

        owner = files if {step!r} == "write_atomic" else Client
        real = getattr(owner, {step!r})

        def dying(*arguments, **options):
            real(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, {step!r}, dying)
        ensure_unit(Client(Path({str(zinit.socket)!r})), Unit("svc", ("/bin/sleep", "200")),
                    directory=Path({str(zinit.units)!r}))
    """
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False).returncode


def test_a_service_that_ignores_its_signal_is_killed(zinit: RunningZinit, client: Client) -> None:
    deaf = replace(OLD, exec=("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"))
    ensure_unit(client, deaf, directory=zinit.units)
    time.sleep(0.2)
    ensure_unit(client, NEW, directory=zinit.units, stop_s=0.3)

    assert runs(client, NEW)


def test_a_service_does_not_replace_its_own_unit(
    zinit: RunningZinit, client: Client, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from zinit.client import Client\n"
        "from zinit.install import ensure_unit; from zinit.units import Unit\n"
        "try: ensure_unit(Client(Path(sys.argv[1])), Unit('self', ('/bin/true',)),"
        " directory=Path(sys.argv[2]))\n"
        "except Exception as error: Path(sys.argv[3]).write_text(str(error))\n"
    )
    said = tmp_path / "said"
    argv = (sys.executable, "-c", f"exec({code!r})", str(zinit.socket), str(zinit.units), str(said))
    ensure_unit(client, Unit("self", argv, oneshot=True), directory=zinit.units)
    zinit.wait_state("self", "Success", 10)

    assert said.read_text() == "cannot replace the unit self: this process runs in it"


def test_a_program_that_is_not_there_is_refused_before_anything_is_touched(
    zinit: RunningZinit, client: Client
) -> None:
    ensure_unit(client, OLD, directory=zinit.units)
    for unit in (
        replace(NEW, exec=("/no/such/program",)),
        replace(NEW, test=("/no/such/program",)),
    ):
        with pytest.raises(CannotError, match="/no/such/program is no program") as error:
            ensure_unit(client, unit, directory=zinit.units)
        assert error.value.code == Exit.USAGE

    assert runs(client, OLD)


def test_without_a_zinit_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(AbsentError):
        ensure_unit(Client(tmp_path / "none"), OLD, directory=tmp_path)

    assert names(tmp_path) == []


def test_units_written_before_zinit_starts_are_taken_as_they_are(new_zinit: RunningZinit) -> None:
    written = [write_unit(OLD, directory=new_zinit.units) for _ in range(2)]
    client = new_zinit.start().client
    changed = ensure_unit(client, OLD, directory=new_zinit.units)

    assert written == [True, False]
    assert not changed
    assert runs(client, OLD)


def test_a_removed_unit_is_gone_from_zinit_and_from_the_disk(
    zinit: RunningZinit, client: Client
) -> None:
    ensure_unit(client, OLD, directory=zinit.units)
    pid = zinit.status("svc").pid
    first = remove_unit(client, "svc", directory=zinit.units)
    second = remove_unit(client, "svc", directory=zinit.units)

    assert (first, second) == (True, False)
    assert not alive(pid)
    assert client.status("svc") is None
    assert names(zinit.units) == []
