"""`network delete`: the network goes, with all that it has; all its members are told.

Those who are connected are told at once, the others when they come: the network's last state is signed
and says that nobody's certificate is valid any more. For thirty days its members are remembered for that;
its number is never lent again.
"""

import msgspec
from sqlalchemy import Table, func, select

from controller.refusal import RefusedError
from controller.store import model
from controller.store.records import Network
from controller.store.sums import NO_FLOORS
from controller.store.work import Work
from controller.verbs.configured import is_imported
from controller.verbs.network import Name, count_members, describe
from controller.verbs.office import Items, Office
from protocol.messages import Code
from protocol.statements import CLOSED

_TABLES = (
    model.POOL,
    model.TOKEN,
    model.ASSIGNMENT,
    model.PREFIX_LEASE,
    model.PREFIX_POOL,
    model.FLOOR,
)

_TAKEN_OUT = "take it out of controller.yaml first, and start the controller anew"
_NAMED_FIRST = (
    "it came so from elsewhere; if it shall go: name it in controller.yaml, start the controller,"
    " take it out again, start it anew"
)


def delete(office: Office, wanted: Name) -> Items:
    """The answer counts what went with it; `told` are the members that were connected."""
    network = office.network(wanted.network)
    if network.infrastructure:
        raise RefusedError(
            Code.DENIED,
            f"cannot delete network {network.name}: it is infrastructure",
            hint=_NAMED_FIRST if is_imported(network) else _TAKEN_OUT,
        )
    counts = {
        "members": count_members(office, [network.number]).get(network.number, 0),
        "tokens": _count(office, model.TOKEN, network),
        "addresses": _count(office, model.ASSIGNMENT, network),
    }
    item = describe(office, network) | counts
    watchers = office.sessions.watchers(network.number)
    closed = _closed(network, office.now_ms)

    def do(work: Work) -> None:
        for table in _TABLES:
            work.connection.execute(table.delete().where(table.c.network == network.number))
        work.put_network(closed)
        said = ", ".join(f"{count} {what}" for what, count in counts.items())
        thing = network.id(office.registry.controller)
        work.note(office.actor, "network.delete", thing, f"{network.name}: {said}")

    office.change(do)
    told = sum(office.desk.push.closed(session, closed) for session in watchers)
    return [item | {"online": 0, "told": told}]


def _closed(network: Network, now_ms: int) -> Network:
    """Its name and the id of the request that made it are free: no others have a blank in this place."""
    return msgspec.structs.replace(
        network,
        name=f"{network.number:06x} {network.name}",
        request=f"{network.number:06x} deleted",
        closed_at=now_ms,
        epoch=network.epoch + 1,
        revision=network.revision + 1,
        state_revision=network.revision + 1,
        state_at=now_ms,
        least=CLOSED,
        floors=NO_FLOORS,
    )


def _count(office: Office, table: Table, network: Network) -> int:
    query = select(func.count()).select_from(table).where(table.c.network == network.number)
    if table is model.ASSIGNMENT:
        query = query.where(table.c.released_at == 0)
    return int(office.connection.execute(query).scalar_one())
