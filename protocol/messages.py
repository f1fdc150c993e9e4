"""Requests, replies and pushes on a node's connection: one MessagePack frame each.

A request has an `id` that its reply repeats; a client may ask again with the same or another id,
every verb is idempotent by its key (node; network and node). A token's connection may send only
`Admit`; a node's connection everything else. Unknown tags, fields and sizes are refused.

    A: Admit → Done                      (token connection; then reconnect with the node's own key)
    A: Hello → Welcome                   (on every handshake)
    A: Join → Joined | Waiting           A: Leave → Done
    A: Refresh → Unchanged | Joined      A: FetchRows → Rows
    A: Rotate → Done                     (then reconnect with the next key)
    A: Mint → Minted                     (members with the role mint)
    C: Rows with id 0 is a push          A: Ack(revision) has no reply
    C: Keys, only pushed                 A: AckKeys(number) has no reply
    A, C: Ping → Pong                    any request → Refused
"""

from typing import Annotated

import msgspec

from protocol.keys import Key32
from protocol.signed import Signed
from protocol.statements import Count, NetworkId

WIRE_VERSION = 1
MAX_FRAME = 64 * 1024
MINT_USES_MAX = 100  # of a token that a member makes
MINT_TTL_MAX = 24 * 3600 * 1000  # ms
MAX_PIECE = 48 * 1024  # a snapshot travels in pieces of at most this many bytes

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
RequestId = Annotated[int, msgspec.Meta(ge=0, le=2**32)]
Text = Annotated[str, msgspec.Meta(max_length=64)]
Endpoint = Annotated[str, msgspec.Meta(max_length=64)]  # "192.0.2.1:51820", "[2001:db8::1]:51820"
Families = Annotated[
    tuple[int, ...], msgspec.Meta(max_length=2)
]  # of 4 and 6: where it can send to


class _Message(
    msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"
):
    pass


class Admit(_Message, tag="admit", frozen=True):
    """Let this node in, by the token whose key this connection has."""

    id: RequestId
    node: Key32
    name: Text
    client_version: Text
    client_os: Text


class Hello(_Message, tag="hello", frozen=True):
    """Who speaks, after each handshake. `generation` counts the node's starts (a clone shows)."""

    id: RequestId
    wire_version: int
    name: Text
    client_version: Text
    client_os: Text
    generation: Count
    keyset: Count  # the number of the newest keyset the node holds


class Join(_Message, tag="join", frozen=True):
    id: RequestId
    network: NetworkId
    wireguard: Key32
    endpoints: Annotated[tuple[Endpoint, ...], msgspec.Meta(max_length=8)]
    families: Families
    listen_port: Port


class Refresh(_Message, tag="refresh", frozen=True):
    """Still there; this is what I hold. Renewal and changed endpoints go by it."""

    id: RequestId
    network: NetworkId
    wireguard: Key32
    endpoints: Annotated[tuple[Endpoint, ...], msgspec.Meta(max_length=8)]
    families: Families
    listen_port: Port
    serial: Count
    incarnation: Count
    epoch: Count
    revision: Count


class Leave(_Message, tag="leave", frozen=True):
    id: RequestId
    network: NetworkId


class FetchRows(_Message, tag="rows?", frozen=True):
    """The rows above `revision`; 0 asks for all. `after` continues a snapshot in pieces."""

    id: RequestId
    network: NetworkId
    revision: Count
    after: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class Mint(_Message, tag="mint", frozen=True):
    """A new token of `network`, whose public half is `token`: the secret is made by who asks and
    goes to nobody but the node that it is for. Such a token gives no role and no fixed address.
    """

    id: RequestId
    network: NetworkId
    token: Key32
    uses: Annotated[int, msgspec.Meta(ge=1, le=MINT_USES_MAX)]
    ttl_ms: Annotated[int, msgspec.Meta(ge=1000, le=MINT_TTL_MAX)]


class Rotate(_Message, tag="rotate", frozen=True):
    """This node's next key. Both are let in until the next one is used; then this one is dead."""

    id: RequestId
    next_key: Key32


class Ack(_Message, tag="ack", frozen=True):
    """Rows up to `revision` are kept here; no reply."""

    network: NetworkId
    revision: Count


class AckKeys(_Message, tag="ack-keys", frozen=True):
    """The keyset of this number is kept here; no reply."""

    number: Count


class Ping(_Message, tag="ping", frozen=True):
    id: RequestId


class Row(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One member as its peers see it. All but `membership` is unsigned: names and hints."""

    membership: Signed
    name: Text
    address: str  # 10 hex
    endpoints: tuple[Endpoint, ...]
    families: Families


class Welcome(_Message, tag="welcome", frozen=True):
    """`networks`: where this node is a member or reserved. `observed`: the address it comes from."""

    id: RequestId
    time_ms: Count
    address: str
    keyset: Signed
    networks: tuple[NetworkId, ...]
    observed: str


class Settings(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a member needs to know of its network. Routes and DNS are packed / text; mtu 0: choose."""

    name: Text
    ranges: tuple[bytes, ...]  # packed prefixes of the overlay
    routes: tuple[
        tuple[bytes, bytes], ...
    ]  # (packed prefix, the 5 bytes of the address of the member behind which it lies)
    dns: tuple[str, ...]
    mtu: int
    topology: str  # mesh | hub


class Joined(_Message, tag="joined", frozen=True):
    """The answer to Join, and to a Refresh that found something new.

    With id 0 it is pushed: an operator changed this member or the network's settings.
    """

    id: RequestId
    network: NetworkId
    time_ms: Count
    settings: Settings
    membership: Signed
    state: Signed
    revision: Count  # the head: ask for the rows above what you hold


class Waiting(_Message, tag="waiting", frozen=True):
    """Known, not authorized (yet, or any more): `state` is pending, deauthorized or banned.

    With id 0 it is pushed: the state has changed; `authorized` then means: ask again now.
    """

    id: RequestId
    network: NetworkId
    state: str
    retry_after: float  # seconds


class Unchanged(_Message, tag="unchanged", frozen=True):
    id: RequestId
    network: NetworkId
    time_ms: Count


class Rows(_Message, tag="rows", frozen=True):
    """Members changed after `since`, up to `revision`; `gone` are keys of nodes that left.

    `since` 0 with `full` is a snapshot: forget all others at its last piece. `more` is not empty
    when a snapshot has further pieces: ask with `after=more`, and hold `revision` only after the
    last. What is no snapshot may be cut as well: `revision` is then below the head, and the rest is
    pushed after the Ack. A node's own row is among the rows. `state` comes when it has changed since.
    """

    id: RequestId
    network: NetworkId
    since: Count
    revision: Count
    full: bool
    rows: tuple[Row, ...]
    gone: tuple[Key32, ...]
    state: Signed | None
    more: bytes = b""


class Minted(_Message, tag="minted", frozen=True):
    """With the root key that the node pins and the token's secret it makes a join string."""

    id: RequestId
    network: NetworkId
    expires_ms: Count
    controllers: Annotated[tuple[tuple[str, Key32], ...], msgspec.Meta(max_length=4)]


class Keys(_Message, tag="keys", frozen=True):
    """A newer keyset; `id` is 0, it is only pushed. Welcome has the newest one, too."""

    id: RequestId
    keyset: Signed


class Done(_Message, tag="done", frozen=True):
    id: RequestId


class Pong(_Message, tag="pong", frozen=True):
    id: RequestId
    time_ms: Count


class Refused(_Message, tag="refused", frozen=True):
    """`code` is for programs (protocol.messages.Code), `message` begins with "cannot"."""

    id: RequestId
    code: str
    message: Annotated[str, msgspec.Meta(max_length=512)]
    hint: Annotated[str, msgspec.Meta(max_length=512)] = ""
    retry_after: float = 0.0


class Code:
    """Why a request was refused."""

    BAD_REQUEST = "bad-request"
    TOKEN_USED_UP = "token-used-up"  # noqa: S105
    TOKEN_EXPIRED = "token-expired"  # noqa: S105
    NOT_FOUND = "not-found"
    DENIED = "denied"
    BANNED = "banned"
    CONFLICT = "conflict"
    MESH_FULL = "mesh-full"
    POOL_EXHAUSTED = "pool-exhausted"
    CLONED = "cloned"
    FULL = "full"
    BUSY = "busy"
    DAMAGED = "damaged"
    INTERNAL = "internal"


TokenRequest = Admit  # nothing that is answered without a look at the token
NodeRequest = (
    Hello | Join | Refresh | Leave | FetchRows | Mint | Rotate | Ack | AckKeys | Ping | Pong
)
Reply = Welcome | Joined | Waiting | Unchanged | Rows | Keys | Minted | Done | Ping | Pong | Refused


class MessageError(Exception):
    """A frame that is no message for this connection; counted and dropped or refused."""


_token_decoder: msgspec.msgpack.Decoder[TokenRequest] = msgspec.msgpack.Decoder(TokenRequest)
_node_decoder: msgspec.msgpack.Decoder[NodeRequest] = msgspec.msgpack.Decoder(NodeRequest)
_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_encoder = msgspec.msgpack.Encoder()


def encode(message: TokenRequest | NodeRequest | Reply) -> bytes:
    return _encoder.encode(message)


def decode_token_request(frame: bytes) -> TokenRequest:
    """What a token's connection may say. Raises MessageError."""
    try:
        return _token_decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MessageError(str(error)) from error


def decode_node_request(frame: bytes) -> NodeRequest:
    """What a node's connection may say. Raises MessageError."""
    try:
        return _node_decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MessageError(str(error)) from error


def decode_reply(frame: bytes) -> Reply:
    """What a controller says to a node. Raises MessageError."""
    try:
        return _reply_decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MessageError(str(error)) from error
