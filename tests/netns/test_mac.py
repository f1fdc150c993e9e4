"""MACs that follow from a key."""

from hypothesis import given
from hypothesis import strategies as st

from netns.mac import stable_mac

KEY = bytes(range(32))


def test_the_same_key_and_role_give_the_same_mac_for_ever() -> None:
    assert stable_mac(KEY, "npub4") == "26:0c:ea:8a:52:23"


def test_another_role_or_another_node_gives_another_mac() -> None:
    macs = {stable_mac(key, role) for key in (KEY, KEY[::-1]) for role in ("npub4", "npub6")}

    assert len(macs) == 4


@given(st.binary(min_size=1, max_size=100), st.text(max_size=30))
def test_every_mac_is_locally_administered_unicast(seed: bytes, role: str) -> None:
    octets = bytes.fromhex(stable_mac(seed, role).replace(":", ""))

    assert len(octets) == 6
    assert octets[0] & 0b11 == 0b10
