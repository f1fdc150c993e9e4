"""A control group apart for what outlives us. All groups are the machine's: these have names of their own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netns import cgroup
from tests.netns.look import shell

pytestmark = pytest.mark.lab

TOP = Path("/run/groups")


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Path:
    name = f"zosnet-test-{secrets.token_hex(4)}"
    monkeypatch.setattr(cgroup, "NAME", name)
    return TOP / name


def mount() -> None:
    shell(f"mkdir {TOP}; mount -t cgroup2 none {TOP}")


def move_to(group: Path) -> None:
    (group / "cgroup.procs").write_text("0")


@contextmanager
def in_group() -> Iterator[None]:
    """This process in a group of its own."""
    group = TOP / f"zosnet-test-{secrets.token_hex(4)}"
    group.mkdir()
    move_to(group)
    try:
        yield
    finally:
        move_to(TOP)
        group.rmdir()


def test_in_the_root_group_there_is_none(apart: Path) -> None:
    mount()
    move_to(TOP)

    assert cgroup.apart() is None
    assert not apart.exists()


def test_in_any_other_it_is_at_the_top_until_nobody_needs_it(apart: Path) -> None:
    mount()
    with in_group():
        procs = cgroup.apart()
        again = cgroup.apart()
        there = apart.is_dir()
        cgroup.forget()

        assert procs == again == apart / "cgroup.procs"
        assert there
        assert not apart.exists()


def test_who_is_in_it_keeps_it(apart: Path) -> None:
    mount()
    with in_group():
        assert cgroup.apart() is not None
        move_to(apart)
        cgroup.forget()
        there = apart.is_dir()
        move_to(TOP)
        cgroup.forget()

        assert there
        assert not apart.exists()


def test_where_groups_are_not_mounted_there_is_none(apart: Path) -> None:
    assert cgroup.apart() is None
    cgroup.forget()
