"""The controller's memory of its database: keys, networks, address spaces, netmaps.

Everything in here can be built from the database and is, when it is first asked for; it changes only
after a commit (`absorb`), and what a failed batch may have spoilt is thrown away (`distrust`). When
another program has written into the database, all of it is.
"""

import logging
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, func, select

from controller.addresses.book import AddressBook
from controller.addresses.computed import ranges_of
from controller.addresses.idle import Idle
from controller.addresses.numbering import SCATTER_MAX, Numbering
from controller.config import PendingConfig
from controller.netmap.netmap import Asked, Netmap, Update
from controller.netmap.recent import Recent
from controller.netmap.rows import Entry, Piece
from controller.roster import Roster
from controller.signing.keyring import Keyring
from controller.signing.statement import routes_of, settings_of, sign_membership, sign_state
from controller.store import audit, model
from controller.store.kept import Kept
from controller.store.loading import load_networks, read_all, read_sealed
from controller.store.prepared import changes_so_far
from controller.store.records import Assignment, Member, Network, Pool, Token
from controller.store.seals import Seals
from controller.store.sums import Sums
from controller.store.work import Work
from protocol.ids import network_number
from protocol.messages import Settings
from protocol.signed import Signed, read_unverified
from protocol.statements import Keyset

log = logging.getLogger(__name__)

NETMAPS_MAX = 1024
PIECES_MAX = 128  # 100 KB each at most


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
        pending: PendingConfig | None = None,
    ) -> None:
        self.connection = connection
        self.keyring = keyring
        self.signer = keyring.signer
        self.controller = keyring.controller_id
        self.endpoints = endpoints
        self.take_keyset(keyset)
        self.pending = pending or PendingConfig()
        self.networks: dict[int, Network] = {}  # whose rows fit to their sums
        self.closed: dict[int, Network] = {}
        self.seals = Seals(Sums(keyring.sums_key), self.closed)
        self.roster = Roster(connection, self.networks, self.seals, self.make_entry)
        self._netmaps: Recent[int, Netmap] = Recent(NETMAPS_MAX)
        self._pieces: Recent[Asked, Piece] = Recent(PIECES_MAX)
        self._settings: Recent[int, tuple[Network, list[Pool], Settings]] = Recent(NETMAPS_MAX)
        with connection.begin():
            self._load()
            self.audit_head = audit.read_head(connection, keyring.audit_name)
            self._version = changes_so_far(connection)[1]
        self.edited = False  # by somebody else, and not noted in the audit log yet
        self.idle = Idle(now_ms)

    def _load(self) -> None:
        """What memory has of networks; members are read when somebody needs them."""
        connection, sums = self.connection, self.seals.sums
        self.incarnation = int(read_sealed(connection, "incarnation", sums))
        self.last_number = int(read_sealed(connection, "last network", sums) or b"0")
        self.seals.forget()
        load_networks(connection, self.seals, into=self.networks, closed=self.closed)
        pools = [Pool(*row) for row in read_all(connection, model.POOL)]
        self.book = AddressBook(pools, _promising(connection))
        self.numbering = Numbering(_count_nodes(connection))
        self._kept = Kept()

    def take_keyset(self, signed: Signed) -> None:
        """What nodes get from now on."""
        self.keyset = signed
        self.keyset_number = read_unverified(signed, Keyset).number

    def batch(self, now_ms: int) -> Work:
        """For a transaction, begun here, that ends in `absorb` or in `distrust`."""
        if not self.connection.in_transaction():
            self.connection.begin()
        if self.is_edited():
            self._reload()
        if not self._kept.holds(self.connection):
            self._kept = Kept()
            self._kept.holds(self.connection)
        work = Work(self.connection, self.networks, now_ms, self.seals, self._kept)
        if self.edited:
            said = f"by another program; {len(self.seals.networks)} networks are left out"
            work.note("controller", "database.edited", "database", said)
        return work

    def is_edited(self) -> bool:
        """Whether somebody else has committed since this was last looked at."""
        return changes_so_far(self.connection)[1] != self._version

    def _reload(self) -> None:
        """Nothing in memory is believed."""
        self._version = changes_so_far(self.connection)[1]
        self.edited = True
        self._load()
        self.forget_signed()
        self._settings.clear()
        log.warning("the database was edited by another program")

    def work(self, now_ms: int) -> Work:
        """To look only."""
        return Work(self.connection, self.networks, now_ms, self.seals)

    def network_id(self, number: int) -> str:
        return self.networks[number].id(self.controller)

    def check_network(self, network_id: str) -> None:
        """Raises DamagedError."""
        self.seals.check_network(network_number(self.controller, network_id))

    def is_taken(self, number: int) -> bool:
        """Whether there is or was a network of this number."""
        return number in self.networks or number in self.closed or number in self.seals.networks

    def name_of(self, number: int) -> str:
        """A damaged one has a name too."""
        return (self.networks.get(number) or self.seals.networks[number]).name

    def number_of(self, network_id: str) -> int | None:
        """The number of a network of ours, None for any other."""
        number = network_number(self.controller, network_id)
        return number if number in self.networks else None

    def closed_state(self, network: Network) -> Signed:
        """What a member of a deleted network is told: nobody's certificate is valid any more."""
        return self._sign_state(network, {})

    def settings(self, number: int) -> Settings:
        """Made when the network or its pools are others than they were; each Joined has them."""
        network, pools = self.networks[number], self.book.pools(number)
        found = self._settings.get(number)
        if found is None or found[0] is not network or found[1] != pools:
            made = settings_of(network, self.network_id(number), pools)
            found = (network, list(pools), made)
            self._settings.put(number, found)
        return found[2]

    def netmap(self, number: int) -> Netmap:
        found = self._netmaps.get(number)
        if found is None:
            found = self._load_netmap(self.networks[number])
            self._netmaps.put(number, found)
        return found

    def absorb(self, work: Work, updates: Iterable[Update], head: audit.Head) -> None:
        """Take over what was committed."""
        self.audit_head = head
        self.edited = False
        self._kept.settle(work.written)
        self.book.keep()
        for token in work.tokens.rows.values():
            if token is not None and token.address:
                self.book.promise(token, work.now_ms)
        before = {number: self.networks.get(number) for number in work.changed_networks}
        self.networks.update(work.changed_networks)
        for update in updates:
            number = update.network.number
            if _is_another(before.get(number), update.network):
                self._forget_netmap(number)
                continue
            self.roster.take(number, update.entries, [key for key, _ in update.gone])
            self.netmap(number).apply(update)
        for number, network in work.changed_networks.items():
            if network.closed_at:
                self._close(network)
            else:
                self.netmap(number).network = network

    def purged(self, network: Network, *, members: bool) -> None:
        """Floors were deleted, or `members`, those with tombstones up to `network.purged`."""
        self.networks[network.number] = network
        if members:
            self.book.forget(network.number)
        netmap = self._netmaps.get(network.number)
        if netmap is not None:
            netmap.network = network

    def distrust(self, *, reload: bool = False) -> None:
        """A batch failed: the address spaces hold what was never written; with `reload` they do not
        even hold what was written.
        """
        self._kept = Kept()
        self.book.undo(reload=reload)

    def forget_signed(self) -> None:
        """Another signer signs now: certificates and states are made when they are next needed."""
        self._netmaps.clear()
        self._pieces.clear()
        self.roster.forget()

    def _close(self, network: Network) -> None:
        """It was deleted; what is kept of it is for those who were away."""
        self.networks.pop(network.number, None)
        self.closed[network.number] = network
        self._forget_netmap(network.number)
        self.book.remove(network.number)

    def make_entry(
        self, network: Network, key: bytes, member: Member, held: Iterable[Assignment]
    ) -> Entry:
        """A visible member, with its certificate."""
        serial = network.fold + member.serial
        signed = sign_membership(
            self.signer,
            network,
            network.id(self.controller),
            key,
            member,
            held=held,
            serial=serial,
            relays=self._ranges(network) if "hub" in member.role_list else (),
        )
        return Entry(key, member, signed, serial)

    def _ranges(self, network: Network) -> Iterable[bytes]:
        """What a hub carries for the others."""
        if network.topology != "hub":
            return ()
        pools = self.book.pools(network.number)
        routed = [prefix for prefix, _ in routes_of(network)]
        return [*ranges_of(network, network.id(self.controller), pools), *routed]

    def _sign_state(self, network: Network, floors: Mapping[bytes, int]) -> Signed:
        network_id = network.id(self.controller)
        return sign_state(self.signer, network_id, network, self.incarnation, floors)

    def _load_netmap(self, network: Network) -> Netmap:
        number = network.number
        return Netmap(
            network,
            network.id(self.controller),
            self.roster.of(number),
            carriers=self.roster.carriers(number),
            everybody=self.roster.keys(number) if network.topology == "mesh" else None,
            floors=self.roster.floors(network),
            seal=self._sign_state,
            pieces=self._pieces,
        )

    def _forget_netmap(self, number: int) -> None:
        self._netmaps.pop(number)
        self.roster.forget()


def _is_another(before: Network | None, after: Network) -> bool:
    """All certificates are others now, or the views are: what is remembered is of no use."""
    return before is not None and (before.fold, before.topology) != (after.fold, after.topology)


def _count_nodes(connection: Connection) -> int:
    """As far as it matters."""
    some = select(model.NODE.c.id).limit(SCATTER_MAX + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _promising(connection: Connection) -> list[Token]:
    """The tokens that name an address which their holders can still get."""
    table = model.TOKEN.c
    promising = (table.address != "") & (table.uses_left > 0) & (table.revoked_at == 0)
    return [Token(*row) for row in read_all(connection, model.TOKEN, promising)]
