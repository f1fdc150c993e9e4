"""Join tokens: create, list, show, revoke.

The client makes the token's key pair and sends the public half; the secret never comes here. The answer
has what the client needs to write the join string.
"""

from ipaddress import ip_address
from typing import Annotated, Any

import msgspec
from sqlalchemy import select

from controller import model
from controller.records import Token, sixteen
from controller.refusal import RefusedError
from controller.verbs.member import check_roles
from controller.verbs.office import Items, Office, iso, not_found
from controller.work import Work
from protocol.messages import Code

USES_MAX = 10_000
TTL_MAX = 366 * 24 * 3600  # seconds


class Create(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`key`: the public half in hex; the same call again makes nothing new."""

    network: str
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    uses: Annotated[int, msgspec.Meta(ge=1, le=USES_MAX)] = 1
    ttl: Annotated[int, msgspec.Meta(ge=1, le=TTL_MAX)] = 600
    address: str = ""
    ask: bool = False
    roles: tuple[str, ...] = ()


class List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    network: str = ""


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: str


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
        created_by="admin",
    )

    def do(work: Work) -> Token:
        known = work.token(token.key)
        if known is not None:
            return known
        work.tokens.put(token)
        said = f"token {token.id}, uses {token.uses}, ttl {wanted.ttl} s"
        work.note("admin", "token.create", network.id(registry.controller), said)
        return token

    return [
        describe(office, office.change(do))
        | {
            "root": registry.keyring.root.hex(),
            "curve": registry.keyring.curve_public.hex(),
            "controllers": list(registry.endpoints),
        }
    ]


def list_all(office: Office, wanted: List) -> Items:
    condition = None
    if wanted.network:
        condition = model.TOKEN.c.network == office.network(wanted.network).number
    return [describe(office, token) for token in _read(office, condition)]


def show(office: Office, wanted: Name) -> Items:
    return [describe(office, _find(office, wanted.token))]


def revoke(office: Office, wanted: Name) -> Items:
    token = _find(office, wanted.token)

    def do(work: Work) -> None:
        row = model.TOKEN.c.key == token.key
        work.connection.execute(model.TOKEN.delete().where(row))
        network_id = office.registry.network_id(token.network)
        work.note("admin", "token.revoke", network_id, f"token {token.id}")

    office.change(do)
    return [describe(office, token) | {"state": "revoked"}]


def describe(office: Office, token: Token) -> dict[str, Any]:
    state = "live"
    if not token.uses_left:
        state = "used up"
    elif office.now_ms >= token.expires_at:
        state = "expired"
    return {
        "token": token.id,
        "network": office.registry.networks[token.network].name,
        "state": state,
        "uses": token.uses,
        "uses_left": token.uses_left,
        "expires": iso(token.expires_at),
        "roles": token.roles.split(",") if token.roles else [],
        "address": token.address,
        "ask": token.ask,
        "created": iso(token.created_at),
        "created_by": token.created_by,
    }


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
    if not any(address in pool.range for pool in office.registry.book.pools(number)):
        raise RefusedError(
            Code.CONFLICT, f"cannot create a token: {address} is in no range of the network"
        )
    held = office.registry.work(office.now_ms).holder(number, sixteen(address))
    if held is not None and not held.released_at:
        raise RefusedError(
            Code.CONFLICT,
            f"cannot create a token: {address} belongs to member {held.node:010x}",
        )
    return str(address)


def _find(office: Office, name: str) -> Token:
    tokens = _read(office, None)
    found = [token for token in tokens if token.id == name]
    if not found:
        raise not_found("token", name, [token.id for token in tokens], "token list")
    return found[0]


def _read(office: Office, condition: Any) -> list[Token]:
    table = model.TOKEN
    query = select(*[table.c[name] for name in Token.__struct_fields__])
    if condition is not None:
        query = query.where(condition)
    rows = office.connection.execute(query.order_by(table.c.created_at, table.c.key))
    return [Token(*row) for row in rows]
