"""The stand-in does what was measured of zinit 0.2.11 (and of 0.2.28 where it says so)."""

import json
import socket
import time
from pathlib import Path

import pytest

from tests.fakes.running import RunningZinit, alive, kill, wait_for


def test_answers_are_one_json_object_and_then_the_connection_ends(zinit: RunningZinit) -> None:
    assert zinit.raw("list\n") == b'{"state":"ok","body":{}}'


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("status x", 'service name "x" unknown'),
        ("start x", 'service name "x" unknown'),
        ("kill up SIGWHAT", "EINVAL: Invalid argument"),
        ("kill down SIGTERM", 'service "down" is down'),
        ("forget up", 'service "up" is up'),
        ("monitor up", 'service "up" already monitored'),
        ("monitor nofile", "failed to load service config"),
        ("stop", "unknown command 'stop' or wrong arguments count"),
        ("bogus", "unknown command 'bogus' or wrong arguments count"),
        ("", "unknown command"),
        ("log what", "invalid log command arguments"),
        (
            '{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}',
            "unknown command '{jsonrpc:2.0,id:1,method:rpc.discover}' or wrong arguments count",
        ),
    ],
)
def test_errors_have_the_texts_of_0_2_11(zinit: RunningZinit, asked: str, said: str) -> None:
    zinit.run("up", "exec: sleep 100")
    zinit.run("down", "exec: 'true'\noneshot: true")
    zinit.wait_state("down", "Success")

    assert zinit.ask(asked) == {"state": "error", "body": said}
    assert zinit.ask("list more words")["state"] == "ok"


def test_status_has_pid_state_target_and_the_states_of_what_it_waits_for(
    zinit: RunningZinit,
) -> None:
    zinit.run("first", "exec: sleep 100")
    zinit.run("second", "exec: sleep 100\nafter: [first, never]")
    zinit.wait_state("first", "Running")
    first, second = zinit.status("first"), zinit.status("second")

    assert alive(first.pop("pid"))
    assert first == {"name": "first", "state": "Running", "target": "Up", "after": {}}
    assert second == {
        "name": "second",
        "pid": 0,
        "state": "Blocked",
        "target": "Up",
        "after": {"first": "Running", "never": "Unknown"},
    }


def test_unit_files_present_at_the_start_run_and_yml_files_do_not(
    new_zinit: RunningZinit,
) -> None:
    zinit = new_zinit
    zinit.unit("good", "exec: sleep 100\nnobody_knows: this key")
    zinit.unit("bad", "exec: sleep 100\nlog: null")
    (zinit.units / "other.yml").write_text("exec: sleep 100")
    zinit.start()
    said = zinit.ask("list")
    zinit.end()

    assert said == {"state": "ok", "body": {"good": "Running"}}
    assert "unknown variant `null`" in zinit.errors.read_text()


def test_a_oneshot_that_fails_is_never_retried_and_what_waits_for_it_stays_blocked(
    zinit: RunningZinit,
) -> None:
    zinit.run("boot", f"exec: test -e {zinit.units}/go\noneshot: true")
    zinit.run("next", "exec: sleep 100\nafter: [boot]")
    zinit.wait_state("boot", "Error(Exited(Pid(")
    failed = zinit.state("boot")
    time.sleep(2.3)

    assert zinit.ask("list")["body"] == {"boot": failed, "next": "Blocked"}
    assert failed.endswith("), 1))")
    (zinit.units / "go").touch()
    zinit.ask("start boot")
    zinit.wait_state("next", "Running")
    assert zinit.state("boot") == "Success"


def test_others_start_again_after_two_seconds_however_they_end(zinit: RunningZinit) -> None:
    zinit.run("fails", f"exec: sh -c 'date +%s.%N >>{zinit.units}/fails; exit 1'")
    zinit.run("ends", f"exec: sh -c 'date +%s.%N >>{zinit.units}/ends'")
    zinit.run("killed", "exec: sleep 100")
    pid = zinit.status("killed")["pid"]
    kill(pid)
    zinit.wait_state("fails", "Error(Exited(Pid(")
    zinit.wait_state("ends", "Success")
    zinit.wait_state("killed", f"Error(Signaled(Pid({pid}), SIGKILL, false))")
    wait_for(lambda: zinit.status("killed")["pid"] not in (0, pid))
    wait_for(lambda: min(len(starts(zinit, "fails")), len(starts(zinit, "ends"))) >= 2)

    for name in ("fails", "ends"):
        first, second = (float(moment) for moment in starts(zinit, name)[:2])
        assert 1.95 < second - first < 6  # the start of sh on a busy machine counts too


def starts(zinit: RunningZinit, name: str) -> list[str]:
    return (zinit.units / name).read_text().split()


def test_an_exec_that_is_not_there_is_a_failure_and_not_tried_again(zinit: RunningZinit) -> None:
    zinit.run("gone", "exec: /no/such/program")
    zinit.run("here", "exec: sleep 100")

    assert zinit.state("gone") == "Failure"
    assert zinit.state("here") == "Running"
    assert zinit.ask("forget gone")["body"] == 'service "gone" is up'


def test_readiness_is_asked_each_two_seconds_and_frees_what_waits(zinit: RunningZinit) -> None:
    ready = zinit.units / "ready"
    zinit.run(
        "server",
        f"exec: sleep 100\ntest: sh -c 'date +%s.%N >>{zinit.units}/asked; test -e {ready}'",
    )
    zinit.run("client", "exec: sleep 100\nafter: [server]")
    wait_for((zinit.units / "asked").exists)
    time.sleep(0.2)
    before = zinit.ask("list")["body"]
    ready.touch()
    zinit.wait_state("client", "Running")
    asked = [float(t) for t in (zinit.units / "asked").read_text().split()]

    assert before == {"server": "Spawned", "client": "Blocked"}
    assert zinit.state("server") == "Running"
    assert len(asked) == 2
    assert 1.95 < asked[1] - asked[0] < 2.8


def test_a_test_that_is_not_there_is_a_test_failure(zinit: RunningZinit) -> None:
    zinit.run("server", "exec: sleep 100\ntest: /no/such/program")

    assert zinit.state("server") == "TestFailure"


def test_a_dependency_that_dies_later_does_not_stop_its_dependents(zinit: RunningZinit) -> None:
    zinit.run("first", "exec: sleep 100")
    zinit.run("second", "exec: sleep 100\nafter: [first]")
    zinit.wait_state("second", "Running")
    zinit.ask("stop first")
    zinit.wait_state("first", "Error")

    assert zinit.state("second") == "Running"


def test_stop_signals_the_whole_group_and_returns_at_once(zinit: RunningZinit) -> None:
    zinit.run(
        "stubborn",
        f"exec: sh -c 'trap \"\" TERM; sleep 100 & echo $! >{zinit.units}/child; wait; sleep 100'",
    )
    zinit.run("polite", f"exec: sh -c 'sleep 100 & echo $! >{zinit.units}/kid; wait'")
    wait_for((zinit.units / "kid").exists)
    time.sleep(0.1)
    kid = int((zinit.units / "kid").read_text())
    began = time.monotonic()
    said = [zinit.ask("stop stubborn"), zinit.ask("stop polite")]
    took = time.monotonic() - began
    wait_for(lambda: not alive(kid))

    assert said == [{"state": "ok", "body": None}] * 2
    assert took < 0.5
    assert zinit.status("stubborn")["target"] == "Down"
    assert zinit.status("stubborn")["pid"] > 0
    assert zinit.ask("forget stubborn")["body"] == 'service "stubborn" is up'
    assert zinit.ask("kill stubborn SIGKILL")["state"] == "ok"
    zinit.wait_state("stubborn", "Error(Signaled")
    assert zinit.ask("forget stubborn")["state"] == "ok"
    assert zinit.ask("list")["body"].keys() == {"polite"}


def test_a_changed_file_is_read_only_by_monitor(zinit: RunningZinit) -> None:
    zinit.run("a", "exec: sleep 100")
    zinit.unit("a", "exec: sleep 200")
    zinit.ask("stop a")
    zinit.wait_state("a", "Error")
    zinit.ask("forget a")
    zinit.ask("monitor a")

    pid = zinit.status("a")["pid"]
    wait_for(Path(f"/proc/{pid}/cmdline").read_bytes)

    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00200\x00"


def test_output_goes_to_the_ring_with_the_services_name_and_to_a_file(
    zinit: RunningZinit,
) -> None:
    zinit.run("speaks", "exec: sh -c 'echo one; echo two >&2; printf three'\noneshot: true")
    zinit.run("silent", "exec: echo never\noneshot: true\nlog: none")
    zinit.wait_state("silent", "Success")
    wait_for(lambda: b"three" in zinit.raw("log snapshot\n"))
    lines = zinit.raw("log snapshot\n").decode().splitlines()

    assert sorted(lines) == ["[+] speaks: one", "[+] speaks: three", "[-] speaks: two"]
    assert sorted((zinit.logs / "speaks.log").read_text().split()) == ["one", "three", "two"]


def test_log_follows(zinit: RunningZinit) -> None:
    with socket.socket(socket.AF_UNIX) as follower:
        follower.settimeout(5)
        follower.connect(str(zinit.socket))
        follower.sendall(b"log\n")
        zinit.run("speaks", "exec: echo hello\noneshot: true")

        assert follower.recv(100) == b"[+] speaks: hello\n"


def test_environment_and_directory_are_the_units(zinit: RunningZinit) -> None:
    zinit.run("env", "exec: sh -c 'echo $PORT $PWD'\noneshot: true\nenv: {PORT: 80}\ndir: /usr")
    wait_for(lambda: zinit.raw("log snapshot\n"))

    assert zinit.raw("log snapshot\n") == b"[+] env: 80 /usr\n"


def test_the_end_takes_all_services_along_dependents_first(
    zinit: RunningZinit, tmp_path: Path
) -> None:
    note = f"trap 'echo $0 >>{tmp_path}/order; exit' TERM; sleep 100 & wait"
    zinit.run("first", f'exec: sh -c "{note}" first')
    zinit.run("second", f'exec: sh -c "{note}" second\nafter: [first]')
    zinit.run(
        "deaf", "exec: sh -c 'trap \"\" TERM; while :; do sleep 1; done'\nshutdown_timeout: 1"
    )
    zinit.wait_state("second", "Running")
    time.sleep(0.2)
    pids = [zinit.status(name)["pid"] for name in ("first", "second", "deaf")]
    began = time.monotonic()
    code = zinit.end()

    assert code == 0
    assert 0.9 < time.monotonic() - began < 5
    assert (tmp_path / "order").read_text().split() == ["second", "first"]
    assert [alive(pid) for pid in pids] == [False] * 3
    assert not zinit.socket.exists()


def test_units_that_wait_for_one_another_do_not_keep_the_end_waiting(zinit: RunningZinit) -> None:
    zinit.run("a", "exec: sleep 100\nafter: [b]")
    zinit.run("b", "exec: sleep 100\nafter: [a]")

    assert zinit.ask("list")["body"] == {"a": "Blocked", "b": "Blocked"}
    assert zinit.end() == 0


def test_strangers_that_say_nothing_or_far_too_much_do_no_harm(zinit: RunningZinit) -> None:
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as loud:
        silent.connect(str(zinit.socket))
        loud.connect(str(zinit.socket))
        with pytest.raises(OSError):  # noqa: PT012  # which of the sends is refused does not matter
            for _ in range(100):
                loud.sendall(b"x" * 10_000)
                time.sleep(0.001)

        assert zinit.ask("list")["state"] == "ok"


def test_json_rpc_has_the_same_services_and_kills_half_a_second_after_stop(
    new_zinit: RunningZinit,
) -> None:
    zinit = new_zinit.start(speak="rpc")
    zinit.unit("deaf", "exec: sh -c 'trap \"\" TERM; while :; do sleep 1; done'")
    said = zinit.rpc("service_monitor", "deaf")
    time.sleep(0.2)
    found = zinit.rpc("rpc.discover")
    unknown = zinit.rpc("service_status", "x")
    began = time.monotonic()
    zinit.rpc("service_stop", "deaf")
    took = time.monotonic() - began
    wait_for(lambda: zinit.rpc("service_status", "deaf")["result"]["pid"] == 0)
    zinit.end()

    assert said == {"jsonrpc": "2.0", "id": 7, "result": None}
    assert json.loads(found["result"])["openrpc"]
    assert unknown["error"]["code"] == -32000
    assert 0.45 < took < 1.5
