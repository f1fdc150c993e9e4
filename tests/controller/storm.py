"""Clients and an operator who go on while their controller is killed and started, again and again."""

import random
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import zmq

from protocol.admin import Call, Failed, Result, decode_answer, encode_admin
from protocol.joinstring import JoinString
from protocol.keys import new_curve_pair, new_wireguard_pair
from protocol.messages import Done, Joined, Refused, Unchanged, Welcome
from protocol.signed import read_unverified
from protocol.statements import Membership
from tests.controller.farm import Controller
from tests.controller.ledger import Ledger, Verdict, judge
from tests.controller.node import Node, RefusalError, SilenceError

CLIENTS = 4
PATIENCE = 0.4
# Seconds; what takes longer is a slow machine's, and all else is slower there too.
USUAL_START = 0.5
USES = 5


class Storm:
    """One controller, one network, CLIENTS nodes at a time and one operator."""

    def __init__(self, controller: Controller, seed: int) -> None:
        self.controller, self.ledger = controller, Ledger()
        self.network = controller.network(ipv4="10.9.0.0/16", ipv6="fd00:9::/64")
        self.dice = random.Random(seed)
        self.over = threading.Event()
        self.pace = 1.0
        self.failures: list[BaseException] = []
        self.counts = dict.fromkeys(("enrolled", "refreshed", "revoked", "tokens"), 0)
        self._joins: list[JoinString] = []
        self._done: list[Node] = []  # enrolled ones that the operator may throw out
        self._template = controller.token()

    def run(self, kills: int) -> Verdict:
        """Kill, judge, start; the sum of all verdicts. A few more times where little was done between."""
        verdict = Verdict()
        work = [self._client] * CLIENTS + [self._operate]
        threads = [threading.Thread(target=self._kept, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        try:
            for number in range(3 * kills):
                enough = number >= kills and min(self.counts.values()) > kills // 10
                if enough or self.failures:
                    break
                time.sleep(self.pace * self.dice.uniform(0.05, 0.3))
                self.controller.kill()
                verdict += self._judge()
                began = time.monotonic()
                self.controller.start()
                self.pace = max(1.0, (time.monotonic() - began) / USUAL_START)
            while not kills and self.counts["refreshed"] < CLIENTS and not self.failures:
                time.sleep(0.05)
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        self.controller.kill()
        return verdict + self._judge()

    def _judge(self) -> Verdict:
        # what was answered in the last moment is written down only now
        snapshot = self.ledger.snapshot()
        return judge(self.controller.data / "zosnet.db", snapshot)

    def _kept(self, work: Callable[[], None]) -> None:
        try:
            while not self.over.is_set():
                work()
        except BaseException as error:  # noqa: BLE001  # the test reads it
            self.failures.append(error)
            self.over.set()

    # a node: in by a token, then new WireGuard keys by join, and refreshes

    def _client(self) -> None:
        if not self._joins:
            time.sleep(0.01)
            return
        node = Node(self._joins.pop(), patience=PATIENCE * self.pace)
        try:
            self._until(lambda: self._enrol(node))
            for _ in range(3):
                self._until(lambda: self._renew(node))
            self._done.append(node)
        finally:
            node.close()

    def _until(self, step: Callable[[], bool]) -> None:
        """Again until it is answered; an agent does the same."""
        while not self.over.is_set():
            try:
                if step():
                    return
            except (SilenceError, RefusalError):
                pass

    def _enrol(self, node: Node) -> bool:
        node.close()
        key = bytes(node.key)
        try:
            reply = node.admit()
            assert not isinstance(reply, Refused) or reply.code == "token-used-up", reply
            if isinstance(reply, Done):
                self._write(lambda: self.ledger.admitted.add(key))
        except (SilenceError, RefusalError):
            pass  # away, or used: by us, when the own key is let in
        if not isinstance(node.hello(), Welcome):
            return False
        if not self._placed(node, node.join(self.network)):
            return False
        self.counts["enrolled"] += 1
        return True

    def _renew(self, node: Node) -> bool:
        if node.line is None and not isinstance(node.hello(), Welcome):
            return False
        key = bytes(node.key)
        self._write(lambda: self.ledger.wireguard.pop(key, None))
        node.wireguard = bytes(new_wireguard_pair()[0])
        try:
            replied = self._placed(node, node.refresh(self.network))
            self.counts["refreshed"] += 1
        except (SilenceError, RefusalError):
            node.close()
            raise
        return replied

    def _placed(self, node: Node, reply: object) -> bool:
        if isinstance(reply, Unchanged):
            return True
        if not isinstance(reply, Joined):
            return False
        place, key = read_unverified(reply.membership, Membership), bytes(node.key)
        given = frozenset(str(interface) for interface in place.interfaces)

        def write() -> None:
            ledger = self.ledger
            ledger.admitted.add(key)
            ledger.renumbered += ledger.addresses.setdefault(key, given) != given
            ledger.serials[key] = max(place.serial, ledger.serials.get(key, 0))
            if place.wireguard == node.wireguard:
                ledger.wireguard[key] = place.wireguard

        self._write(write)
        return True

    def _write(self, deed: Callable[[], object]) -> None:
        with self.ledger.lock:
            deed()

    # the operator: tokens, and out with a node

    def _operate(self) -> None:
        time.sleep(0.02)
        if len(self._joins) < 2 * CLIENTS:
            self._make_token()
        elif self._done and self.dice.random() < 0.5:
            self._revoke(self._done.pop())

    def _make_token(self) -> None:
        public, secret = new_curve_pair()
        wanted = {"network": "home", "key": public.hex(), "uses": USES, "ttl": 3600}
        if self._call("token.create", wanted) is None:
            return
        self._write(lambda: self.ledger.tokens.add(bytes(public)))
        self.counts["tokens"] += 1
        if self.dice.random() < 0.2:
            self._write(lambda: self.ledger.tokens.discard(bytes(public)))
            if self._call("token.revoke", {"token": public[:6].hex()}) is not None:
                self._write(lambda: self.ledger.revoked.add(bytes(public)))
            return
        known = self._template
        self._joins += [JoinString(known.root, secret, known.controllers)] * USES

    def _revoke(self, node: Node) -> None:
        verb, state = self.dice.choice(
            (("ban", "banned"), ("deauthorize", "deauthorized"), ("forget", "forgotten"))
        )
        key = bytes(node.key)
        assert node.welcome is not None
        named = {"network": "home", "member": node.welcome.address}

        def doubt() -> None:  # from the first try on it may have happened
            self.ledger.wireguard.pop(key, None)
            if verb == "forget":
                self.ledger.addresses.pop(key)

        self._write(doubt)
        while not self.over.is_set():
            answer = self._call(f"member.{verb}", named)
            if isinstance(answer, Result) or (answer is not None and answer.code == 3):
                break
        else:
            return

        def write() -> None:
            self.ledger.states[key] = state
            self.ledger.floors[key] = self.ledger.serials[key] + 1

        self._write(write)
        self.counts["revoked"] += 1

    def _call(self, verb: str, arguments: dict[str, Any]) -> Result | Failed | None:
        """None: nobody answered in time, and nothing is known."""
        with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.connect(f"ipc://{self.controller.socket}")
            dealer.send(encode_admin(Call(secrets.randbits(32), verb, arguments)))
            if not dealer.poll(int(PATIENCE * self.pace * 1000)):
                return None
            return decode_answer(dealer.recv())
