"""The newest certificate of each other member that was believed, so that no older one is again. Pure.

    newest.why_older(membership)         # "": it may be taken
    newest.take(signed, membership)      # which is signed, and of this network
    newest.forget_void(state), newest.forget_others(signers), newest.clear()

It outlives the row: whoever could take a row away could bring an older one back after it. What a floor
says needs no remembering. Serials count within one incarnation, as a controller that was put back
from a backup has forgotten the last ones.
"""

from collections.abc import Container, Iterable

from agent.overlay.verify import lowest_serials
from protocol.signed import Signed
from protocol.statements import Membership, NetworkState


class Newest:
    def __init__(self) -> None:
        self._held: dict[bytes, tuple[Signed, Membership]] = {}  # by node key

    def __contains__(self, node: bytes) -> bool:
        return node in self._held

    def why_older(self, membership: Membership) -> str:
        held = self._held.get(membership.node)
        return why_older(membership, held[1]) if held is not None else ""

    def take(self, signed: Signed, membership: Membership) -> None:
        if not self.why_older(membership):
            self._held[membership.node] = (signed, membership)

    def beside(self, signed: Iterable[Signed]) -> tuple[Signed, ...]:
        """All that are not among `signed`."""
        known = set(signed)
        return tuple(held for held, _ in self._held.values() if held not in known)

    def forget_void(self, state: NetworkState) -> None:
        """Those that `state` says are void, and with them all that are older."""
        lowest = lowest_serials(state)
        self._held = {n: h for n, h in self._held.items() if h[1].serial >= lowest(n)}

    def forget_others(self, signers: Container[bytes]) -> set[bytes]:
        """Keep what one of `signers` (ids) has signed; the nodes of the others."""
        gone = {n for n, (signed, _) in self._held.items() if signed.signer not in signers}
        self._held = {n: h for n, h in self._held.items() if n not in gone}
        return gone

    def clear(self) -> None:
        self._held.clear()


def why_older(one: Membership, held: Membership) -> str:
    """Why `one` does not take the place of `held`, which is the same node's; "": it does.

    The higher serial is the newer one, and of two with one serial (a renewal) the one that was issued
    later. The floor of who left ends with the life of what it voids, and serials may begin anew
    then: what was issued after the life of `held` is not older, whatever its serial.
    """
    if held.not_after and one.issued_at > held.not_after:
        return ""
    if one.serial < held.serial:
        return f"it is older than what we hold: serial {one.serial} after {held.serial}"
    if one.serial == held.serial and one.issued_at < held.issued_at:
        return "it is older than what we hold: it was renewed since"
    return ""
