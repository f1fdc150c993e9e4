"""Stand-ins as fixtures: started for a test, ended after it, however it goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.running import RunningZinit


@pytest.fixture
def new_zinit(tmp_path: Path) -> Iterator[RunningZinit]:
    """A zinit that the test starts itself."""
    running = RunningZinit(tmp_path)
    yield running
    running.end()


@pytest.fixture
def zinit(new_zinit: RunningZinit) -> RunningZinit:
    return new_zinit.start()
