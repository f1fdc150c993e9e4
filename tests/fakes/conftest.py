"""zinit as fixtures: started for a test, ended after it, however it goes.

Each test that takes `zinit` runs against every version that the stand-in plays and, with
ZINIT_BIN=/path/to/zinit, against that program too. `line_zinit` and `rpc_zinit` are those of one
language.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.running import REAL, STAND_INS, RunningZinit
from zinit.client import Language

LINE, *RPC = STAND_INS


@pytest.fixture(params=(*STAND_INS, *REAL))
def new_zinit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningZinit]:
    """A zinit that the test starts itself."""
    running = RunningZinit(tmp_path, request.param)
    yield running
    running.end()


@pytest.fixture
def zinit(new_zinit: RunningZinit) -> RunningZinit:
    return new_zinit.start()


@pytest.fixture(params=(LINE, *REAL))
def line_zinit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningZinit]:
    yield from _speaking(Language.LINE, tmp_path, request.param)


@pytest.fixture(params=(*RPC, *REAL))
def rpc_zinit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningZinit]:
    yield from _speaking(Language.JSON_RPC, tmp_path, request.param)


def _speaking(language: Language, directory: Path, kind: str) -> Iterator[RunningZinit]:
    running = RunningZinit(directory, kind).start()
    try:
        if running.client.language() != language:
            pytest.skip(f"{kind} does not speak {language}")
        yield running
    finally:
        running.end()
