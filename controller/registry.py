"""The controller's memory of its database: keys, networks, address spaces, netmaps.

Everything in here can be built from the database and is, when it is first asked for; it changes only
after a commit (`absorb`), and what a failed batch may have spoilt is thrown away (`distrust`).
"""

import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from controller import audit, model
from controller.assignment import AddressBook
from controller.database import read_meta
from controller.keyring import Keyring
from controller.netmap import Entry, Netmap, Update, make_entry
from controller.records import Assignment, Floor, Member, Network, Pool
from controller.relays import Reach, choose_relays, reach_of
from controller.statement import live_floors, settings_of, sign_membership, sign_state
from controller.work import Work
from protocol.messages import Row, Settings
from protocol.signed import Signed, StatementError, read_unverified
from protocol.statements import Membership

log = logging.getLogger(__name__)


class Registry:
    """`keyset` is the signed one that nodes get; `endpoints` go into join strings."""

    def __init__(
        self,
        connection: Connection,
        keyring: Keyring,
        *,
        keyset: Signed,
        endpoints: tuple[str, ...],
        now_ms: int,
    ) -> None:
        self.connection = connection
        self.keyring = keyring
        self.signer = keyring.signer
        self.controller = keyring.controller_id
        self.keyset, self.endpoints = keyset, endpoints
        with connection.begin():
            self.incarnation = int(read_meta(connection, "incarnation"))
            self.last_number = int(read_meta(connection, "last network") or b"0")
            rows = _read(connection, model.NETWORK)
            self.networks = {row[0]: Network(*row) for row in rows}
            self.book = AddressBook([Pool(*row) for row in _read(connection, model.POOL)])
            self.audit_head = audit.read_head(connection, keyring.curve_public[:5].hex())
        self._netmaps: dict[int, Netmap] = {}
        self._started_ms = now_ms

    def work(self, now_ms: int) -> Work:
        return Work(self.connection, self.networks, now_ms)

    def network_id(self, number: int) -> str:
        return self.networks[number].id(self.controller)

    def number_of(self, network_id: str) -> int | None:
        """The number of a network of ours, None for any other."""
        number = int(network_id[10:], 16)
        return (
            number if network_id.startswith(self.controller) and number in self.networks else None
        )

    def settings(self, number: int) -> Settings:
        return settings_of(self.networks[number], self.book.pools(number))

    def netmap(self, number: int) -> Netmap:
        if number not in self._netmaps:
            within = self.connection.in_transaction()
            self._netmaps[number] = self._load_netmap(self.networks[number])
            if not within:
                self.connection.rollback()  # it only looked
        return self._netmaps[number]

    def absorb(self, work: Work, updates: Iterable[Update], head: audit.Head) -> None:
        """Take over what was committed."""
        self.audit_head = head
        self.networks.update(work.changed_networks)
        self.last_number = max(self.last_number, *work.changed_networks, 0)
        for update in updates:
            self.netmap(update.network.number).apply(update)
        for number in work.changed_networks:
            if number in self._netmaps:
                self._netmaps[number].network = work.changed_networks[number]

    def distrust(self) -> None:
        """A batch failed: the address spaces may hold what was never written."""
        self.book.forget_all()

    def drop_network(self, number: int) -> None:
        self.networks.pop(number, None)
        self._netmaps.pop(number, None)
        self.book.remove(number)

    def make_entry(
        self, number: int, key: bytes, address: str, member: Member, held: Iterable[Assignment]
    ) -> Entry:
        """The row of a visible member, signed."""
        signed = sign_membership(self.signer, self.network_id(number), key, member, held)
        return make_entry(key, address, member, signed, reach(member))

    def sign_state(
        self, network: Network, relays: dict[bytes, bytes], floors: dict[bytes, int]
    ) -> Signed:
        network_id = network.id(self.controller)
        return sign_state(
            self.signer, network_id, network, self.incarnation, relays=relays, floors=floors
        )

    def _load_netmap(self, network: Network) -> Netmap:
        number = network.number
        held: dict[int, list[Assignment]] = {}
        for row in _read(self.connection, model.ASSIGNMENT, model.ASSIGNMENT.c.network == number):
            assignment = Assignment(*row)
            held.setdefault(assignment.node, []).append(assignment)
        entries, gone = [], []
        columns = [model.MEMBER.c[name] for name in Member.__struct_fields__]
        query = (
            select(model.NODE.c.key, *columns)
            .join(model.NODE, model.NODE.c.id == model.MEMBER.c.node)
            .where(model.MEMBER.c.network == number, model.MEMBER.c.revision > 0)
            .order_by(model.MEMBER.c.revision)
        )
        for key, *values in self.connection.execute(query).all():
            member = Member(*values)
            if member.visible:
                address = f"{member.node:010x}"
                try:
                    mine = held.get(member.node, [])
                    entry = self.make_entry(number, key, address, member, mine)
                    check_entry(entry)
                    entries.append(entry)
                except (ValueError, TypeError, StatementError) as error:
                    log.error(  # noqa: TRY400  # the reason says all
                        "damaged member left out",
                        extra={"network": network.name, "member": address, "reason": error},
                    )
            elif member.revision > network.purged:
                gone.append((key, member.revision))
        relays = choose_relays({entry.key: entry.reach for entry in entries})
        rows = _read(self.connection, model.FLOOR, model.FLOOR.c.network == number)
        floors = live_floors((Floor(*row) for row in rows), self._started_ms)
        state = self.sign_state(network, relays, floors)
        return Netmap(network, entries, gone, relays=relays, floors=floors, state=state)


def check_entry(entry: Entry) -> None:
    """Raises ValueError or StatementError: one such row would make a whole frame unreadable."""
    read_unverified(entry.signed, Membership)
    msgspec.msgpack.decode(entry.encoded, type=Row)


def reach(member: Member) -> Reach:
    return reach_of(
        roles=member.role_list, endpoints=member.endpoint_list, families=member.family_list
    )


def _read(connection: Connection, table: Any, *conditions: Any) -> list[Any]:
    return list(connection.execute(select(table).where(*conditions)).all())
