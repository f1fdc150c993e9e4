"""What people asked for is on the disk, whole or not at all."""

from pathlib import Path

import pytest

from agent.nr import book
from agent.nr.book import Book
from agent.nr.local import attached, parse_local
from runtime.failure import CannotError, Exit

BLUE = parse_local("blue", ipv4="10.1.1.0/24")


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(book, "PATH", tmp_path / "resources.json")
    return tmp_path / "resources.json"


def test_the_next_start_finds_what_was_put_and_not_what_was_removed() -> None:
    here = Book()
    here.put([BLUE, parse_local("red", ipv6="fd12::/64")])
    here.put([attached(BLUE, "web")])
    here.remove(["red"])

    assert [*Book()] == [attached(BLUE, "web")]


def test_a_workload_is_found_where_it_is_attached() -> None:
    here = Book()
    here.put([attached(BLUE, "web")])

    assert here.holder("web") == attached(BLUE, "web")
    assert here.holder("db") is None


def test_one_that_is_not_there_is_guessed() -> None:
    here = Book()
    here.put([BLUE])
    with pytest.raises(CannotError, match="there is no network resource 'bleu'") as caught:
        here.find("bleu", "show it")

    assert (caught.value.hint, caught.value.code) == ("did you mean 'blue'?", Exit.NOT_FOUND)


def test_a_damaged_file_is_left_as_it_is_and_nothing_is_changed(path: Path) -> None:
    path.write_text("{")
    here = Book()
    with pytest.raises(CannotError, match="it is damaged"):
        here.put([BLUE])

    assert here.damage is not None
    assert [*here] == []
    assert path.read_text() == "{"


def test_what_could_not_be_written_is_not_believed(path: Path) -> None:
    here = Book()
    path.mkdir()
    with pytest.raises(CannotError, match="cannot write"):
        here.put([BLUE])

    assert [*here] == []
