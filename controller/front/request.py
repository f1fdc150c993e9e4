"""One request as it came in: from which connection, by whose key, decoded and priced (pure).

    request = read_request(routing, user, payer(routing, user), frame)

What a connection may say depends on whose key it has: ZAP wrote it into `user`, `n:` a node's, `t:` a
token's.
"""

from typing import Any, get_args

import msgspec

from controller.front.rates import COSTS
from protocol.messages import (
    Admit,
    Hello,
    Join,
    Leave,
    MessageError,
    Mint,
    NodeRequest,
    Refresh,
    Rotate,
    TokenRequest,
    decode_node_request,
    decode_token_request,
)

# by the type of a message: what it is called, and what it costs
KINDS = {
    kind: (kind.__name__.lower(), COSTS.get(kind.__name__.lower(), 1.0))
    for kind in get_args(TokenRequest | NodeRequest)
}
WRITING = frozenset((Admit, Hello, Join, Refresh, Leave, Mint, Rotate))


class Request(msgspec.Struct, frozen=True, gc=False):
    routing: bytes
    key: bytes  # of the node, or of the token
    message: TokenRequest | NodeRequest
    who: str | bytes  # whose purse it is paid from
    observed: str = ""

    @property
    def id(self) -> int:
        """What the answer repeats; 0 when none is awaited."""
        return int(getattr(self.message, "id", 0))


def read_request(routing: bytes, user: str, who: str | bytes, frame: Any) -> Request:
    """Raises MessageError."""
    if user.startswith("n:"):
        message = decode_node_request(frame.bytes)
        observed = ""
        if type(message) is Hello:
            observed = frame.get("Peer-Address").removeprefix("::ffff:").partition("%")[0]
        return Request(routing, bytes.fromhex(user[2:]), message, who, observed)
    if user.startswith("t:"):
        return Request(routing, bytes.fromhex(user[2:]), decode_token_request(frame.bytes), who)
    raise MessageError("not two parts" if not user else "a key of an unknown kind")


def payer(routing: bytes, user: str) -> str | bytes:
    """A node, with all its connections; of those who share a token, each connection."""
    return routing if user.startswith("t:") else user
