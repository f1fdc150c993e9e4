"""One network as it stands on the disk: signed statements as they came, and hints. Pure."""

import msgspec

from agent.enrol.sink import Trust
from protocol.keys import Key32, VerifyKey
from protocol.messages import Row, Settings
from protocol.signed import Signed


class Kept(msgspec.Struct, frozen=True):
    """One network as the controller told it last.

    `newest`: certificates that stand in no row any more, and no older one of their nodes is to be
    believed. Rows without a revision are to be asked for again; they may be from before a restore.
    """

    network: str
    root: Key32
    keyset: Signed
    settings: Settings
    membership: Signed
    state: Signed
    revision: int = 0
    rows: tuple[Row, ...] = ()
    newest: tuple[Signed, ...] = ()

    @property
    def trust(self) -> Trust:
        return Trust(VerifyKey(self.root), self.keyset)
