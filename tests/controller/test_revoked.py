"""S4, S5: what a controller revokes is revoked on members, for good: both programs' own code."""

import random
from dataclasses import dataclass, field

import pytest

from agent.enrol.sink import Trust
from agent.overlay.belief import Belief
from agent.overlay.verify import Judge
from controller.members import publish
from protocol.messages import Ack, Joined, Row, Rows, Welcome
from protocol.signed import Signed, StatementError
from tests.controller.house import Guest, House


@dataclass
class Member:
    """A node with the agent's own belief, kept over its restarts."""

    house: House
    guest: Guest
    network: str
    belief: Belief
    online: bool = True

    @classmethod
    def enrol(cls, house: House, network: str, name: str) -> "Member":
        guest = house.enrol(network, name=name)
        joined = house.join(guest, network)
        assert isinstance(joined, Joined)
        belief = Belief.begin(guest.key, guest.wireguard, trust(house), joined)
        member = cls(house, guest, network, belief)
        member.fetch()
        return member

    def listen(self) -> None:
        """Take what was pushed."""
        for _ in range(4):
            self.house.later(0.05)
            self.house.push.run(self.house.now)
            for reply in self.house.pushed(self.guest):
                if self.online and isinstance(reply, Rows):
                    self.belief.take_rows(reply)
                    self.house.say(self.guest, Ack(self.network, self.belief.holding.revision))

    def leave_the_line(self) -> None:
        self.online = False
        self.house.sessions.end(self.guest.key)

    def come_back(self) -> Rows:
        """The first that it is told of the network."""
        kept = self.belief.kept
        self.belief = Belief(
            self.guest.key, self.guest.wireguard, kept, highest=self.belief.reached
        )
        self.online = True
        assert isinstance(self.house.hello(self.guest), Welcome)
        return self.fetch()

    def fetch(self) -> Rows:
        rows = self.house.fetch(self.guest, self.network, self.belief.holding.revision)
        assert isinstance(rows, Rows)
        assert not rows.more
        self.belief.take_rows(rows)
        self.house.say(self.guest, Ack(self.network, self.belief.holding.revision))
        return rows

    def believes(self, signed: Signed) -> bool:
        """Though somebody shows it again."""
        row = Row(signed, "old", "00000000aa", (), (4,))
        judge, belief = Judge(self.guest.key), self.belief
        own = judge.own(
            belief.kept.membership, belief.state, belief.keyset, self.guest.wireguard, None
        )
        return bool(judge.members(own, [row], belief.state, belief.keyset, None).members)

    @property
    def peers(self) -> set[str]:
        return {m.name for m in self.belief.members(None).members.values()}


def trust(house: House) -> Trust:
    return Trust(house.registry.keyring.root, house.registry.keyset)


@dataclass
class Story:
    house: House
    network: str
    dice: random.Random
    living: dict[str, Guest] = field(default_factory=dict)
    void: list[Signed] = field(default_factory=list)
    count: int = 0

    def step(self) -> None:
        verbs = ("ban", "deauthorize", "forget", "leave")
        if len(self.living) < 3 or self.dice.random() < 0.5:
            self.count += 1
            name = f"g{self.count}"
            self.living[name] = self.house.enrol(self.network, name=name)
            return
        name = self.dice.choice(sorted(self.living))
        guest = self.living.pop(name)
        entry = self.house.registry.netmap(1).entry(guest.key)
        assert entry is not None
        self.void.append(entry.signed)
        match self.dice.choice(verbs):
            case "leave":
                self.house.leave(guest, self.network)
            case verb:
                self.house.do(f"member.{verb}", network="home", member=name)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_revoked_stays_so_on_who_is_there_and_on_who_comes_back(
    house: House, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S4, S5: over folds of the floors and restarts of both."""
    monkeypatch.setattr(publish, "FOLD_ABOVE", 6)
    story = Story(house, house.network(), random.Random(seed))
    there = Member.enrol(house, story.network, "there")
    away = Member.enrol(house, story.network, "away")
    for turn in range(8):
        away.leave_the_line()
        for _ in range(5):
            story.step()
            house.later(120.0)
            house.sessions.hear(there.guest.key, there.guest.routing, house.now)
        there.listen()
        assert there.peers == {*story.living, "away"}
        assert [s for s in story.void if there.believes(s)] == []
        before = away.belief.reached
        if turn == 4:
            house.reopen()
            there.come_back()
        away.come_back()  # one answer is enough

        assert away.belief.reached >= before
        assert away.peers == {*story.living, "there"}
        assert [s for s in story.void if away.believes(s)] == []
    assert len(story.void) > 8
    print(f"seed {seed}: {len(story.void)} revoked, least {away.belief.state.least}")


def test_a_state_that_is_kept_back_is_repeated_by_each_refresh(house: House) -> None:
    """S5: whoever holds an older one is told again, however often."""
    network = house.network()
    stays, goes = house.enrol(network, name="stays"), house.enrol(network, name="goes")
    joined = house.join(stays, network)
    assert isinstance(joined, Joined)
    house.do("member.ban", network="home", member="goes")
    for _ in range(3):
        again = house.refresh(stays, network, joined)
        assert isinstance(again, Joined)
        floors = {floor.node for floor in house.state(again).floors}
        assert floors == {goes.key}


def test_the_one_that_is_put_out_cannot_show_an_older_state_to_itself(house: House) -> None:
    network = house.network()
    member = Member.enrol(house, network, "n1")
    state = member.belief.kept.state
    house.do("member.deauthorize", network="home", member="n1")
    member.listen()
    with pytest.raises(StatementError, match="revoked"):
        member.belief.members(None)

    with pytest.raises(StatementError, match="older"):
        member.belief.take_state(state)
