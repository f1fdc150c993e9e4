"""One farm: its machine, its connection and its file, moved by events.

    farm = Farm(file, ...)
    farm.start(); await farm.crashed()       # which ends only by an error of ours

The machine says what to do, `_pump` does it: at once, in the event loop; a timer of the loop
stands for its deadline.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import replace

from agent.enrol.actions import (
    Action,
    Admitted,
    Close,
    Controller,
    Deliver,
    Holding,
    LearnTime,
    Left,
    Me,
    Open,
    Prepare,
    Problem,
    Send,
    TakeKeys,
    TokenRefused,
    Turned,
    Welcomed,
)
from agent.enrol.approach import Failure
from agent.enrol.machine import Machine
from agent.enrol.minting import Minting
from agent.enrol.phase import Online
from agent.enrol.report import complaints, farm_status, older_keyset, untrusted_keyset
from agent.enrol.session import Session
from agent.enrol.sink import Ask, Trust
from agent.enrol.status import FarmStatus
from agent.enrol.store import FarmFile
from agent.enrol.surface import Surface
from protocol.keys import CurvePublic, CurveSecret, VerifyKey, curve_public
from protocol.messages import Joined, MessageError, Rows, Welcome, decode_reply, encode
from protocol.signed import Signed, StatementError, open_signed, signer_id
from protocol.statements import Keyset, check
from runtime.failure import CannotError

log = logging.getLogger(__name__)

KEYSET = "keyset"
AGAIN_FIRST, AGAIN_LAST = 5.0, 60.0  # seconds until what failed here is tried again


class Farm:
    def __init__(self, file: FarmFile, surface: Surface) -> None:
        self._surface = surface
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._troubles: dict[str, Problem] = {}  # of our own, by what could not be done
        self._again: asyncio.TimerHandle | None = None
        self._pause = AGAIN_FIRST
        self._said: dict[str, str] = {}  # in the log already, by what it is about
        self._keyset = self._verified(file.keyset)
        self._machine = Machine(
            surface.me,
            self._controllers(),
            admitted=file.admitted,
            keyset=self._keyset.number if self._keyset else 0,
            fraction=surface.fraction,
        )
        self._session = Session(surface.context, self)
        self.minting = Minting(self.root, self._send_online)
        self._timer: asyncio.TimerHandle | None = None
        self._crash: asyncio.Future[None] = self._loop.create_future()
        self._pending: set[CurveSecret] = set()
        self._welcome: Welcome | None = None
        self._admitted_at: float | None = None
        self._away_since: float | None = surface.elapsed()

    @property
    def root(self) -> VerifyKey:
        return VerifyKey(self._file.root)

    @property
    def joined(self) -> tuple[str, ...]:
        return self._file.joined

    def retire(self) -> None:
        """End the connection for good, and forget the tokens that have not done their work."""
        self.close()
        for token in tuple(self._pending):
            self._forget_token(token)
        if not self._crash.done():
            self._crash.set_result(None)

    def start(self) -> None:
        for network in self._file.joined:
            self._machine.keep(network, self._surface.sink.holding(network))
        for network in self._file.leaving:
            self._machine.leave(network, self._loop.time())
        self.turn()
        if self._file.expected and not self._file.admitted:
            self._tell(self._machine.expect)
        else:
            self._tell(self._machine.start)

    async def crashed(self) -> None:
        """Raises what went wrong in an event; does not return otherwise."""
        try:
            await self._crash
        finally:
            self.close()

    def close(self) -> None:
        for timer in (self._timer, self._again):
            if timer is not None:
                timer.cancel()
        self._session.close()

    # -- what the node wants

    def add_token(
        self, token: CurveSecret, controllers: Iterable[Controller], *, tried: bool
    ) -> None:
        self._pending.add(token)
        if self._keyset is None and tuple(controllers) != self._controllers():
            self._machine.use_controllers(tuple(controllers), 0)
        self._tell(lambda now: self._machine.add_token(token, now, tried=tried))

    def expect(self, controllers: Iterable[Controller]) -> None:
        """A join string without a token: somebody has told the controller our key."""
        self._change(expected=True)
        if self._keyset is None and tuple(controllers) != self._controllers():
            self._machine.use_controllers(tuple(controllers), 0)
        self._tell(self._machine.expect)

    @property
    def holds_up(self) -> bool:
        """It knows only the present key of this node, and must learn of the next."""
        known = self._file.turned is not None and self._file.turned == self._surface.own.awaited
        return (self._machine.admitted or self._file.expected or bool(self._pending)) and not known

    def turn(self) -> None:
        """There is a next key: tell the controller, if it does not know."""
        key, known = self._surface.own.awaited, not self.holds_up
        if key is not None:
            self._tell(lambda now: self._machine.rotate(CurvePublic(key), now, known=known))

    def settle(self, me: Me) -> None:
        """The next key is this node's only one."""
        self._surface = replace(self._surface, me=me)
        self._machine.settle(me)

    def want(self, network: str) -> None:
        self._tell(lambda now: self._machine.want(network, now))

    def leave(self, network: str) -> None:
        """For good; asked until the controller has heard it."""
        self._change(
            joined=tuple(n for n in self._file.joined if n != network),
            leaving=tuple(sorted({*self._file.leaving, network})),
        )
        self._surface.sink.left(network)
        self._tell(lambda now: self._machine.leave(network, now))

    def knows(self, network: str) -> bool:
        return network in self._machine.memberships or network in self._file.joined

    def reach(self, families: frozenset[int]) -> None:
        """There is a way out by these families."""
        self._tell(lambda now: self._machine.reach(families, now))

    def moved(self) -> None:
        """Our addresses or a port have changed."""
        self._tell(self._present)

    def reconnect(self) -> None:
        """The way that the connection took is gone: do not wait until it is found dead."""
        self._tell(self._machine.lost)

    def _present(self, now: float) -> None:
        for network, known in self._machine.memberships.items():
            if known.presence is not None:
                self._machine.present(network, self._surface.presence(network), now)

    # -- what the session says

    def shaken(self) -> None:
        self._tell(self._machine.shaken)

    def refused(self, why: Failure) -> None:
        log.debug("controller refused us", extra={"why": why.name, "controller": self._where()})
        self._tell(lambda now: self._machine.refused(why, now))

    def lost(self) -> None:
        self._tell(self._machine.lost)

    def frame(self, data: bytes) -> None:
        try:
            reply = decode_reply(data)
        except MessageError as error:
            log.debug("reply dropped", extra={"reason": error})
            return
        self.minting.take(reply)
        self._tell(lambda now: self._machine.received(reply, now))

    def _send_online(self, frame: bytes) -> bool:
        return isinstance(self._machine.state, Online) and self._session.send(frame)

    # -- doing what the machine says

    def _wake(self) -> None:
        self._timer = None
        self._tell(self._machine.wake)

    def _tell(self, event: Callable[[float], None]) -> None:
        """Tell the machine, do what it says, set the timer. An error of ours ends the program."""
        try:
            event(self._loop.time())
            while actions := self._machine.actions():
                for action in actions:
                    self._try(action)
        except Exception as error:  # noqa: BLE001  # `crashed` raises it
            if not self._crash.done():
                self._crash.set_exception(error)
            return
        if isinstance(self._machine.state, Online):
            self._away_since = None
        elif self._away_since is None:
            self._away_since = self._surface.elapsed()
        self._report()
        self._surface.on_change()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._machine.deadline
        self._timer = self._loop.call_at(deadline, self._wake) if deadline is not None else None

    def _try(self, action: Action) -> None:
        what = f"{type(action).__name__} {getattr(action, 'network', '')}"
        try:
            self._perform(action)
        except CannotError as error:
            self._troubles[what] = Problem(error.message, error.hint or "")
            if isinstance(action, Welcomed):
                self._machine.stumbled(self._loop.time())
            else:
                self._ask_anew()
        else:
            self._troubles.pop(what, None)

    def _ask_anew(self) -> None:
        """Later, over a new connection: what a person may have mended by then."""
        if self._again is None:
            self._again = self._loop.call_later(self._pause, self._connect_again)
            self._pause = min(self._pause * 2, AGAIN_LAST)

    def _connect_again(self) -> None:
        self._again = None
        if self._troubles:
            self._tell(self._machine.lost)
        else:
            self._pause = AGAIN_FIRST

    def _report(self) -> None:
        """What is in the way, in the log: each sentence once, until it changes."""
        now = complaints(self._troubles, self._machine)
        for name, said in now.items():
            if self._said.get(name) != said:
                log.warning(said)
        self._said = now

    def _perform(self, action: Action) -> None:
        match action:
            case Open(controller, token, next_one):
                secret = token or self._surface.own.secret(next_one=next_one)
                self._session.open(controller, curve_public(secret), secret)
            case Close():
                self._session.close()
            case Send(message):
                self._session.send(encode(message))
            case Admitted(token):
                self._change(admitted=True)  # first: without either there is no way in any more
                self._forget_token(token)
                log.info("admitted", extra={"farm": self._file.controller_id})
            case TokenRefused(token, _):
                self._forget_token(token)
            case Welcomed(welcome):
                self._welcomed(welcome)
            case Turned():
                self._change(turned=self._surface.own.awaited)
                self._surface.on_turned()
            case TakeKeys(keyset):
                self._take_keyset(keyset)
            case Prepare(network):
                self._machine.present(network, self._surface.presence(network), self._loop.time())
            case Deliver(message):
                self._deliver(message)
            case Left(network):
                self._change(leaving=tuple(n for n in self._file.leaving if n != network))
                self._surface.forget(network)
            case LearnTime(time_ms):
                self._surface.on_time(time_ms)

    def _forget_token(self, token: CurveSecret) -> None:
        self._pending.discard(token)
        self._surface.store.forget_join(token)

    def _welcomed(self, welcome: Welcome) -> None:
        self._welcome = welcome
        if self._admitted_at is None:
            self._admitted_at = self._surface.elapsed()
            log.info("controller connected", extra={"controller": self._where()})
        self._change(admitted=True)
        if welcome.observed:
            self._surface.on_observed(welcome.observed)
        self._take_keyset(welcome.keyset)
        self._troubles.pop(f"{Admitted.__name__} ", None)  # the disk takes what we write

    def _take_keyset(self, signed: Signed) -> None:
        """Keep the newest; one that is older than ours is a controller's that has forgotten."""
        keyset = self._verified(signed)
        if keyset is None:
            return
        held = self._keyset.number if self._keyset is not None else 0
        if keyset.number > held:
            self._change(keyset=signed)
            self._keyset = keyset
            self._machine.use_controllers(self._controllers(), keyset.number)
            self._surface.sink.trust(Trust(self.root, signed))
            for network in self._file.joined:
                self._machine.hold(network, self._surface.sink.holding(network))
            self._machine.refresh(self._loop.time())
            log.info("keyset taken", extra={"number": keyset.number})
        elif keyset.number < held:
            self._troubles[KEYSET] = older_keyset(self._file.controller_id, keyset.number, held)
            return
        self._machine.holds(keyset.number)

    def _verified(self, signed: Signed | None) -> Keyset | None:
        if signed is None:
            return None
        try:
            keyset = open_signed(signed, Keyset, {signer_id(self.root): self.root})
            check(keyset)
        except StatementError as error:
            self._troubles[KEYSET] = untrusted_keyset(self._file.controller_id, error)
            self._ask_anew()
            return None
        self._troubles.pop(KEYSET, None)
        return keyset

    def _deliver(self, message: Joined | Rows) -> None:
        network = message.network
        if self._file.keyset is None or not network.startswith(self._file.controller_id):
            log.debug("network of another farm ignored", extra={"network": network})
            return
        ask: Ask | None = None
        if isinstance(message, Joined):
            holding = self._surface.sink.joined(Trust(self.root, self._file.keyset), message)
            if holding != Holding() and network not in self._file.joined:
                self._change(joined=(*self._file.joined, network))
        else:
            holding, ask = self._surface.sink.rows(message)
        self._machine.hold(network, holding)
        if holding.closed:
            self._dissolved(network)
        elif ask is not None:
            self._machine.fetch(network, ask.revision, ask.after, self._loop.time())

    def _dissolved(self, network: str) -> None:
        """Its controller has signed that nobody is a member any more."""
        log.warning("network was deleted", extra={"network": network})
        self._change(joined=tuple(n for n in self._file.joined if n != network))
        self._surface.sink.left(network)
        self._machine.forget(network, self._loop.time())

    # -- what is known

    def _change(self, **fields: object) -> None:
        file = msgspec.structs.replace(self._file, **fields)
        if file != self._file:
            self._surface.store.keep_farm(file)
            self._file = file

    def _controllers(self) -> tuple[Controller, ...]:
        return self._surface.controllers(self._file, self._keyset)

    def _where(self) -> str:
        return self._machine.controller.endpoint

    def status(self) -> FarmStatus:
        return farm_status(
            self._file,
            self._machine,
            trouble=next(iter(self._troubles.values()), None),
            welcome=self._welcome,
            tokens=len(self._pending),
            admitted_at=self._admitted_at,
            away_since=self._away_since,
            now=self._loop.time(),
        )
