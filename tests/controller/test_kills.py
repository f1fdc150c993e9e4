"""SIGKILL under mixed load: nothing that was answered is lost, nothing is given twice, no token burns.

ZOSNET_KILLS=200 kills so often; the suite does 40.
"""

import contextlib
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.controller.farm import TREE, running
from tests.controller.ledger import Verdict, judge
from tests.controller.storm import Storm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
KILLS = int(os.environ.get("ZOSNET_KILLS", "40"))


def test_kills_lose_nothing_double_nothing_burn_nothing_and_keep_the_audit_chain(
    tmp_path: Path,
) -> None:
    with running(tmp_path) as controller:
        storm = Storm(controller, seed=1)
        verdict = storm.run(KILLS)
        print(f"{KILLS} kills, {storm.ledger.size} promises, {storm.counts}, {verdict}")

        assert storm.failures == []
        assert verdict == Verdict()
        assert storm.ledger.renumbered == 0
        assert min(storm.counts.values()) > KILLS // 10
        assert controller.command("check").returncode == 0


def test_a_controller_that_answers_before_it_commits_is_found_out(tmp_path: Path) -> None:
    planted = [sys.executable, str(TREE / "tests" / "controller" / "planted.py")]
    with running(tmp_path, program=planted) as controller:
        verdict = Storm(controller, seed=2).run(5)

        assert verdict.lost


DAMAGE = {
    "a member that is gone": "DELETE FROM member WHERE wireguard NOT NULL",
    "an address that is gone": "UPDATE assignment SET released_at = 1",
    "a serial that fell": "UPDATE member SET serial = 0",
    "a token that is gone": "DELETE FROM join_token",
    "a use that let nobody in": "UPDATE join_token SET uses_left = uses_left - 1 WHERE uses_left",
    "an audit entry that was altered": "DROP TRIGGER audit_stays_as_it_is; UPDATE audit SET actor = 'nobody' WHERE seq = 1",
}


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    """A storm without a kill; its controller is dead."""
    with running(tmp_path_factory.mktemp("quiet")) as controller:
        storm = Storm(controller, seed=3)
        assert storm.run(0) == Verdict()
        return storm


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_judge_finds(quiet: Storm, tmp_path: Path, damage: str) -> None:
    database = tmp_path / "zosnet.db"
    with (
        contextlib.closing(sqlite3.connect(quiet.controller.data / "zosnet.db")) as source,
        contextlib.closing(sqlite3.connect(database)) as copy,
    ):
        source.backup(copy)
        before = judge(database, quiet.ledger)
        copy.executescript(DAMAGE[damage])

    assert before == Verdict()
    assert judge(database, quiet.ledger) != Verdict()
