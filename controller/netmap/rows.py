"""A member as its peers see it, and a frame's worth of such rows, encoded once (pure)."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from controller.store.records import Member
from protocol.messages import Row as WireRow
from protocol.signed import Signed

_encode = msgspec.msgpack.Encoder().encode


class RawRows(msgspec.Struct, array_like=True, frozen=True, tag_field="kind", tag="rows"):
    """`protocol.messages.Rows` with rows that are encoded already."""

    id: int
    network: str
    since: int
    revision: int
    full: bool
    rows: tuple[msgspec.Raw, ...]
    gone: tuple[bytes, ...]
    state: msgspec.Raw | None
    more: bytes


_BEFORE_ID = 1 + len(_encode("rows"))  # the array's header and the tag
_AFTER_ID = _BEFORE_ID + len(_encode(0))


@dataclass(slots=True, eq=False)
class Entry:
    """A visible member; `serial` is that of the certificate."""

    key: bytes
    member: Member
    signed: Signed
    serial: int
    _encoded: bytes = b""

    @property
    def address(self) -> str:
        return f"{self.member.node:010x}"

    @property
    def revision(self) -> int:
        return self.member.revision

    @property
    def encoded(self) -> bytes:
        """Its row; made when first somebody is told of it."""
        if not self._encoded:
            member = self.member
            self._encoded = _encode(
                WireRow(
                    self.signed,
                    member.name,
                    self.address,
                    member.endpoint_list,
                    member.family_list,
                )
            )
        return self._encoded


class Change(NamedTuple):
    """What happened to one member at a revision; no entry: peers know of it no more."""

    revision: int
    key: bytes
    entry: Entry | None


@dataclass(slots=True, eq=False)
class Piece:
    """One frame's worth. `revision` is what its reader holds then, unless there is `more`."""

    network_id: str
    since: int
    revision: int
    full: bool
    rows: tuple[msgspec.Raw, ...] = ()
    gone: tuple[bytes, ...] = ()
    state: msgspec.Raw | None = None
    more: bytes = b""
    _frame: bytes = b""

    def frame(self, request: int = 0) -> bytes:
        """Encoded as the answer to `request`; 0 is a push."""
        if not self._frame:
            self._frame = _encode(
                RawRows(
                    id=0,
                    network=self.network_id,
                    since=0 if self.full else self.since,
                    revision=self.revision,
                    full=self.full,
                    rows=self.rows,
                    gone=self.gone,
                    state=self.state,
                    more=self.more,
                )
            )
        if not request:
            return self._frame
        return self._frame[:_BEFORE_ID] + _encode(request) + self._frame[_AFTER_ID:]
