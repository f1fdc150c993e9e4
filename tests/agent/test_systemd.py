"""The units are what systemd understands, and are confined."""

import sys
from pathlib import Path

import pytest

from agent.systemd import INTERNET, KEEPER, NETWORKD, units
from runtime.failure import CannotError
from tests.fakes.analyze import exposed_less_than, verify

AGENT = Path(sys.executable).with_name("zosnet-agent")


def test_systemd_understands_all_three(tmp_path: Path) -> None:
    texts = units(AGENT)

    assert list(texts) == [INTERNET, KEEPER, NETWORKD]
    assert verify(tmp_path, texts) == ""
    broken = {NETWORKD: texts[NETWORKD].replace("KillMode=process", "KillMode=nobody")}
    assert "kill mode" in verify(tmp_path, broken)


@pytest.mark.parametrize(("name", "most"), [(INTERNET, 4.8), (KEEPER, 4.8), (NETWORKD, 5.1)])
def test_the_agents_exposure_is_bounded(tmp_path: Path, name: str, most: float) -> None:
    """S13: a service of root that nothing confines has 9.6; what routes cannot have a 2."""
    text = units(AGENT)[name]

    assert exposed_less_than(tmp_path, name, text, most)
    weaker = text.replace("RestrictNamespaces=", "X-Namespaces=")
    assert not exposed_less_than(tmp_path, name, weaker, most)


def test_a_place_with_spaces_and_signs_is_one_word(tmp_path: Path) -> None:
    odd = tmp_path / "a b;c%n" / "zosnet-agent"
    odd.parent.mkdir()
    odd.write_text("#!/bin/sh\n")
    odd.chmod(0o755)

    assert verify(tmp_path, units(odd)) == ""
    with pytest.raises(CannotError, match="has a quote"):
        units(tmp_path / 'a"b')
