"""SIGKILL under admissions: nothing that was answered is lost, nothing is given twice, no token burns."""

import random
import sqlite3
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from protocol.messages import Done, Joined, Refused, Welcome
from tests.controller.farm import TREE, Controller, running
from tests.controller.node import Node, RefusalError, SilenceError, addresses_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
CLIENTS = 4


@dataclass
class History:
    """What clients were answered, and what was wrong with the database after a kill."""

    admitted: list[bytes] = field(default_factory=list)
    addresses: dict[bytes, list[str]] = field(default_factory=dict)
    renumbered: list[bytes] = field(default_factory=list)
    tokens: int = 0

    def joined(self, node: Node, addresses: list[str]) -> None:
        if self.addresses.setdefault(bytes(node.key), addresses) != addresses:
            self.renumbered.append(bytes(node.key))


@dataclass
class Verdict:
    lost: int = 0
    doubled: int = 0
    burnt: int = 0

    def __add__(self, other: "Verdict") -> "Verdict":
        return Verdict(
            self.lost + other.lost, self.doubled + other.doubled, self.burnt + other.burnt
        )


def enrol(controller: Controller, network: str, node: Node, history: History) -> None:
    """Until the node is in, as an agent goes about it: token, own key, token, …"""
    admitted = False
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if not admitted:
                reply = node.admit()
                assert not isinstance(reply, Refused), reply
                if isinstance(reply, Done):
                    history.admitted.append(bytes(node.key))
        except (SilenceError, RefusalError):
            pass  # away, or used: by us, when the own key is let in
        try:
            admitted = isinstance(node.hello(), Welcome)
            reply = node.join(network)
            if isinstance(reply, Joined):
                history.joined(node, addresses_of(reply))
                return
        except (SilenceError, RefusalError):
            pass
        finally:
            node.close()
    raise AssertionError("a node never got in")


def judge(controller: Controller, history: History) -> Verdict:
    """The database of a dead controller against what was answered before it died."""
    admitted, addresses = list(history.admitted), dict(history.addresses)
    time.sleep(0.05)
    database = sqlite3.connect(controller.data / "zosnet.db")
    nodes = {
        key
        for (key,) in database.execute(
            "SELECT key FROM node JOIN member ON member.node = node.id WHERE removed_at = 0"
        )
    }
    held: dict[bytes, set[bytes]] = {}
    for key, address in database.execute(
        "SELECT key, address FROM assignment JOIN node ON node.id = assignment.node"
    ):
        held.setdefault(key, set()).add(address)
    total = database.execute("SELECT count(*) FROM assignment").fetchone()[0]
    distinct = database.execute("SELECT count(DISTINCT address) FROM assignment").fetchone()[0]
    used = database.execute("SELECT count(*) FROM join_token WHERE uses_left = 0").fetchone()[0]
    database.close()
    lost = sum(key not in nodes for key in admitted)
    lost += sum(len(held.get(key, ())) != len(given) for key, given in addresses.items())
    return Verdict(lost, total - distinct, abs(used - len(nodes)))


def storm(controller: Controller, kills: int, seed: int) -> tuple[History, Verdict]:
    """Clients enrol node after node while the controller is killed and started again."""
    network = controller.network(ipv4="10.9.0.0/16", ipv6="fd00:9::/64")
    history, verdict, dice = History(), Verdict(), random.Random(seed)
    joins = [controller.token("home", ttl=3600) for _ in range(60 + 25 * kills)]
    over = threading.Event()
    failures: list[BaseException] = []

    def client() -> None:
        try:
            while not over.is_set() and joins:
                enrol(controller, network, Node(joins.pop(), patience=0.4), history)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    try:
        for _ in range(kills):
            time.sleep(dice.uniform(0.05, 0.3))
            controller.kill()
            verdict += judge(controller, history)
            controller.start()
    finally:
        over.set()
        for one in clients:
            one.join()
    assert failures == []
    controller.kill()
    return history, verdict + judge(controller, history)


def test_twenty_kills_lose_nothing_double_nothing_and_burn_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as controller:
        history, verdict = storm(controller, kills=20, seed=1)
        print(f"{len(history.addresses)} enrolments, 20 kills, {verdict}")

        assert verdict == Verdict(0, 0, 0)
        assert history.renumbered == []
        assert len(history.addresses) > 20
        given = [address for both in history.addresses.values() for address in both]
        assert len(set(given)) == len(given)
        assert controller.command("check").returncode == 0


def test_a_controller_that_answers_before_it_commits_is_found_out(tmp_path: Path) -> None:
    planted = [sys.executable, str(TREE / "tests" / "controller" / "planted.py")]
    with running(tmp_path, program=planted) as controller:
        _, verdict = storm(controller, kills=5, seed=2)

        assert verdict.lost > 0
