"""An operator's own changes of the database are believed: rows get sums that fit, the audit log names
them, and what is signed of them is signed anew.

    for what in accept(settings, keys, connection): ...

In two transactions: after the first all is believed and noted, by the second those who hold what was
signed before are told of it. One that is cut short between the two is told as soon as the row changes.
"""

import os
import pwd
from collections.abc import Sequence

from sqlalchemy import Connection

from controller.config import Config
from controller.members.certificate import renew
from controller.members.publish import finish
from controller.opening import open_registry
from controller.registry import Registry
from controller.signing.keyring import Keyring
from controller.store import audit
from controller.store.audit import Entry
from controller.store.sums import Sums
from controller.store.survey import Misfit, believe, survey
from controller.store.work import Work
from runtime.clock import wall_ms

_AT_ONCE = 500  # members


def accept(settings: Config, keys: Keyring, connection: Connection) -> list[str]:
    """What was accepted."""
    actor = f"local {pwd.getpwuid(os.getuid()).pw_name}"
    with connection.begin():
        misfits = list(survey(connection, Sums(keys.sums_key)))
        for found in misfits:
            believe(connection, found)
        notes = [Entry(actor, "database.accept", "database", found.what) for found in misfits]
        audit.append(connection, audit.read_head(connection, keys.audit_name), notes, wall_ms())
    if misfits:
        _sign_anew(open_registry(settings, check=False), misfits)
    return [found.what for found in misfits]


def _sign_anew(registry: Registry, misfits: Sequence[Misfit]) -> None:
    networks = {found.network for found in misfits if found.network is not None}
    members = [found.member for found in misfits if found.member is not None]
    for start in range(0, max(1, len(members)), _AT_ONCE):
        work = registry.batch(wall_ms())
        for number in networks & registry.networks.keys():
            work.restate(number)
        networks.clear()
        for number, node in members[start : start + _AT_ONCE]:
            if number in registry.networks:
                _renew(registry, work, number, node)
        updates = finish(registry, work)
        head = work.flush(registry.audit_head)
        registry.connection.commit()
        registry.absorb(work, updates, head)
    registry.connection.close()


def _renew(registry: Registry, work: Work, number: int, node: int) -> None:
    """One that peers knew and may know no more is told of too; what makes no certificate is not."""
    member, its = work.member(number, node), work.node_by_id(node)
    if member is None or its is None:
        return
    if not member.visible and member.revision:
        work.touch(number, node)
    elif registry.roster.entry(number, its.key) is not None:
        renew(work, registry.networks[number], node)
