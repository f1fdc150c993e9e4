"""The keys of a controller at work: a keyset changed, a signer replaced.

    keeper = Keeper(desk)
    keeper.rotate(deed, quick=…); keeper.retire(deed, quick=…); keeper.adopt(deed, signed)
    keeper.tick(now_ms, now)        # each second: what follows by itself

A deed's `change(do)` runs `do(work)` in one transaction, or rehearses it. A key is on the disk before
the database names it. Raises RefusedError for what can not be done as things stand.
"""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import msgspec

from controller.front.desk import Desk
from controller.front.storage import StorageFullError
from controller.refusal import RefusedError
from controller.signing import keyring
from controller.store.work import Work
from controller.trust import memory
from controller.trust.keyset import Change, propose, with_signer, without_signers
from controller.trust.rotation import Rotation
from protocol.keys import VerifyKey, new_signing_seed, verify_key
from protocol.messages import Code
from protocol.signed import Signed, StatementError, signer_id
from protocol.statements import Keyset
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

SIGNERS_MAX = 16

Transact = Callable[[Callable[[Work], "Outcome"]], "Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it stands after a commit."""

    signed: Signed
    keyset: Keyset
    pending: Keyset | None
    rotation: Rotation


@dataclass(frozen=True, slots=True)
class Deed:
    """What an operator does: who, when, and in which transaction."""

    change: Transact
    actor: str
    now_ms: int
    now: float
    rehearsal: bool = False


class Keeper:
    def __init__(self, desk: Desk) -> None:
        self._desk, self._registry = desk, desk.registry
        connection, keys = self._registry.connection, self._registry.keyring
        with connection.begin():
            sums = self._registry.seals.sums
            pending = memory.read_pending(connection, sums)
            rotation = memory.read_rotation(connection, sums)
        keyset = memory.open_keyset(self._registry.keyset, keys.root)
        self.now = Outcome(self._registry.keyset, keyset, pending, rotation)

    # what an operator does

    def rotate(self, deed: Deed, *, quick: bool) -> None:
        """Make a new signer known; it signs as soon as the nodes know it (`quick`: at once)."""
        rotation = self.now.rotation
        if rotation.next and not (quick and not rotation.quick):
            raise RefusedError(
                Code.CONFLICT,
                "cannot rotate: a new signer is on its way already",
                hint="see how far it is: ncadm key show; not to wait for it: ncadm key rotate --now",
            )
        if len(self.now.keyset.signers) >= SIGNERS_MAX:
            raise RefusedError(
                Code.CONFLICT,
                f"cannot rotate: {SIGNERS_MAX} signers are believed already",
                hint="give up the old ones first: ncadm key retire",
            )
        key = rotation.next or self._new_signer(rehearsal=deed.rehearsal)
        hurry = " at once" if quick else ""

        def do(work: Work) -> Outcome:
            asked = rotation.introduced(key, deed.now_ms, quick=quick)
            work.note(
                deed.actor, "key.rotate", "signer", f"a new one is made known and signs{hurry}"
            )
            return self._change(work, partial(with_signer, key=key), asked)

        self._absorb(deed.change(do), deed.now)

    def retire(self, deed: Deed, *, quick: bool) -> None:
        """Believe the old signers no more. `quick`: though not every node is ready for it."""
        rotation = self.now.rotation
        if not rotation.old:
            raise RefusedError(
                Code.CONFLICT,
                "cannot retire a signer: there is none but the one that signs",
                hint="a new one is made by: ncadm key rotate",
            )
        if not quick and not self.all_hold():
            raise RefusedError(
                Code.CONFLICT,
                "cannot retire the old signer: not every connected node has what replaces it",
                hint="see: ncadm key show; to do it nevertheless: ncadm key retire --now",
            )
        self._absorb(deed.change(lambda work: self._retire(work, deed.actor)), deed.now)

    def adopt(self, deed: Deed, signed: Signed) -> None:
        """A keyset that was signed elsewhere. Raises CannotError, RefusedError."""
        keyset = self._acceptable(signed)
        if keyset is None:
            return

        def do(work: Work) -> Outcome:
            memory.write_keyset(work.connection, work.seals.sums, signed)
            rotation = self._after(keyset, deed.now_ms)
            memory.write_rotation(work.connection, work.seals.sums, rotation)
            work.note(deed.actor, "key.import", f"keyset {keyset.number}")
            return Outcome(signed, keyset, None, rotation)

        self._absorb(deed.change(do), deed.now)

    # what follows by itself

    def tick(self, now_ms: int, now: float) -> None:
        """Each second."""
        with contextlib.suppress(StorageFullError):  # the log has it
            coming = self.now.rotation
            if coming.next in self.now.keyset.signers and coming.may_switch(
                now_ms, all_hold=self.all_hold_keyset()
            ):
                self._switch(now_ms, now)
            rotation = self.now.rotation
            if rotation.may_retire(now_ms) and not self._asked_to_retire() and self.all_hold():
                self._absorb(self._transact(self._retire_ripe, now_ms, now), now)

    def _retire_ripe(self, work: Work) -> Outcome:
        return self._retire(work, "controller")

    def _asked_to_retire(self) -> bool:
        """Only the root key's signature is missing."""
        pending = self.now.pending
        return pending is not None and not set(self.now.rotation.old) & set(pending.signers)

    def all_hold(self) -> bool:
        """Every connected node holds the newest keyset and all rows."""
        netmap = self._registry.netmap
        return self.all_hold_keyset() and not any(
            netmap(number).is_behind(session.key, watch.acked)
            for session in self._desk.sessions
            for number, watch in session.watches.items()
        )

    def all_hold_keyset(self) -> bool:
        number = self.now.keyset.number
        return all(session.keyset >= number for session in self._desk.sessions)

    def _transact(self, do: Callable[[Work], Outcome], now_ms: int, now: float) -> Outcome:
        return self._desk.transact(do, now_ms, now)

    def _switch(self, now_ms: int, now: float) -> None:
        """From now on the next signer signs. What its predecessor signed is told anew to everybody:
        rows are signed when somebody is told of them, and all views are snapshots.
        """
        registry = self._registry
        keys, before = registry.keyring, registry.signer
        coming = keys.next_signer
        if coming is None or bytes(coming.key) != self.now.rotation.next:
            raise CannotError(
                f"cannot sign with the next signer: {keys.directory / keyring.NEXT} is not its key",
                hint="restore the data directory's keys/ from a backup",
                code=Exit.PROBLEMS,
            )

        def do(work: Work) -> Outcome:
            rotation = self.now.rotation.switched(bytes(before.key), now_ms)
            for number, network in registry.networks.items():
                work.put_network(msgspec.structs.replace(network, purged=network.revision + 1))
                work.restate(number)
            memory.write_signing(work.connection, work.seals.sums, coming.key)
            memory.write_rotation(work.connection, work.seals.sums, rotation)
            detail = f"{coming.id.hex()} in place of {before.id.hex()}"
            work.note("controller", "key.switch", "signer", detail)
            return Outcome(self.now.signed, self.now.keyset, self.now.pending, rotation)

        registry.signer = coming
        try:
            outcome = self._transact(do, now_ms, now)
        except BaseException:
            registry.signer = before
            raise
        registry.forget_signed()
        registry.keyring = keyring.promoted(keys)
        self._absorb(outcome, now)
        log.info("signer switched", extra={"signer": coming.id.hex()})

    # parts

    def _new_signer(self, *, rehearsal: bool) -> bytes:
        registry = self._registry
        if rehearsal:
            return bytes(verify_key(new_signing_seed()))
        registry.keyring = keyring.with_next_signer(registry.keyring)
        coming = registry.keyring.next_signer
        return bytes(coming.key) if coming is not None else b""

    def _change(self, work: Work, change: Change, rotation: Rotation) -> Outcome:
        """Another keyset, in force at once when the root key is here."""
        now = self.now
        memory.write_rotation(work.connection, work.seals.sums, rotation)
        wanted = propose(now.keyset, now.pending, change, work.now_ms)
        root = self._registry.keyring.root_signer
        if wanted is None:
            return Outcome(now.signed, now.keyset, now.pending, rotation)
        if root is None:
            memory.write_pending(work.connection, work.seals.sums, wanted)
            return Outcome(now.signed, now.keyset, wanted, rotation)
        signed = root.seal(wanted)
        memory.write_keyset(work.connection, work.seals.sums, signed)
        return Outcome(signed, wanted, None, rotation)

    def _retire(self, work: Work, actor: str) -> Outcome:
        old = self.now.rotation.old
        names = ", ".join(signer_name(key) for key in old)
        work.note(actor, "key.retire", "signer", f"{names} is believed no more")
        outcome = self._change(work, partial(without_signers, keys=old), self.now.rotation)
        if outcome.pending is not None:
            return outcome
        rotation = outcome.rotation.retired(work.now_ms)
        memory.write_rotation(work.connection, work.seals.sums, rotation)
        return Outcome(outcome.signed, outcome.keyset, None, rotation)

    def _acceptable(self, signed: Signed) -> Keyset | None:
        """The keyset, if it may take the place of ours; None: it is ours."""
        keys, now = self._registry.keyring, self.now
        if signed == now.signed:
            return None
        try:
            keyset = memory.open_keyset(signed, keys.root)
        except StatementError as error:
            raise CannotError(
                f"cannot import this keyset: {error}",
                hint="sign what this controller asks for, with its root key: ncadm key export",
                code=Exit.VERIFICATION,
            ) from error
        reason = ""
        if keyset.number <= now.keyset.number:
            reason = f"it has number {keyset.number}, and {now.keyset.number} is in force"
        elif now.pending is not None and keyset != now.pending:
            reason = "it is not what this controller asks for now"
        elif bytes(self._registry.signer.key) not in keyset.signers:
            reason = "it does not name the signer of this controller"
        elif bytes(keys.curve_public) not in {entry.key for entry in keyset.controllers}:
            reason = "it does not name the connection key of this controller"
        if reason:
            raise RefusedError(
                Code.CONFLICT,
                f"cannot import this keyset: {reason}",
                hint="sign what it asks for now: ncadm key export",
            )
        return keyset

    def _after(self, keyset: Keyset, now_ms: int) -> Rotation:
        """How far the rotation is with this keyset."""
        rotation = self.now.rotation
        old = tuple(key for key in rotation.old if key in keyset.signers)
        moved = old != rotation.old or rotation.next in keyset.signers
        since = now_ms if moved else rotation.since_ms
        return msgspec.structs.replace(rotation, old=old, since_ms=since)

    def _absorb(self, outcome: Outcome, now: float) -> None:
        """What was committed is so; nodes are told."""
        newer = outcome.signed != self.now.signed
        self.now = outcome
        if newer:
            self._registry.take_keyset(outcome.signed)
            self._desk.push.keyset(now, new=True)
            log.info("keyset in force", extra={"number": outcome.keyset.number})


def signer_name(key: bytes) -> str:
    """A signer as people see it."""
    return signer_id(VerifyKey(key)).hex()
