"""Ids that people and both programs use.

controller id   10 hex digits, from the root key: shared by all controllers of one database
network id      16 hex digits: controller id, then the network's number (6 hex digits)
node address    10 hex digits, chosen by the controller, first free from a hash of the key
"""

import re
from functools import lru_cache
from hashlib import blake2b

from protocol.keys import CurvePublic, VerifyKey

NETWORKS_MAX = 1 << 24
_NETWORK = re.compile(r"[0-9a-f]{16}\Z")
_ADDRESS = re.compile(r"[0-9a-f]{10}\Z")


def controller_id(root: VerifyKey) -> str:
    return blake2b(bytes(root), digest_size=5, person=b"zosnet-ctrl").hexdigest()


@lru_cache(maxsize=4096)
def network_id(controller: str, number: int) -> str:
    if not 0 < number < NETWORKS_MAX:
        raise ValueError(f"network number {number} is not in 1 … {NETWORKS_MAX - 1}")
    return f"{controller}{number:06x}"


@lru_cache(maxsize=4096)
def network_number(controller: str, network: str) -> int | None:
    """The number in a network id of this controller, None for another's."""
    return int(network[10:], 16) if network.startswith(controller) else None


def is_network_id(text: str) -> bool:
    return _NETWORK.match(text) is not None


def is_node_address(text: str) -> bool:
    return _ADDRESS.match(text) is not None


def short_id(network: str) -> str:
    """The twelve digits in interface names: network number, then the start of the controller id.

    Linux takes 15 characters; `n-`, `b-` or `w-` and these are 14.
    """
    return network[10:] + network[:6]


def first_address_try(key: CurvePublic) -> int:
    """Where the controller begins to look for a free node address (40 bits)."""
    return int.from_bytes(blake2b(bytes(key), digest_size=5, person=b"zosnet-node").digest())
