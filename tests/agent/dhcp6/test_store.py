"""What was delegated, on the disk."""

from pathlib import Path

import pytest

from agent.dhcp6.store import forget_delegation, load_delegation, store_delegation
from tests.agent.dhcp6.answers import HELD, PREFIX


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prefix.json"


def test_in_one_boot_it_comes_back_as_it_was(path: Path) -> None:
    store_delegation(HELD, path=path, boot="one")

    assert load_delegation(path=path, boot="one") == (HELD, PREFIX)


def test_after_a_reboot_it_is_a_hint(path: Path) -> None:
    store_delegation(HELD, path=path, boot="one")

    assert load_delegation(path=path, boot="two") == (None, PREFIX)


@pytest.mark.parametrize("damage", ["", "{", '{"boot_id": "one"}'])
def test_a_damaged_file_is_nothing(path: Path, damage: str) -> None:
    path.write_text(damage)

    assert load_delegation(path=path, boot="one") == (None, None)


def test_a_prefix_that_is_none_is_nothing(path: Path) -> None:
    store_delegation(HELD, path=path, boot="one")
    path.write_text(path.read_text().replace(str(PREFIX), "2001:db8::1/60"))

    assert load_delegation(path=path, boot="one") == (None, None)


def test_what_is_forgotten_is_gone(path: Path) -> None:
    store_delegation(HELD, path=path, boot="one")
    forget_delegation(path=path)
    forget_delegation(path=path)

    assert load_delegation(path=path, boot="one") == (None, None)
