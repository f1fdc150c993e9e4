"""Unit files: exactly what zinit reads, and no more."""

import shlex
import signal
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.zinit.units import load_unit
from zinit.units import Log, Unit, UnitError, controller, dhcp_zos, internet, networkd, render

AGENT = Path("/opt/zos net/bin/zosnet-agent")
SLEEP = ("/bin/sleep", "100")


def test_our_units_are_the_boot_and_two_services_behind_it() -> None:
    boot, dhcp, daemon = internet(AGENT), dhcp_zos(AGENT), networkd(AGENT)

    assert (boot.name, boot.oneshot, boot.after) == ("internet", True, ())
    assert (dhcp.name, dhcp.oneshot, dhcp.after) == ("dhcp-zos", False, ("internet",))
    assert (daemon.name, daemon.oneshot, daemon.after) == ("networkd", False, ("internet",))
    assert dhcp.exec == (str(AGENT), "dhcp", "zos", "--keep-trying")
    assert daemon.exec == (str(AGENT), "networkd", "--keep-trying")
    assert daemon.test == (str(AGENT), "wait", "ndmz", "--timeout", "30")
    assert boot.log is Log.STDOUT
    assert {unit.shutdown_timeout_s for unit in (boot, dhcp, daemon)} == {5}


def test_the_controllers_unit_asks_whether_it_answers() -> None:
    program = ("/opt/zosnet/bin/zosnet-controller", "serve", "--config", "/etc/c.yaml")
    unit = controller(program, socket="/run/c.sock")

    assert unit == Unit(
        "zosnet-controller",
        program,
        test=("/opt/zosnet/bin/ncadm", "status", "--socket", "/run/c.sock"),
    )


def test_the_boot_is_a_loop_of_the_shell_with_the_path_quoted() -> None:
    unit = internet(AGENT, after=("udev-trigger",))

    assert unit.exec[:2] == ("/bin/sh", "-c")
    assert unit.exec[2] == f"until '{AGENT}' internet --keep-trying; do sleep 2; done"
    assert unit.after == ("udev-trigger",)


def test_only_what_differs_from_zinits_defaults_is_written() -> None:
    assert render(dhcp_zos(Path("/bin/agent"))) == (
        'exec: "/bin/agent dhcp zos --keep-trying"\nshutdown_timeout: 5\nafter: ["internet"]\n'
    )


def test_every_key_is_written_in_the_form_that_zinit_reads(tmp_path: Path) -> None:
    unit = Unit(
        "all",
        ("/bin/echo", "a b", "it's", '"', "#", "\\", "$HOME", ""),
        test=("/bin/true",),
        shutdown_timeout_s=3,
        after=("internet", "other_1"),
        stop_signal=signal.SIGINT,
        log=Log.NONE,
        env={"PORT": "80", "NO": "no", "EMPTY": ""},
        directory=Path("/var/lib"),
    )
    path = tmp_path / "all.yaml"
    path.write_text(render(unit))
    read = load_unit(path)

    assert tuple(shlex.split(read.exec)) == unit.exec
    assert read.test == "/bin/true"
    assert read.shutdown_timeout == 3
    assert read.after == unit.after
    assert read.stop_signal == signal.SIGINT
    assert read.log == "none"
    assert read.env == unit.env
    assert read.dir == "/var/lib"


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"])), min_size=1))
def test_any_printable_words_come_back_from_yaml_and_shell(words: list[str]) -> None:
    text = render(Unit("x", ("/bin/echo", *words)))

    assert shlex.split(yaml.safe_load(text)["exec"]) == ["/bin/echo", *words]


@pytest.mark.parametrize(
    "unit",
    [
        Unit("eth0.100", SLEEP),
        Unit("a/b", SLEEP),
        Unit("a b", SLEEP),
        Unit("", SLEEP),
        Unit("-a", SLEEP),
        Unit("a\n", SLEEP),
        Unit("a", SLEEP, after=("b.c",)),
        Unit("a", SLEEP, after=("a",)),
        Unit("a", SLEEP, after=("b", "b")),
        Unit("a", ()),
        Unit("a", ("sleep", "100")),
        Unit("a", SLEEP, test=("true",)),
        Unit("a", SLEEP, test=("/bin/true",), oneshot=True),
        Unit("a", ("/bin/echo", "two\nlines")),
        Unit("a", ("/bin/echo", "nul\0")),
        Unit("a", SLEEP, shutdown_timeout_s=-1),
        Unit("a", SLEEP, env={"A=B": "c"}),
        Unit("a", SLEEP, env={"": "c"}),
        Unit("a", SLEEP, env={"A": "\x1b"}),
        Unit("a", SLEEP, directory=Path("here")),
    ],
    ids=repr,
)
def test_what_zinit_would_reject_or_ignore_is_refused(unit: Unit) -> None:
    with pytest.raises(UnitError, match=r"^cannot make the unit "):
        render(unit)

    assert render(Unit("a", SLEEP)) == 'exec: "/bin/sleep 100"\n'
