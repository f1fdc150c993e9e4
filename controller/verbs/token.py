"""Join tokens: create, list, show, revoke, prune.

The client makes the token's key pair and sends the public half; the secret never comes here. The answer
has what the client needs to write the join string.
"""

import re
from ipaddress import ip_address
from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy import or_, select, tuple_

from controller.addresses.fixed import check_promise
from controller.members.minting import prune_tokens
from controller.refusal import RefusedError
from controller.store import model
from controller.store.records import Token, printable
from controller.store.work import Work
from controller.verbs.member import check_roles
from controller.verbs.office import Items, Office, iso, not_found
from controller.verbs.paging import Paged, Told, like, page, wrong_cursor
from protocol.messages import Code

USES_MAX = 10_000
TTL_MAX = 366 * 24 * 3600  # seconds
NEAR_MAX = 1000  # of the newest: among them a mistyped id is looked for


class Create(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: the public half in hex; the same call again makes nothing new."""

    network: str
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    uses: Annotated[int, msgspec.Meta(ge=1, le=USES_MAX)] = 1
    ttl: Annotated[int, msgspec.Meta(ge=1, le=TTL_MAX)] = 600
    address: str = ""
    ask: bool = False
    roles: tuple[str, ...] = ()
    desc: Annotated[str, msgspec.Meta(max_length=256)] = ""


class List(Paged, frozen=True, forbid_unknown_fields=True):
    """In the order in which they were made. `by`: who made them, with * and ?; one of the `states`,
    if there are some.
    """

    network: str = ""
    by: Annotated[str, msgspec.Meta(max_length=256)] = ""
    states: tuple[Literal["live", "used up", "expired", "revoked"], ...] = ()


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


class Prune(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`older`: seconds since they were made and since they lost their worth."""

    older: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 24 * 3600


def create(office: Office, wanted: Create) -> Items:
    registry = office.registry
    network = office.network(wanted.network)
    if not registry.endpoints:
        raise RefusedError(
            Code.CONFLICT,
            "cannot create a token: this controller does not know how nodes reach it",
            hint="set `endpoints` in controller.yaml, such as tcp://203.0.113.10:9930",
        )
    token = Token(
        key=bytes.fromhex(wanted.key),
        network=network.number,
        uses=wanted.uses,
        uses_left=wanted.uses,
        created_at=office.now_ms,
        expires_at=office.now_ms + wanted.ttl * 1000,
        address=_fixed_address(office, network.number, wanted),
        ask=wanted.ask,
        roles=check_roles(wanted.roles),
        created_by=office.actor,
        desc=printable(wanted.desc),
    )

    def do(work: Work) -> Token:
        known = work.token(token.key)
        if known is not None:
            _refuse_other(known, token)
            return known
        work.tokens.put(token)
        said = f"token {token.id}, uses {token.uses}, ttl {wanted.ttl} s"
        work.note(office.actor, "token.create", network.id(registry.controller), said)
        return token

    return [
        describe(office, office.change(do))
        | {
            "root": registry.keyring.root.hex(),
            "curve": registry.keyring.curve_public.hex(),
            "controllers": list(registry.endpoints),
        }
    ]


def list_all(office: Office, wanted: List) -> Told:
    table = model.TOKEN
    conditions = []
    if wanted.network:
        conditions.append(table.c.network == office.network(wanted.network).number)
    if wanted.by:
        conditions.append(table.c.created_by.like(like(wanted.by), escape="!"))
    if wanted.states:
        conditions.append(or_(*(_states(office.now_ms)[state] for state in wanted.states)))
    if wanted.after:
        place = tuple_(table.c.created_at, table.c.key)
        conditions.append(place > tuple_(*_place(wanted.after)))
    return page(
        _read(office, *conditions, limit=wanted.limit + 1),
        wanted.limit,
        lambda token: describe(office, token),
        cursor=lambda token: f"{token.created_at}:{token.key.hex()}",
    )


def show(office: Office, wanted: Name) -> Items:
    return [describe(office, _find(office, wanted.token))]


def revoke(office: Office, wanted: Name) -> Items:
    """It bites at once, on open connections too; the row stays until it is pruned."""
    key = _find(office, wanted.token).key

    def do(work: Work) -> Token:
        token = work.token(key)
        if token is None:
            raise LookupError(key.hex())
        if not token.revoked_at:
            token = msgspec.structs.replace(token, revoked_at=work.now_ms)
            work.tokens.put(token)
            network_id = office.registry.network_id(token.network)
            work.note(office.actor, "token.revoke", network_id, f"token {token.id}")
        return token

    return [describe(office, office.change(do))]


def prune(office: Office, wanted: Prune) -> Items:
    """Take rows away that are worth nothing: tidiness, no token lives until then."""
    before = office.now_ms - wanted.older * 1000

    def do(work: Work) -> int:
        return prune_tokens(work, before, office.actor)

    return [{"pruned": office.change(do)}]


def describe(office: Office, token: Token) -> dict[str, Any]:
    return {
        "token": token.id,
        "network": office.registry.name_of(token.network),
        "state": token.state(office.now_ms),
        "uses": token.uses,
        "uses_left": token.uses_left,
        "expires": iso(token.expires_at),
        "roles": token.roles.split(",") if token.roles else [],
        "address": token.address,
        "ask": token.ask,
        "created": iso(token.created_at),
        "created_by": token.created_by,
        "revoked": iso(token.revoked_at),
        "desc": token.desc,
    }


def _refuse_other(known: Token, wanted: Token) -> None:
    """A call that is repeated is the same call."""
    own: dict[str, Any] = {"created_at": 0, "expires_at": 0, "uses_left": 0, "revoked_at": 0}
    own["sum"] = b""
    one, other = (msgspec.structs.replace(token, **own) for token in (known, wanted))
    if one != other:
        raise RefusedError(Code.CONFLICT, "cannot create a token: another one has this key")


def _fixed_address(office: Office, number: int, wanted: Create) -> str:
    if not wanted.address:
        return ""
    if wanted.uses != 1:
        raise RefusedError(
            Code.BAD_REQUEST, "cannot create a token: one address is for one use, not for many"
        )
    try:
        address = ip_address(wanted.address)
    except ValueError as error:
        raise RefusedError(
            Code.BAD_REQUEST, f"cannot create a token: {wanted.address!r} is no address"
        ) from error
    work, book = office.registry.work(office.now_ms), office.registry.book
    check_promise(book, work, number, address, bytes.fromhex(wanted.key))
    return str(address)


def _find(office: Office, name: str) -> Token:
    """By its id, which is the start of its key."""
    key = model.TOKEN.c.key
    if re.fullmatch("[0-9a-f]{12}", name):
        first = bytes.fromhex(name)
        found = _read(office, key >= first, key <= first + b"\xff" * 26)
        if found:
            return found[0]
    newest = model.TOKEN.c.created_at.desc()
    known = office.connection.execute(select(key).order_by(newest).limit(NEAR_MAX)).scalars()
    raise not_found("token", name, [one[:6].hex() for one in known], "token list")


def _read(office: Office, *conditions: Any, limit: int | None = None) -> list[Token]:
    table = model.TOKEN
    query = select(*[table.c[name] for name in Token.__struct_fields__]).where(*conditions)
    rows = office.connection.execute(query.order_by(table.c.created_at, table.c.key).limit(limit))
    return [Token(*row) for row in rows]


def _states(now_ms: int) -> dict[str, Any]:
    """As `Token.state` has them."""
    table = model.TOKEN.c
    intact = table.revoked_at == 0
    return {
        "revoked": table.revoked_at > 0,
        "used up": intact & (table.uses_left == 0),
        "expired": intact & (table.uses_left > 0) & (table.expires_at <= now_ms),
        "live": intact & (table.uses_left > 0) & (table.expires_at > now_ms),
    }


def _place(after: str) -> tuple[int, bytes]:
    match = re.fullmatch(r"(\d{1,15}):([0-9a-f]{64})", after)
    if match is None:
        raise wrong_cursor(after)
    return int(match[1]), bytes.fromhex(match[2])
