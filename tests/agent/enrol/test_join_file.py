"""A join string that waits in a file for the node's first start."""

from pathlib import Path

import pytest

from agent.enrol.join_file import take_join_file
from agent.enrol.store import FarmFile, Store
from protocol.ids import controller_id
from protocol.joinstring import JoinString, render_join_string
from protocol.keys import VerifyKey, new_curve_pair

PUBLIC, TOKEN = new_curve_pair()
JOIN = JoinString(VerifyKey(bytes(range(32))), TOKEN, (("tcp://192.0.2.1:9930", PUBLIC),))
FARM = controller_id(JOIN.root)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "join"
    path.write_text(f"{render_join_string(JOIN)}\n")
    return path


@pytest.mark.parametrize("farm", ["", FARM])
def test_it_is_taken_as_if_somebody_had_typed_it(store: Store, file: Path, farm: str) -> None:
    take_join_file(store, file, farm=farm)
    take_join_file(store, file, farm=farm)

    assert list(store.joins()) == [JOIN]
    assert store.problems == {}


def test_a_node_that_is_in_a_farm_does_not_take_it(store: Store, file: Path) -> None:
    store.keep_farm(FarmFile(root=bytes(JOIN.root), controllers=()))
    take_join_file(store, file, farm="")

    assert list(store.joins()) == []


def test_another_farm_a_missing_file_and_nonsense_are_told(
    store: Store, file: Path, tmp_path: Path
) -> None:
    nonsense, missing = tmp_path / "nonsense", tmp_path / "missing"
    nonsense.write_bytes(b"\xff\0hello")
    for path in (file, nonsense, missing):
        take_join_file(store, path, farm="0123456789")
    said = {path: problem.message for path, problem in store.problems.items()}

    assert list(store.joins()) == []
    assert said[str(file)] == f"cannot join farm {FARM}: this node is for farm 0123456789"
    assert said[str(missing)].endswith("missing: No such file or directory")
    assert "the join string" in said[str(nonsense)]
