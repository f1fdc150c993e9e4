"""docs/operating.md names every key that a person may set, and shows what the programs print."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from agent.config import AgentConfig
from controller.admin.__main__ import COMMANDS as NCADM
from controller.config import Config
from runtime.failure import Exit
from runtime.settings import as_yaml, unit_of
from tests.controller.farm import running
from tests.operating import commands, parts, play, set_up, stable

TEXT = (Path(__file__).parents[1] / "docs/operating.md").read_text()
WORDS = {"s": "seconds"}
FILES = {"agent.yaml": AgentConfig, "controller.yaml": Config}


def rows(heading: str) -> dict[str, list[str]]:
    """First cell: the others, of the table under `## heading`, without back quotes around them."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if "|" in line]
    clean = [[cell.strip().strip("`") for cell in row] for row in cells[2:]]
    return {row[0]: row[1:] for row in clean}


def keys(kind: type[Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """`a.b`, its default and its unit for every key, also of structs in lists."""
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.encode_name}"
        inner = [kind for kind in (field.type, *inside(field.type)) if is_struct(kind)]
        if not is_struct(field.type):
            made = field.default_factory is not msgspec.NODEFAULT
            default = field.default_factory() if made else field.default
            yield name, as_yaml(default), unit_of(hints[field.name])
        for struct in inner:
            yield from keys(struct, f"{name}.")


def inside(annotation: Any) -> Iterator[Any]:
    for inner in getattr(annotation, "__args__", ()):
        yield inner
        yield from inside(inner)


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


@pytest.mark.parametrize("file", FILES)
def test_every_key_stands_there_with_its_default_and_no_other(file: str) -> None:
    expected = {name: default for name, default, _ in keys(FILES[file])}

    assert len(expected) > 5
    assert {name: cells[0] for name, cells in rows(file).items()} == expected


@pytest.mark.parametrize("file", FILES)
def test_every_number_has_its_unit(file: str) -> None:
    units = {name: unit for name, default, unit in keys(FILES[file]) if default[:1].isdecimal()}
    said = {name: cells[1] for name, cells in rows(file).items()}

    assert units
    for name, unit in units.items():
        assert unit, name
        assert re.search(rf"\b{WORDS.get(unit, unit)}\b", said[name]), name


def test_every_exit_code_stands_there() -> None:
    assert [int(code) for code in rows("Exit codes") if code != "130"] == [int(e) for e in Exit]


def test_every_block_shows_what_its_commands_print(tmp_path: Path) -> None:
    """`python -m tests.operating` renews them."""
    (tmp_path / "controller").mkdir()
    with running(tmp_path / "controller") as controller:
        stage = set_up(controller, tmp_path / "stage")
        blocks = [(match[1], block) for match, block in play(stage, TEXT)]
        stage.close()

    assert len(blocks) > 5
    for written, printed in blocks:  # in any order: lists are in that of random addresses
        assert sorted(stable(written).splitlines()) == sorted(stable(printed).splitlines())


def test_every_noun_of_ncadm_is_shown() -> None:
    shown = [command for match in parts(TEXT) for command, _ in commands(match[0])]
    nouns = {command.split()[1] for command in shown if command.startswith("ncadm ")}

    assert {command.name for command in NCADM} - nouns == set()


def test_a_block_that_lies_is_found() -> None:
    written = "$ ncadm network list\nNAME  MEMBERS\nhome  2\n"

    assert stable(written) == stable(written.replace("  ", "     "))
    assert stable(written) != stable(written.replace("2", "3"))
    assert stable("a 0a562c7581 2026-11-21T05:57:58Z") == stable(
        "a f46ee7303e 2026-11-22T05:57:58Z"
    )
