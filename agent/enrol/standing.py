"""How each network stands with us, and what to ask the controller about it next. Pure."""

from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from agent.enrol.actions import Holding, Presence
from protocol.messages import Join, Leave, Refresh, RequestId

NOTHING = Holding()


class Standing(Enum):
    JOINING = "joining"
    WAITING = "waiting"  # known, not authorized
    MEMBER = "member"
    LEAVING = "leaving"
    REFUSED = "refused"


class Membership(Struct, frozen=True):
    """One network. `next_at`: when to refresh, or to ask again; None: an answer is awaited."""

    standing: Standing
    presence: Presence | None = None
    holding: Holding = NOTHING
    next_at: float | None = None
    said: str = ""  # pending, deauthorized, …, or why it was refused
    hint: str = ""

    def request(self, number: RequestId, network: str) -> Join | Refresh | Leave | None:
        """What to ask about it; None: it cannot be asked before `presence` is known."""
        if self.standing is Standing.LEAVING:
            return Leave(number, network)
        offer, held = self.presence, self.holding
        if offer is None:
            return None
        if self.standing is Standing.MEMBER and held.serial:
            return Refresh(
                id=number,
                network=network,
                wireguard=offer.wireguard,
                endpoints=offer.endpoints,
                families=offer.families,
                listen_port=offer.port,
                serial=held.serial,
                incarnation=held.incarnation,
                epoch=held.epoch,
                revision=held.revision,
            )
        return Join(
            id=number,
            network=network,
            wireguard=offer.wireguard,
            endpoints=offer.endpoints,
            families=offer.families,
            listen_port=offer.port,
        )


class Memberships(dict[str, Membership]):
    """By network id."""

    def want(self, network: str) -> None:
        if not self.is_kept(network):
            self[network] = Membership(Standing.JOINING)

    def is_kept(self, network: str) -> bool:
        """Known, and not being left."""
        known = self.get(network)
        return known is not None and known.standing is not Standing.LEAVING

    def change(
        self,
        network: str,
        standing: Standing,
        *,
        next_at: float | None,
        said: str = "",
        hint: str = "",
    ) -> bool:
        """False: there is no such network, or it is being left and nothing else counts."""
        if not self.is_kept(network):
            return False
        known = self[network]
        self[network] = replace(known, standing=standing, next_at=next_at, said=said, hint=hint)
        return True

    def due(self, now: float) -> list[str]:
        return [n for n, m in self.items() if m.next_at is not None and now >= m.next_at]

    @property
    def next_at(self) -> list[float]:
        return [m.next_at for m in self.values() if m.next_at is not None]
