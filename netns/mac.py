"""MAC addresses that follow from a key, so that they are there before any controller is.

Pure. The addresses are locally administered unicast (IEEE 802, the two low bits of octet one).
"""

from hashlib import blake2b

_PURPOSE = b"zosnet mac"
_MAX_KEY = 64  # what BLAKE2b takes as a key


def stable_mac(seed: bytes, role: str) -> str:
    """The MAC of `role` on the node whose secret or public key is `seed`; tells nothing of it."""
    key = seed if len(seed) <= _MAX_KEY else blake2b(seed).digest()
    octets = bytearray(blake2b(role.encode(), digest_size=6, key=key, person=_PURPOSE).digest())
    octets[0] = octets[0] & 0b1111_1100 | 0b10
    return octets.hex(":")
