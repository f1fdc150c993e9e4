"""`Resources`: the network resources that people made on this node, kept true for ever.

    resources = Resources(spaces, identity, behind=ndmz)
    group.create_task(resources.keep())
    await resources.create([parse_local("blue", ipv4="10.1.1.0/24")])

All of them are looked at each few seconds, one in which something changed at once. What a person asked
for is on the disk before it is in the kernel, and off the disk before it is taken away: killed in
between, the next start goes on.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Network
from typing import TypeVar

import msgspec
from msgspec import Struct

from agent.identity import Identity
from agent.ndmz.plan import INSIDE4, SPACE
from agent.nr.book import Book
from agent.nr.building import ROLE, demolish
from agent.nr.delegation import choose_numbers, part, placed
from agent.nr.kernel import Behind, Kernel
from agent.nr.local import Local, attached, detached, refuse_overlap
from agent.nr.report import describe
from agent.nr.status import ResourceStatus
from netns.spaces import Spaces
from runtime.failure import CannotError, Exit

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EACH = 4.0  # seconds; drift that nobody tells of is repaired within 5
BURST = 0.01  # one change is several events
AT_ONCE = 16  # others have their turn in between
MOST = 256  # two sockets each, of the 1024 files that a process may have open


class Outcome(Struct, frozen=True):
    """What became of several requests: those that stand, and why others do not."""

    made: list[ResourceStatus]
    refused: dict[str, CannotError]


class Resources:
    def __init__(
        self,
        spaces: Spaces,
        identity: Identity,
        *,
        behind: Behind,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change`: `status` says something else now."""
        self._spaces, self._behind, self._on_change = spaces, behind, on_change
        self._inside = (INSIDE4, next(identity.ula.subnets(new_prefix=64)))
        self._book = Book()
        self._kernel = Kernel(spaces, identity, behind=behind, rings=self._ring)
        self._lock = asyncio.Lock()  # one hand on the kernel
        self._said: dict[str, ResourceStatus] = {}
        self._rang: set[str] = set()
        self._prefix: IPv6Network | None = None  # as it was handed out
        self._wake = asyncio.Event()

    async def keep(self) -> None:
        """For ever; cancelling leaves all of it in the kernel."""
        loop = asyncio.get_running_loop()
        try:
            await self._sweep()
            while True:
                due = loop.time() + LOOK_EACH
                await self._tend([local.name for local in self._book])
                while loop.time() < due:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(due):
                            await self._wake.wait()
                    await asyncio.sleep(BURST)
                    self._wake.clear()
                    rang, self._rang = self._rang, set()
                    await self._tend(rang, rang=True)
        finally:
            self._kernel.close()

    def status(self) -> list[ResourceStatus]:
        """As it was when each was looked at."""
        return [self._said[local.name] for local in self._book if local.name in self._said]

    @property
    def problems(self) -> list[str]:
        """Of all of them together."""
        return [self._book.damage.message] if self._book.damage is not None else []

    # -- what people ask for

    async def create(self, asked: Sequence[Local]) -> Outcome:
        """Those that stand already are as if they were made now. Raises CannotError."""
        refused: dict[str, CannotError] = {}
        new: list[Local] = []
        for local in asked:
            try:
                if self._is_new(local, len(new)):
                    new.append(local)
            except CannotError as error:
                refused[local.name] = error
        self._book.put(new)
        await self._tend([local.name for local in asked if local.name not in refused])
        failed = [local for local in new if not self._kernel.stands(local.name)]
        refused |= {f.name: self._kernel.problems[f.name] for f in failed}
        await self._remove(failed)
        made = [local for local in asked if local.name not in refused]
        return Outcome(
            [self._said[local.name] for local in made if local.name in self._said], refused
        )

    def _is_new(self, local: Local, others: int) -> bool:
        known = self._book.get(local.name)
        if known is None:
            refuse_overlap(local, self._inside)
            if len(self._book) + others >= MOST:
                raise CannotError(
                    f"cannot create network resource {local.name}: this node has {MOST}",
                    code=Exit.EXHAUSTED,
                )
            return True
        # one that was made when nothing was delegated stays as it is
        same = known.delegated <= local.delegated
        if not same or (known.ipv4, known.ipv6) != (local.ipv4, local.ipv6):
            has = [*map(str, known.ranges), *["a delegated range"] * known.delegated]
            raise CannotError(
                f"cannot create network resource {local.name}: it exists, with {' and '.join(has)}",
                hint=f"zosnet-agent nr delete {local.name}",
                code=Exit.CONFLICT,
            )
        return False

    async def delete(self, names: Sequence[str]) -> None:
        """All or none. Raises CannotError."""
        what = "delete network resource"
        await self._remove([self._book.find(name, f"{what} {name}") for name in names])

    async def attach(self, name: str, namespace: str, **wanted: str) -> ResourceStatus:
        """Raises CannotError."""
        what = f"attach {namespace} to {name}"
        local = self._book.find(name, what)
        holder = self._book.holder(namespace)
        if holder is not None and holder.name != name:
            raise CannotError(
                f"cannot {what}: it is attached to {holder.name}",
                hint=f"zosnet-agent nr detach {holder.name} {namespace}",
                code=Exit.CONFLICT,
            )
        await self._refuse_space(namespace, what)
        new = attached(local, namespace, **wanted)
        self._book.put([new])
        await self._tend([name])
        if error := self._kernel.loose.get(namespace):
            if local.workload(namespace) is None:
                await self.detach(name, namespace)
            raise error
        return self._said[name]

    async def _refuse_space(self, namespace: str, what: str) -> None:
        if namespace == SPACE or await self._spaces.is_ours(namespace):
            raise CannotError(f"cannot {what}: that namespace is zosnet's own", code=Exit.CONFLICT)
        if not self._spaces.exists(namespace):
            raise CannotError(
                f"cannot {what}: there is no namespace {namespace}",
                hint=f"ip netns add {namespace}; of a process: ip netns attach {namespace} PID",
                code=Exit.NOT_FOUND,
            )

    async def detach(self, name: str, namespace: str) -> None:
        """Raises CannotError."""
        what = f"detach {namespace} from {name}"
        local = self._book.find(name, what)
        workload = local.workload(namespace)
        if workload is None:
            raise CannotError(
                f"cannot {what}: it is not attached",
                hint=f"zosnet-agent nr show {name}",
                code=Exit.NOT_FOUND,
            )
        self._book.put([detached(local, namespace)])
        async with self._lock:
            await self._kernel.detach(local, workload)
        await self._tend([name])

    # -- keeping them true

    def look_again(self) -> None:
        """At all of them, if the site delegates another prefix now."""
        if self._behind.delegated.prefix != self._prefix:
            self._rang.update(local.name for local in self._book)
            self._wake.set()

    def _ring(self, name: str) -> None:
        self._rang.add(name)
        self._wake.set()

    async def _tend(self, names: Collection[str], *, rang: bool = False) -> None:
        parts = self._hand_out()
        for some in _pieces(list(names)):
            async with self._lock:
                known = [local for name in some if (local := self._book.get(name)) is not None]
                known = [self._placed(local, parts) for local in known]
                await self._kernel.tend(known, rang=rang)
                self._tell({local.name: self._describe(local) for local in known})
        self._behind.hand({f"n-{name}": net for name, net in parts.items()})

    def _hand_out(self) -> dict[str, IPv6Network]:
        """The part of the delegated prefix that each resource has, by name."""
        self._prefix = prefix = self._behind.delegated.prefix
        if prefix is None:
            return {}
        numbers = choose_numbers(self._book, prefix)
        changed = [
            msgspec.structs.replace(local, number=numbers[local.name])
            for local in self._book
            if local.name in numbers and numbers[local.name] != local.number
        ]
        try:
            if changed:
                self._book.put(changed)
        except CannotError as error:  # the same ones follow as long as no resource comes or goes
            log.debug("numbers not kept", extra={"reason": error.message})
        return {name: part(prefix, number) for name, number in numbers.items()}

    def _tell(self, said: Mapping[str, ResourceStatus]) -> None:
        new = {**self._said, **said}
        if new != self._said:
            self._said = new
            self._on_change()

    def _describe(self, local: Local) -> ResourceStatus:
        said = describe(local, self._kernel)
        if local.delegated and self._prefix is not None and not local.ipv6 and not said.problem:
            said.problem = f"all networks of the delegated prefix {self._prefix} are taken"
        return said

    def _placed(self, local: Local, parts: Mapping[str, IPv6Network]) -> Local:
        range_ = parts.get(local.name)
        if range_ is None:
            return local
        return placed(local, range_, functools.partial(self._kernel.mac, local))

    async def _remove(self, locals_: Sequence[Local]) -> None:
        if not locals_:
            return
        self._book.remove(local.name for local in locals_)
        for some in _pieces(locals_):
            async with self._lock:
                for local in some:
                    self._said.pop(local.name, None)
                await self._kernel.take_away(some)

    async def _sweep(self) -> None:
        """What is left of resources that were deleted while we were killed."""
        if self._book.damage is not None:
            log.error(self._book.damage.message)
            return
        wanted = {local.space for local in self._book}
        for space, role in self._spaces.ours().items():
            if role == ROLE and space not in wanted:
                try:
                    await demolish(self._spaces, space)
                    await self._behind.detach(space, forget=True)
                except CannotError as error:
                    log.error(error.message)  # noqa: TRY400  # a sentence for people


def _pieces(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), AT_ONCE):
        yield things[start : start + AT_ONCE]
