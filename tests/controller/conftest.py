"""Fixtures of the controller's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.close()
