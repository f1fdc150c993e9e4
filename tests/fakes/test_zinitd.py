"""What zinit does, and so does the stand-in: shown of each version, of a real one with ZINIT_BIN.

| behaviour | 0.2.11 | 0.2.15 to 0.2.28 |
|---|---|---|
| states, restarts after 2 s, oneshots, `after`, `test`, unit files | one test shows it of all | |
| asked by | a line a connection | JSON-RPC |
| says why it refuses | in text | from 0.2.28 on, by a code |
| `stop` | signals and returns | returns after two pauses of 0.5 s, then by SIGKILL |
"""

import json
import signal
import socket
import time
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.running import STAND_INS, RunningZinit, alive, kill, wait_for
from zinit.client import ServiceUpError, State

DEAF = "exec: sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 0.1; done'"


def wait_deaf(zinit: RunningZinit, name: str) -> int:
    """Its pid, once it hears nothing any more."""
    wait_for(lambda: "deaf" in zinit.client.log(name))
    return zinit.status(name).pid


def test_answers_are_one_json_object_and_then_the_connection_ends(
    line_zinit: RunningZinit,
) -> None:
    assert line_zinit.raw("list\n") == b'{"state":"ok","body":{}}'


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
def test_errors_have_the_texts_of_0_2_11(line_zinit: RunningZinit, asked: str, said: str) -> None:
    line_zinit.run("up", "exec: sleep 100")
    line_zinit.run("down", "exec: 'true'\noneshot: true")
    line_zinit.wait_state("down", "Success")

    assert line_zinit.ask(asked) == {"state": "error", "body": said}
    assert line_zinit.ask("list more words")["state"] == "ok"


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("service_status", "x"), -32000, "getting status: service 'x' not found"),
        (("service_start", "x"), -32000, "starting service: service 'x' not found"),
        (("service_kill", "up", "SIGWHAT"), -32004, "parsing signal: invalid signal 'SIGWHAT'"),
        (("service_kill", "down", "SIGTERM"), -32003, "sending signal: service 'down' is down"),
        (("service_forget", "up"), -32002, "forgetting service: service 'up' is up"),
        (("service_monitor", "up"), -32001, "monitoring service: service 'up' already monitored"),
        (("service_monitor", "no"), -32005, "monitoring service: failed to load 'no.yaml'"),
        (("service_monitor", "a.b"), -32602, "monitoring service: invalid service name 'a.b'"),
        (("service_bogus",), -32601, "Method not found"),
    ],
)
def test_json_rpc_refuses_with_a_code_from_0_2_28_on(
    rpc_zinit: RunningZinit, asked: tuple[str, ...], code: int, said: str
) -> None:
    rpc_zinit.run("up", "exec: sleep 100")
    rpc_zinit.run("down", "exec: 'true'\noneshot: true")
    rpc_zinit.wait_state("down", "Success")
    error = rpc_zinit.rpc(*asked)["error"]

    if "data" in error or code == -32601:
        assert (error["code"], error["message"]) == (code, said)
    else:  # 0.2.15 to 0.2.27
        terse = (-32002, "Server error") if asked[0] == "service_start" else (-32603,)
        assert (error["code"], error["message"])[: len(terse)] == terse
        assert rpc_zinit.kind != "0.2.28"


def test_json_rpc_answers_are_a_line_each(rpc_zinit: RunningZinit) -> None:
    assert json.loads(rpc_zinit.rpc("rpc.discover")["result"])["openrpc"]
    assert rpc_zinit.rpc("service_list") == {"jsonrpc": "2.0", "id": 7, "result": {}}


def test_status_has_pid_state_target_and_the_states_of_what_it_waits_for(
    zinit: RunningZinit,
) -> None:
    zinit.run("first", "exec: sleep 100")
    zinit.run("second", "exec: sleep 100\nafter: [first, never]")
    zinit.wait_state("first", "Running")
    zinit.wait_state("second", "Blocked")
    first, second = zinit.status("first"), zinit.status("second")

    assert alive(first.pid)
    assert (first.name, first.state, first.target_up, first.after) == (
        "first",
        State.RUNNING,
        True,
        {},
    )
    assert (second.pid, second.target_up) == (0, True)
    assert second.after == {"first": State.RUNNING, "never": State.UNKNOWN}


def test_unit_files_present_at_the_start_run_and_yml_files_do_not(
    new_zinit: RunningZinit,
) -> None:
    zinit = new_zinit
    zinit.unit("good", "exec: sleep 100\nnobody_knows: this key")
    zinit.unit("bad", "exec: sleep 100\nlog: null")
    (zinit.units / "other.yml").write_text("exec: sleep 100")
    zinit.start()
    zinit.wait_state("good", "Running")

    assert zinit.client.list() == {"good": State.RUNNING}
    assert "unknown variant `null`" in zinit.output.read_text()


def test_a_oneshot_that_fails_is_never_retried_and_what_waits_for_it_stays_blocked(
    zinit: RunningZinit,
) -> None:
    zinit.run("boot", f"exec: test -e {zinit.units}/go\noneshot: true")
    zinit.run("next", "exec: sleep 100\nafter: [boot]")
    zinit.wait_state("boot", "Error(Exited(Pid(")
    failed = zinit.state("boot")
    time.sleep(2.3)

    assert (zinit.state("boot"), zinit.state("next")) == (failed, "Blocked")
    assert failed.endswith("), 1))")
    (zinit.units / "go").touch()
    zinit.client.start("boot")
    zinit.wait_state("next", "Running")
    assert zinit.state("boot") == "Success"


def test_others_start_again_after_two_seconds_however_they_end(zinit: RunningZinit) -> None:
    zinit.run("fails", f"exec: sh -c 'date +%s.%N >>{zinit.units}/fails; exit 1'")
    zinit.run("ends", f"exec: sh -c 'date +%s.%N >>{zinit.units}/ends'")
    zinit.run("killed", "exec: sleep 100")
    zinit.wait_state("killed", "Running")
    pid = zinit.status("killed").pid
    kill(pid)
    zinit.wait_state("fails", "Error(Exited(Pid(")
    zinit.wait_state("ends", "Success")
    zinit.wait_state("killed", f"Error(Signaled(Pid({pid}), SIGKILL, false))")
    wait_for(lambda: zinit.status("killed").pid not in (0, pid))
    wait_for(lambda: min(len(starts(zinit, "fails")), len(starts(zinit, "ends"))) >= 2)

    for name in ("fails", "ends"):
        first, second = (float(moment) for moment in starts(zinit, name)[:2])
        assert 1.95 < second - first < 6  # the start of sh on a busy machine counts too


def starts(zinit: RunningZinit, name: str) -> list[str]:
    return (zinit.units / name).read_text().split()


def test_an_exec_that_is_not_there_is_a_failure_and_not_tried_again(zinit: RunningZinit) -> None:
    zinit.run("gone", "exec: /no/such/program")
    zinit.run("here", "exec: sleep 100")
    zinit.wait_state("gone", "Failure")
    zinit.wait_state("here", "Running")

    with pytest.raises(ServiceUpError):
        zinit.client.forget("gone")


def test_readiness_is_asked_each_two_seconds_and_frees_what_waits(zinit: RunningZinit) -> None:
    ready = zinit.units / "ready"
    zinit.run(
        "server",
        f"exec: sleep 100\ntest: sh -c 'date +%s.%N >>{zinit.units}/asked; test -e {ready}'",
    )
    zinit.run("client", "exec: sleep 100\nafter: [server]")
    wait_for((zinit.units / "asked").exists)
    time.sleep(0.2)
    before = zinit.client.list()
    ready.touch()
    zinit.wait_state("client", "Running")
    asked = [float(t) for t in (zinit.units / "asked").read_text().split()]

    assert before == {"server": State.SPAWNED, "client": State.BLOCKED}
    assert zinit.state("server") == "Running"
    assert len(asked) == 2
    assert 1.95 < asked[1] - asked[0] < 2.8


def test_a_test_that_is_not_there_is_a_test_failure(zinit: RunningZinit) -> None:
    zinit.run("server", "exec: sleep 100\ntest: /no/such/program")

    zinit.wait_state("server", "TestFailure")


def test_a_dependency_that_dies_later_does_not_stop_its_dependents(zinit: RunningZinit) -> None:
    zinit.run("first", "exec: sleep 100")
    zinit.run("second", "exec: sleep 100\nafter: [first]")
    zinit.wait_state("second", "Running")
    zinit.client.stop("first")
    zinit.wait_state("first", "Error")

    assert zinit.state("second") == "Running"


def test_stop_signals_the_whole_group(zinit: RunningZinit) -> None:
    zinit.run("polite", "exec: sh -c 'sleep 100 & echo $!; wait'")
    wait_for(lambda: zinit.client.log("polite"))
    (kid,) = zinit.client.log("polite")
    zinit.client.stop("polite")
    wait_for(lambda: not alive(int(kid)))
    zinit.wait_state("polite", "Error(Signaled")

    assert not zinit.status("polite").target_up


def test_stop_of_0_2_11_returns_at_once_and_kills_nobody(line_zinit: RunningZinit) -> None:
    line_zinit.run("stubborn", DEAF)
    pid = wait_deaf(line_zinit, "stubborn")
    began = time.monotonic()
    line_zinit.client.stop("stubborn")
    took = time.monotonic() - began
    time.sleep(1)

    assert took < 0.5
    assert line_zinit.status("stubborn").pid == pid
    with pytest.raises(ServiceUpError):
        line_zinit.client.forget("stubborn")
    line_zinit.client.kill("stubborn", "SIGKILL")
    line_zinit.wait_state("stubborn", "Error(Signaled")
    line_zinit.client.forget("stubborn")
    assert line_zinit.client.list() == {}


def test_stop_of_json_rpc_waits_and_then_kills(rpc_zinit: RunningZinit) -> None:
    rpc_zinit.run("stubborn", DEAF)
    pid = wait_deaf(rpc_zinit, "stubborn")
    began = time.monotonic()
    rpc_zinit.client.stop("stubborn")
    took = time.monotonic() - began
    rpc_zinit.wait_state("stubborn", f"Error(Signaled(Pid({pid}), SIGKILL, false))")

    assert 0.95 < took < 3


def test_a_changed_file_is_read_only_by_monitor(zinit: RunningZinit) -> None:
    zinit.run("a", "exec: sleep 100")
    zinit.wait_state("a", "Running")
    zinit.unit("a", "exec: sleep 200")
    zinit.client.stop("a")
    zinit.wait_state("a", "Error")
    zinit.client.forget("a")
    zinit.client.monitor("a")
    zinit.wait_state("a", "Running")
    pid = zinit.status("a").pid

    wait_for(lambda: Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00200\x00")


def test_output_goes_to_the_ring_with_the_services_name(zinit: RunningZinit) -> None:
    zinit.run(
        "speaks", "exec: >-\n  sh -c 'echo one; echo two: 2 >&2; printf three'\noneshot: true"
    )
    zinit.run("speaks-too", "exec: echo other\noneshot: true")
    zinit.run("silent", "exec: echo never\noneshot: true\nlog: none")
    zinit.wait_state("silent", "Success")
    wait_for(lambda: len(zinit.client.log("speaks")) == 3)

    assert sorted(zinit.client.log("speaks")) == ["one", "three", "two: 2"]
    assert zinit.client.log("silent") == ()


def test_the_stand_in_keeps_output_in_files_too(new_zinit: RunningZinit) -> None:
    if new_zinit.kind not in STAND_INS:
        pytest.skip("the stand-in's own option")
    new_zinit.start().run("speaks", "exec: sh -c 'echo one; echo two >&2'\noneshot: true")
    file = new_zinit.logs / "speaks.log"
    wait_for(lambda: file.exists() and sorted(file.read_text().split()) == ["one", "two"])


def test_log_follows(line_zinit: RunningZinit) -> None:
    with socket.socket(socket.AF_UNIX) as follower:
        follower.settimeout(5)
        follower.connect(str(line_zinit.socket))
        follower.sendall(b"log\n")
        line_zinit.run("speaks", "exec: echo hello\noneshot: true")

        assert follower.recv(100) == b"[+] speaks: hello\n"


def test_environment_and_directory_are_the_units(zinit: RunningZinit) -> None:
    zinit.run("env", "exec: sh -c 'echo $PORT $PWD'\noneshot: true\nenv: {PORT: 80}\ndir: /usr")
    wait_for(lambda: zinit.client.log("env"))

    assert zinit.client.log("env") == ("80 /usr",)


def test_the_end_takes_all_services_along_dependents_first(
    zinit: RunningZinit, tmp_path: Path
) -> None:
    note = f"trap 'echo $0 >>{tmp_path}/order; exit' TERM; sleep 100 & echo on; wait"
    zinit.run("first", f'exec: sh -c "{note}" first')
    zinit.run("second", f'exec: sh -c "{note}" second\nafter: [first]')
    zinit.run("deaf", f"{DEAF}\nshutdown_timeout: 1")
    pids = [wait_deaf(zinit, "deaf")]
    for name in ("first", "second"):
        wait_for(partial(zinit.client.log, name))
        pids.append(zinit.status(name).pid)
    began = time.monotonic()
    code = zinit.end()
    took = time.monotonic() - began
    if zinit.kind not in STAND_INS and alive(pids[0]):
        kill(pids[0])  # 0.2.11 leaves it behind

    assert code == 0
    assert 0.9 < took < 15
    assert (tmp_path / "order").read_text().split() == ["second", "first"]
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_units_that_wait_for_one_another_do_not_keep_the_end_waiting(zinit: RunningZinit) -> None:
    zinit.run("a", "exec: sleep 100\nafter: [b]")
    zinit.run("b", "exec: sleep 100\nafter: [a]")
    zinit.wait_state("a", "Blocked")
    zinit.wait_state("b", "Blocked")

    assert zinit.end() == 0


def test_strangers_that_say_nothing_or_far_too_much_do_no_harm(new_zinit: RunningZinit) -> None:
    if new_zinit.kind not in STAND_INS:
        pytest.skip("how much is too much is the stand-in's own")
    new_zinit.start()
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as loud:
        silent.connect(str(new_zinit.socket))
        loud.connect(str(new_zinit.socket))
        with pytest.raises(OSError):  # noqa: PT012  # which of the sends is refused does not matter
            for _ in range(100):
                loud.sendall(b"x" * 10_000)
                time.sleep(0.001)

        assert new_zinit.client.list() == {}


def test_a_signal_that_is_asked_for_reaches_the_group(zinit: RunningZinit) -> None:
    zinit.run("a", "exec: sleep 100")
    zinit.wait_state("a", "Running")
    pid = zinit.status("a").pid
    zinit.client.kill("a", signal.SIGUSR1.name)

    zinit.wait_state("a", f"Error(Signaled(Pid({pid}), SIGUSR1, false))")
