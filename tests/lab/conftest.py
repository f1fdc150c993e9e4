"""A world for each lab test, or for a module of them; what it logged and captured is kept when a
test fails.
"""

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
        if item.parent is not None:
            item.parent.stash[FAILED] = True
    return report


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with World(capture=True) as made:
        yield made
        keep_logs(request.node, made, tmp_path)


@pytest.fixture(scope="module")
def shared_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One for all tests of a module; each leaves it as it was."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with World(capture=True) as made:
        yield made
        keep_logs(request.node, made, tmp_path_factory.mktemp("shared"))


def keep_logs(node: pytest.Item | pytest.Module, world: World, directory: Path) -> None:
    if node.stash.get(FAILED, False):
        world.save_logs(directory / "world")
        print(f"logs and captures: {directory / 'world'}")
