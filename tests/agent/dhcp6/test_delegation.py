"""The client's name."""

from agent.dhcp6.delegation import client_duid
from tests.agent.dhcp6.answers import HELD


def test_a_node_has_one_duid_for_ever_and_no_other_has_it() -> None:
    one = client_duid(b"k" * 32)

    assert one == client_duid(b"k" * 32)
    assert one != client_duid(b"l" * 32)
    assert one[:2] == b"\0\x04"
    assert len(one) == 18


def test_its_times_count_from_when_it_came() -> None:
    assert (HELD.renew_at, HELD.rebind_at, HELD.expires_at) == (500, 800, 2000)
    assert HELD.is_valid(1999)
    assert not HELD.is_valid(2000)
    assert not HELD.is_valid(-1)  # of a clock that began anew
