"""Keys that are none: X25519 points of low order give every secret the same, known result."""

import pytest
from nacl import bindings

from protocol.keys import is_low_order, new_curve_pair

P = 2**255 - 19
EIGHTH = int.from_bytes(
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "little"
)
OTHER_EIGHTH = int.from_bytes(
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "little"
)
LOW = [0, 1, P - 1, EIGHTH, OTHER_EIGHTH, P, P + 1]
NEAR = [2, 9, P - 2, P + 2, EIGHTH + 1, OTHER_EIGHTH - 1, 2**255 - 1]
TOP = 2**255


def key(number: int) -> bytes:
    return number.to_bytes(32, "little")


def agrees(public: bytes) -> bool:
    """Whether libsodium makes a shared secret with it."""
    try:
        bindings.crypto_scalarmult(b"s" * 32, public)
    except RuntimeError:
        return False
    return True


@pytest.mark.parametrize("top", [0, TOP])
def test_a_key_is_of_low_order_when_no_secret_can_be_shared_with_it(top: int) -> None:
    for number in LOW:
        assert is_low_order(key(number | top))
        assert not agrees(key(number | top))
    for number in NEAR:
        assert not is_low_order(key(number | top))
        assert agrees(key(number | top))


def test_a_key_that_was_made_is_none_of_them() -> None:
    for _ in range(100):
        public, _ = new_curve_pair()

        assert not is_low_order(public)
        assert agrees(public)
