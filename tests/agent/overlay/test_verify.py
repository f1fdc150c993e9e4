"""Who is believed, and who may carry what: every refusal has its reason, and its control."""

from ipaddress import ip_network

import msgspec
import pytest
from msgspec.structs import replace

from agent.overlay.verify import Judge, Member, Verified
from protocol.signed import StatementError
from protocol.statements import NetworkState
from tests.agent.overlay.signing import NETWORK, Authority, Someone, state

FARM = Authority()
KEYSET = FARM.keyset()
ME = Someone("me", ("10.9.0.1/16", "fd09::1/64"))
N2 = Someone("n2", ("10.9.0.2/16", "fd09::2/64"), endpoints=("192.0.2.2:51820",), families=(4,))
N3 = Someone("n3", ("10.9.0.3/16",))


def own(judge: Judge, now: NetworkState) -> Member:
    return judge.own(FARM.signer.seal(ME.membership), now, KEYSET, bytes(ME.wireguard), None)


def verify(
    *everybody: Someone,
    now: NetworkState | None = None,
    authority: Authority = FARM,
    now_ms: int | None = None,
) -> Verified:
    judge, now = Judge(bytes(ME.node)), now or state()
    return judge.members(own(judge, now), authority.rows(*everybody), now, KEYSET, now_ms)


def refusal(verified: Verified) -> str:
    (only,) = verified.refusals
    return only.reason


def test_a_member_is_believed_with_its_own_addresses_and_prefixes() -> None:
    verified = verify(replace(N2, prefixes=("10.9.2.0/24",)), ME)

    assert verified.refusals == ()
    (member,) = verified.members.values()
    expected = {"10.9.0.2/32", "fd09::2/128", "10.9.2.0/24"}
    assert {str(p) for p in member.claims} == expected
    assert [str(e) for e in member.endpoints] == ["192.0.2.2:51820"]


def test_a_certificate_signed_by_a_stranger_is_refused() -> None:
    assert N2.node in verify(N2).members

    verified = verify(N2, authority=Authority())

    assert verified.members == {}
    assert "whom we do not know" in refusal(verified)


def test_an_altered_certificate_is_refused_and_the_others_stay() -> None:
    judge, now = Judge(bytes(ME.node)), state()
    good, row = FARM.rows(N3, N2)
    payload = bytearray(row.membership.payload)
    place = payload.index(bytes([10, 9, 0, 2, 16]))
    payload[place + 3] = 99
    altered = msgspec.structs.replace(
        row, membership=msgspec.structs.replace(row.membership, payload=bytes(payload))
    )
    verified = judge.members(own(judge, now), [good, altered], now, KEYSET, None)

    assert set(verified.members) == {N3.node}
    assert refusal(verified) == "the signature is wrong"


def test_a_certificate_of_another_network_is_refused() -> None:
    verified = verify(replace(N2, network="0011223344000002"))

    assert verified.members == {}
    assert "of network 0011223344000002" in refusal(verified)


def test_a_serial_below_its_floor_is_revoked() -> None:
    assert N2.node in verify(N2, now=state(floors=[(N2, 1)])).members

    verified = verify(N2, now=state(floors=[(N2, 2)]))

    assert verified.members == {}
    assert "revoked" in refusal(verified)


def test_a_life_is_held_only_with_a_clock_that_is_trusted() -> None:
    mortal = replace(N2, not_after=1000)
    assert N2.node in verify(mortal, now_ms=1000).members
    assert N2.node in verify(mortal, now_ms=None).members

    assert refusal(verify(mortal, now_ms=1001)) == "its life is over"


def test_of_two_claims_on_one_prefix_the_lower_serial_stays() -> None:
    thief = replace(N3, addresses=("10.9.0.2/16",), serial=2)
    for rows in ((N2, thief), (thief, N2)):
        verified = verify(*rows)

        assert set(verified.members) == {N2.node}
        assert refusal(verified) == "10.9.0.2/32 belongs to n2"


def test_nobody_takes_an_address_of_this_node() -> None:
    verified = verify(replace(N2, addresses=("10.9.0.1/16",), serial=0))

    assert verified.members == {}
    assert refusal(verified) == "10.9.0.1/32 belongs to this node"


def test_nobody_shows_the_wireguard_key_of_another() -> None:
    verified = verify(N2, replace(N3, wireguard=N2.wireguard, serial=5))

    assert set(verified.members) == {N2.node}
    assert "WireGuard key" in refusal(verified)


def test_a_serial_below_the_least_of_the_network_is_revoked() -> None:
    raised = replace(ME, serial=8)
    judge, now = Judge(bytes(ME.node)), state(least=8, floors=[(N3, 9)])
    mine = judge.own(FARM.signer.seal(raised.membership), now, KEYSET, bytes(ME.wireguard), None)
    rows = FARM.rows(replace(N2, serial=8), replace(N3, serial=8))
    verified = judge.members(mine, rows, now, KEYSET, None)

    assert set(verified.members) == {N2.node}
    assert "serial 8 is below 9" in refusal(verified)
    with pytest.raises(StatementError, match="serial 1 is below 8"):
        own(judge, now)


def test_a_transit_relays_those_whose_certificates_name_it_and_only_with_the_role() -> None:
    relayed = replace(N3, via=N2.node)

    assert verify(replace(N2, roles=("transit",)), relayed).relays == {N3.node: N2.node}
    assert verify(replace(N2, roles=("transit",)), N3).relays == {}

    verified = verify(N2, relayed)

    assert verified.relays == {}
    assert "not that role" in refusal(verified)


def test_hints_that_are_no_endpoints_are_left_out() -> None:
    verified = verify(
        replace(
            N2,
            endpoints=(
                *("host:1", "0.0.0.0:1", "127.0.0.1:9", "255.255.255.255:9"),
                *("[fe80::2]:9", "[2001:db8::2%x]:9", "[2001:db8::2]:51820"),
            ),
        )
    )

    (member,) = verified.members.values()
    assert [str(e) for e in member.endpoints] == ["[2001:db8::2]:51820"]


@pytest.mark.parametrize(
    ("newer", "why"),
    [
        (state(epoch=4, incarnation=1), "older"),
        (state(epoch=9, incarnation=0), "older"),
        (state(epoch=9, network="0011223344000002"), "of network"),
    ],
)
def test_a_state_is_never_lowered_and_of_this_network(newer: NetworkState, why: str) -> None:
    judge, held = Judge(bytes(ME.node)), state(epoch=5)
    for higher in (state(epoch=5), state(epoch=6), state(epoch=0, incarnation=2)):
        assert judge.state(FARM.signer.seal(higher), KEYSET, NETWORK, held) == higher

    with pytest.raises(StatementError, match=why):
        judge.state(FARM.signer.seal(newer), KEYSET, NETWORK, held)


def test_a_state_that_was_not_signed_by_us_is_refused() -> None:
    with pytest.raises(StatementError, match="whom we do not know"):
        Judge(b"").state(Authority().signer.seal(state()), KEYSET, NETWORK, None)


def test_our_own_certificate_must_name_our_keys() -> None:
    judge, now = Judge(bytes(ME.node)), state()
    assert own(judge, now).claims >= {ip_network("10.9.0.1/32")}

    with pytest.raises(StatementError, match="another WireGuard key"):
        judge.own(FARM.signer.seal(ME.membership), now, KEYSET, b"x" * 32, None)
    with pytest.raises(StatementError, match="another node"):
        judge.own(FARM.signer.seal(N2.membership), now, KEYSET, bytes(N2.wireguard), None)
    with pytest.raises(StatementError, match="revoked"):
        own(judge, state(floors=[(ME, 2)]))


def test_a_signer_that_left_the_keyset_is_not_believed_from_memory() -> None:
    judge, now, rows = Judge(bytes(ME.node)), state(), FARM.rows(N2)
    mine = own(judge, now)
    assert N2.node in judge.members(mine, rows, now, KEYSET, None).members

    verified = judge.members(mine, rows, now, Authority().keyset(2), None)

    assert verified.members == {}
