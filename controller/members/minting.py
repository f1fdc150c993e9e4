"""How tokens come and go beside the admin verbs: made by members, taken away when they are dead.

A member with the role `mint` makes a join token for its network.
The node made the key pair and sent the public half; nobody here ever holds the secret. What such a
token can do is bounded: it admits plain members, for a day at most, and only while its maker may mint.
"""

from sqlalchemy import func, select

from controller.members.admission import may_mint
from controller.members.membership import known_node
from controller.refusal import RefusedError, refuse_low_order
from controller.registry import Registry
from controller.store import model
from controller.store.records import Token
from controller.store.work import Work
from protocol.joinstring import MAX_CONTROLLERS
from protocol.messages import Code, Mint, Minted

LIVE_MAX = 64  # tokens of one member that could still be used


def mint(registry: Registry, work: Work, key: bytes, message: Mint) -> Minted:
    """Idempotent by the token's key. Raises RefusedError."""
    refuse_low_order(message.token, "token")
    number = registry.number_of(message.network)
    registry.check_network(message.network)
    node = known_node(work, key)
    member = work.member(number, node.id) if number is not None else None
    if number is None or not may_mint(member):
        raise RefusedError(
            Code.DENIED,
            f"cannot make a token of network {message.network}: this node has not the role mint",
            hint=f"give it: ncadm member set NETWORK {node.address} --role mint",
        )
    by = f"node {node.address}"
    token = work.token(message.token)
    if token is None:
        token = _new_token(work, number, message, by)
        work.tokens.put(token)
        said = f"token {token.id}, uses {token.uses}, ttl {message.ttl_ms // 1000} s"
        work.note(by, "token.create", message.network, said)
    elif (token.created_by, token.network) != (by, number):
        raise RefusedError(Code.CONFLICT, "cannot make a token: another one has this key")
    curve = bytes(registry.keyring.curve_public)
    controllers = tuple((endpoint, curve) for endpoint in registry.endpoints[:MAX_CONTROLLERS])
    return Minted(message.id, message.network, token.expires_at, controllers)


def _new_token(work: Work, number: int, message: Mint, by: str) -> Token:
    if _count_live(work, by) >= LIVE_MAX:
        raise RefusedError(
            Code.POOL_EXHAUSTED,
            f"cannot make a token: {LIVE_MAX} of this node's can still be used",
            hint="wait until they expire, or: ncadm token revoke TOKEN",
        )
    return Token(
        key=message.token,
        network=number,
        uses=message.uses,
        uses_left=message.uses,
        created_at=work.now_ms,
        expires_at=work.now_ms + message.ttl_ms,
        address="",
        ask=False,
        roles="",
        created_by=by,
    )


def _count_live(work: Work, by: str) -> int:
    """Also those that this batch has only just made."""
    table = model.TOKEN
    live = (table.c.uses_left > 0) & (table.c.expires_at > work.now_ms) & (table.c.revoked_at == 0)
    query = select(func.count()).select_from(table).where(live, table.c.created_by == by)
    stored = int(work.connection.execute(query).scalar_one())
    return stored + sum(token.created_by == by for token in work.tokens.fresh())


def prune_tokens(work: Work, before: int, actor: str) -> int:
    """Drop tokens that were made and lost their worth before `before` (ms). Returns how many.

    One that is used up is told from the others only by its uses: it lost them some time since it was made.
    """
    table = model.TOKEN
    expired = (table.c.expires_at <= work.now_ms) & (table.c.expires_at <= before)
    revoked = (table.c.revoked_at > 0) & (table.c.revoked_at <= before)
    dead = expired | revoked | (table.c.uses_left == 0)
    gone = work.connection.execute(table.delete().where(dead, table.c.created_at <= before))
    if gone.rowcount:
        work.note(actor, "token.prune", "tokens", f"{gone.rowcount} tokens")
    return gone.rowcount
