"""Which rows do not fit to their sums: found when they are read, named in the log once.

    seals.see_member(member, keys, held)         # False: damaged
    seals.is_damaged(network, node)

Networks are looked at when they are loaded, members and tokens when somebody needs them. A damaged one
is not signed for and not changed, until it fits again or an operator has accepted it.
"""

import logging
from collections.abc import Container, Iterable, Mapping

from controller.refusal import DamagedError
from controller.store.records import Assignment, Member, Network, Token
from controller.store.sums import Keys, Sums

log = logging.getLogger(__name__)


class Seals:
    """`closed`: networks that were deleted; nothing is signed for their members."""

    def __init__(self, sums: Sums, closed: Container[int]) -> None:
        self.sums, self._closed = sums, closed
        self.networks: dict[int, Network] = {}
        self._members: set[tuple[int, int]] = set()
        self._tokens: set[bytes] = set()
        self._named: set[object] = set()

    def __len__(self) -> int:
        """How many damaged rows were met."""
        return len(self.networks) + len(self._members) + len(self._tokens)

    def see_member(self, member: Member, keys: Keys, held: Iterable[Assignment]) -> bool:
        """Whether it fits."""
        place = (member.network, member.node)
        if member.sum == self.sums.member(member, keys, held) or member.network in self._closed:
            self._members.discard(place)
            return True
        self.spoil_member(*place, "it does not fit to its sum")
        return False

    def spoil_member(self, network: int, node: int, reason: str) -> None:
        self._members.add((network, node))
        said = {"network": f"{network:06x}", "member": f"{node:010x}", "reason": reason}
        self._name((network, node), "damaged member left out", said)

    def see_token(self, token: Token) -> None:
        if token.sum == self.sums.token(token):
            self._tokens.discard(token.key)
        else:
            self._tokens.add(token.key)
            self._name(token.key, "damaged token left out", {"token": token.id})

    def spoil_network(self, network: Network) -> None:
        self.networks[network.number] = network
        self._name(network.number, "damaged network left out", {"network": network.name})

    def is_damaged(self, network: int, node: int) -> bool:
        return (network, node) in self._members

    def check_member(self, network: int, node: int) -> None:
        """Raises DamagedError."""
        if (network, node) in self._members:
            raise DamagedError(f"member {node:010x}")

    def check_members(self, places: Iterable[tuple[int, int]]) -> None:
        """Raises DamagedError."""
        if not self._members.isdisjoint(places):
            for place in places:
                self.check_member(*place)

    def check_token(self, key: bytes) -> None:
        """Raises DamagedError."""
        if key in self._tokens:
            raise DamagedError(f"token {key[:6].hex()}")

    def check_network(self, number: int | None) -> None:
        """Raises DamagedError."""
        if number in self.networks:
            raise DamagedError(f"network {self.networks[number].name}")

    def forget(self) -> None:
        """Everything is looked at again."""
        self.networks.clear()
        for some in (self._members, self._tokens, self._named):
            some.clear()

    def _name(self, row: object, said: str, fields: Mapping[str, object]) -> None:
        if row not in self._named:
            self._named.add(row)
            log.error(said, extra=fields)
