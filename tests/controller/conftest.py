"""Fixtures of the controller's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controller.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Whatever a test does with it: all rows fit to their sums in the end, unless it `spoilt` some."""
    one = House(tmp_path)
    yield one
    if not one.spoilt:
        assert one.misfits() == []
    one.close()
