"""A world for each lab test; what it logged and captured is kept when the test fails."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from lab.world import World

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with World(capture=True) as made:
        yield made
        if request.node.stash.get(FAILED, False):
            made.save_logs(tmp_path / "world")
            print(f"logs and captures: {tmp_path / 'world'}")
