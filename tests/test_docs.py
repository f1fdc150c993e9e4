"""docs/operating.md names every key that can be set and every exit code."""

from pathlib import Path

import msgspec
import pytest

from agent.config import AgentConfig
from controller.config import Config
from runtime.failure import Exit

DOC = (Path(__file__).parent.parent / "docs/operating.md").read_text()


def keys_of(kind: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def agent_keys() -> list[str]:
    found = []
    for field in msgspec.structs.fields(AgentConfig):
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            found += [f"{field.encode_name}.{key}" for key in keys_of(inner)]
        else:
            found.append(field.encode_name)
    return found


@pytest.mark.parametrize("key", agent_keys())
def test_every_key_of_agent_yaml_is_explained(key: str) -> None:
    cells = [line.split("|")[1] for line in DOC.splitlines() if line.startswith("| ")]

    assert key in {name.strip() for cell in cells for name in cell.split(",")}


@pytest.mark.parametrize("key", keys_of(Config))
def test_every_key_of_controller_yaml_is_explained(key: str) -> None:
    assert f"| {key} |" in DOC


def test_every_exit_code_is_explained() -> None:
    assert [code for code in Exit if f"\n| {int(code)} |" not in DOC] == []
