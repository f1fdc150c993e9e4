"""What is believed of a network, from a controller, from the disk, and after either was altered."""

import base64
import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from agent.enrol.sink import Trust
from agent.overlay.belief import Belief
from agent.overlay.cache import Cache
from agent.overlay.kept import Kept
from protocol.messages import Joined, Rows
from protocol.signed import StatementError
from protocol.statements import CLOSED, NetworkState
from tests.agent.overlay.signing import NETWORK, SETTINGS, Authority, Someone, endpoint, state

FARM = Authority()
ME = Someone("me", ("10.9.0.1/16",), serial=3)
N2, N3 = Someone("n2", ("10.9.0.2/16",)), Someone("n3", ("10.9.0.3/16",))


def trust(authority: Authority = FARM, number: int = 1) -> Trust:
    return Trust(FARM.root_key, authority.signed_keyset(number))


def joined(
    who: Someone = ME, now: NetworkState | None = None, authority: Authority = FARM
) -> Joined:
    seal = authority.signer.seal
    return Joined(1, NETWORK, 0, SETTINGS, seal(who.membership), seal(now or state(epoch=5)), 2)


def rows(*everybody: Someone, now: NetworkState | None = None, revision: int = 2) -> Rows:
    signed = FARM.signer.seal(now) if now else None
    return Rows(0, NETWORK, 0, revision, True, FARM.rows(*everybody), (), signed)


def begin() -> Belief:
    belief = Belief.begin(bytes(ME.node), bytes(ME.wireguard), trust(), joined())
    belief.take_rows(rows(ME, N2, N3))
    return belief


def again(kept: Kept) -> Belief:
    return Belief(bytes(ME.node), bytes(ME.wireguard), kept)


def names(belief: Belief) -> set[str]:
    return {member.name for member in belief.members(None).members.values()}


def test_what_was_told_is_believed_and_held() -> None:
    belief = begin()

    assert names(belief) == {"n2", "n3"}
    assert (belief.holding.serial, belief.holding.epoch, belief.holding.revision) == (3, 5, 2)


def test_the_disk_gives_back_what_was_believed(tmp_path: Path) -> None:
    """S1: with nothing but the root key's public half, and no controller."""
    cache, belief = Cache(tmp_path), begin()
    cache.keep(belief.kept)
    (kept,) = Cache(tmp_path).networks()

    assert names(again(kept)) == {"n2", "n3"}
    assert again(kept).holding == belief.holding


def test_a_row_that_was_altered_on_the_disk_is_refused_and_asked_for_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.keep(begin().kept)
    path = tmp_path / NETWORK / "netmap.json"
    text = json.loads(path.read_text())
    row = next(r for r in text["rows"] if r[1] == "n2")
    payload = bytearray(base64.b64decode(row[0][0]))
    for bit in range(0, len(payload) * 8, 5):
        altered = bytearray(payload)
        altered[bit // 8] ^= 1 << bit % 8
        row[0][0] = base64.b64encode(altered).decode()
        path.write_text(json.dumps(text))
        (kept,) = cache.networks()
        belief = again(kept)

        assert names(belief) == {"n3"}
        assert len(belief.members(None).refusals) == 1
        assert belief.holding.revision == 0


def test_a_file_that_is_no_netmap_hides_no_other(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.keep(begin().kept)
    (tmp_path / "0011223344000009").mkdir()
    (tmp_path / "0011223344000009" / "netmap.json").write_text("{")

    assert [kept.network for kept in cache.networks()] == [NETWORK]


@pytest.mark.parametrize(
    "altered",
    [
        {"membership": FARM.signer.seal(N2.membership)},
        {"membership": Authority().signer.seal(ME.membership)},
        {"state": Authority().signer.seal(state())},
        {"keyset": Authority().signed_keyset()},
        {"state": FARM.signer.seal(state(network="0011223344000002"))},
    ],
)
def test_a_cache_with_a_statement_of_somebody_else_is_not_believed(
    altered: dict[str, object],
) -> None:
    kept = begin().kept
    again(kept)  # the control

    with pytest.raises(StatementError):
        again(msgspec.structs.replace(kept, **altered))


def test_a_state_that_is_older_is_refused_and_the_one_before_stays() -> None:
    belief = begin()
    outcome = belief.take_rows(rows(ME, N2, now=state(epoch=4), revision=3))

    assert outcome.ack
    assert belief.holding.epoch == 5
    assert [r.name for r in belief.members(None).refusals] == ["network state"]
    belief.take_rows(rows(ME, N2, now=state(epoch=6), revision=4))
    assert belief.members(None).refusals == ()
    assert belief.holding.epoch == 6


def test_an_own_certificate_of_a_lower_serial_is_refused_unless_the_network_was_restored() -> None:
    belief = begin()
    older = replace(ME, serial=2)
    with pytest.raises(StatementError, match="older"):
        belief.take_joined(trust(), joined(older))
    assert belief.membership.serial == 3

    belief.take_joined(trust(), joined(older, state(incarnation=2)))
    assert belief.membership.serial == 2


def test_our_own_row_brings_our_newer_certificate() -> None:
    belief = begin()
    belief.take_rows(rows(replace(ME, serial=4, roles=("transit",)), N2, revision=3))

    assert belief.membership.serial == 4
    assert belief.membership.roles == ("transit",)


def test_a_revocation_of_ourselves_takes_us_out_and_a_new_certificate_brings_us_back() -> None:
    belief = begin()
    belief.take_rows(rows(ME, N2, now=state(epoch=6, floors=[(ME, 4)]), revision=3))
    with pytest.raises(StatementError, match="revoked"):
        belief.members(None)

    belief.take_joined(trust(), joined(replace(ME, serial=4), state(epoch=7, floors=[(ME, 4)])))
    assert names(belief) == {"n2"}


def test_a_newer_keyset_is_taken_and_an_older_or_foreign_one_is_not() -> None:
    belief = begin()
    second = Authority(root=FARM.root, signer=FARM.signer)
    belief.take_trust(Trust(FARM.root_key, second.signed_keyset(2)))
    for wrong in (
        Trust(FARM.root_key, second.signed_keyset(1)),
        Trust(FARM.root_key, Authority().signed_keyset(9)),
        Trust(Authority().root_key, second.signed_keyset(9)),
    ):
        with pytest.raises(StatementError):
            belief.take_trust(wrong)

    assert belief.keyset.number == 2


def test_learnt_endpoints_are_hints_that_may_be_damaged(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    learnt = {b"a" * 32: endpoint("192.0.2.1:7"), b"b" * 32: endpoint("[2001:db8::1]:8")}
    cache.keep_learnt(NETWORK, learnt)
    assert cache.learnt(NETWORK) == learnt

    path = tmp_path / NETWORK / "endpoints.json"
    path.write_text(path.read_text().replace("192.0.2.1:7", "nowhere"))
    assert cache.learnt(NETWORK) == {b"b" * 32: endpoint("[2001:db8::1]:8")}
    path.write_text("noise")
    assert cache.learnt(NETWORK) == {}


def test_a_network_that_is_forgotten_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.keep(begin().kept)
    cache.keep_learnt(NETWORK, {b"a" * 32: endpoint("192.0.2.1:7")})
    cache.forget(NETWORK)

    assert list(tmp_path.iterdir()) == []


def test_in_a_network_that_was_deleted_nobody_is_believed_and_nothing_after_counts() -> None:
    belief = begin()
    assert not belief.holding.closed
    last = Rows(0, NETWORK, 2, 2, False, (), (), FARM.signer.seal(state(epoch=6, least=CLOSED)))
    belief.take_rows(last)
    later = again(belief.kept)

    for one in (belief, later):
        assert one.holding.closed
        with pytest.raises(StatementError, match="the network was deleted"):
            one.members(None)
    with pytest.raises(StatementError, match="older"):
        belief.take_joined(trust(), joined(now=state(epoch=5)))


def test_only_a_signer_of_the_farm_can_say_that_a_network_was_deleted() -> None:
    belief = begin()
    forged = Authority().signer.seal(state(epoch=6, least=CLOSED))
    belief.take_rows(Rows(0, NETWORK, 2, 2, False, (), (), forged))

    assert not belief.holding.closed
    assert names(belief) == {"n2", "n3"}
