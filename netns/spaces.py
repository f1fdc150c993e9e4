"""Network namespaces: made, marked as ours, and entered by one thread for a short job.

    spaces = Spaces()
    await spaces.ensure("ndmz", role="ndmz")
    sock = await spaces.run("ndmz", socket.socket, AF_INET, SOCK_DGRAM)   # lives in ndmz for ever

One thread goes in, does the job and comes home; what the job made (a socket, a child) stays in the
namespace and is used from the loop. A job is short: all namespaces share the thread. An open
socket or fd keeps a namespace alive after `delete`: close first.

A namespace is a mount of nsfs under /run/netns, as `ip netns` makes them. Ours have a mark
under /run/zosnet/namespaces; it holds the namespace's cookie, which the kernel gives out once,
as the inode comes back as soon as a namespace is gone. A name without our mark is somebody
else's: never entered by `ensure`, never deleted.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from msgspec import Struct

from runtime import files, paths
from runtime.failure import CannotError, Exit

P = ParamSpec("P")
T = TypeVar("T")

HOST = ""  # the namespace the program was started in
DIRECTORY = Path("/run/netns")
MARKS = paths.RUN / "namespaces"

_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 1 << 20
_MNT_DETACH = 2
_NSFS_MAGIC = 0x6E736673
_SO_NETNS_COOKIE = 71  # since Linux 5.14
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1

_libc = ctypes.CDLL(None, use_errno=True)


class ForeignError(CannotError):
    """A namespace of this name exists and we did not make it."""

    def __init__(self, name: str, verb: str = "use") -> None:
        super().__init__(
            f"cannot {verb} namespace {name}: it exists and is not ours",
            hint=f"look with: ip -n {name} address; remove it with: ip netns delete {name}",
            code=Exit.CONFLICT,
        )


class _Mark(Struct, frozen=True):
    role: str
    inode: int
    cookie: int  # 0: the kernel is older than 5.14 and has none


class Spaces:
    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="netns")

    async def run(self, space: str, job: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `job` inside `space`. Raises CannotError when there is no such namespace; what the
        job raises comes through.
        """

        def inside() -> T:
            with self._inside(space):
                return job(*args, **kwargs)

        return await self._in_thread(inside)

    async def run_each(
        self, names: Iterable[str], job: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> dict[str, T | CannotError]:
        """Do `job` inside each namespace, all of them in one go of the thread: what it returned, or
        the CannotError that it raised or that keeps us out of there.
        """

        def one(name: str) -> T | CannotError:
            try:
                if name == HOST:
                    self._go_home()
                else:
                    _enter(name)
                return job(*args, **kwargs)
            except CannotError as error:
                return error

        def each() -> dict[str, T | CannotError]:
            """From one to the next: each way home would cost as much as a way in."""
            try:
                return {name: one(name) for name in names}
            finally:
                self._go_home()

        return await self._in_thread(each)

    async def ensure(self, name: str, *, role: str) -> bool:
        """Create `name` (True), or find that it is ours (False). Raises ForeignError.

        A new one has its loopback up.
        """
        return await self._in_thread(self._ensure, _checked(name), role)

    async def delete(self, name: str) -> None:
        """Delete `name` if it is there. Raises ForeignError when it is not ours.

        Stand-in NICs inside die with it, and so do sockets' last links: bring links home first.
        """
        await self._in_thread(self._delete, _checked(name))

    def exists(self, name: str) -> bool:
        return name == HOST or _is_namespace(DIRECTORY / name)

    async def is_ours(self, name: str) -> bool:
        """Whether `name` exists and we made it."""
        return await self._in_thread(self._mark_of, _checked(name)) is not None

    async def identity(self, name: str) -> int:
        """The number of the namespace that has this name now: another one after it was made anew. On
        kernels before 5.14 it is the inode, which may come back. Raises CannotError.
        """
        return await self.run(name, _identity)

    def ours(self, prefix: str = "") -> dict[str, str]:
        """Name and role of each namespace that exists and is ours; of those whose name begins so."""
        marks = [path.name for path in MARKS.glob(f"{prefix}*") if not path.name.startswith(".")]
        checked = ((name, self._thread.submit(self._mark_of, name).result()) for name in marks)
        return {name: mark.role for name, mark in sorted(checked) if mark is not None}

    def open_fd(self, name: str) -> int:
        """A file descriptor of the namespace; the caller closes it."""
        if name == HOST:
            return os.dup(self._home)
        return _open_namespace(_checked(name))

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        os.close(self._home)

    async def _in_thread(self, job: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: job(*args, **kwargs))

    @contextmanager
    def _inside(self, space: str) -> Iterator[None]:
        if space == HOST:
            yield
            return
        _enter(space)
        try:
            yield
        finally:
            self._go_home()

    def _go_home(self) -> None:
        _check(_libc.setns(self._home, _CLONE_NEWNET), "cannot leave a namespace")

    def _ensure(self, name: str, role: str) -> bool:
        path = DIRECTORY / name
        if _is_namespace(path):
            mark = self._mark_of(name)
            if mark is None:
                raise ForeignError(name)
            if mark.role != role:
                _write_mark(name, _Mark(role, mark.inode, mark.cookie))
            return False
        _prepare_directory()
        with _cannot(f"create namespace {name}"):
            # A plain file of that name is what a crash between here and the mount leaves.
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
        try:
            self._create(name, role, path)
        except BaseException:
            with suppress(OSError):  # what went wrong first is what is said
                _unmount(path)
                _unmark(name)
            raise
        return True

    def _create(self, name: str, role: str, path: Path) -> None:
        _check(_libc.unshare(_CLONE_NEWNET), f"cannot create namespace {name}")
        try:
            _raise_loopback()
            inode = os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116  # a magic link
            # The mark first: killed in between, we leave a mark of nothing, not a foreign space.
            _write_mark(name, _Mark(role, inode, _own_cookie()))
            mounted = _libc.mount(
                b"/proc/thread-self/ns/net", os.fsencode(path), b"none", _MS_BIND, None
            )
            _check(mounted, f"cannot create namespace {name}")
        finally:
            self._go_home()

    def _delete(self, name: str) -> None:
        path = DIRECTORY / name
        if _is_namespace(path) and self._mark_of(name) is None:
            raise ForeignError(name, "delete")
        with _cannot(f"delete namespace {name}"):
            _unmount(path)
            _unmark(name)

    def _mark_of(self, name: str) -> _Mark | None:
        """The mark of `name` if the namespace that is there now is the one we marked."""
        mark = _read_mark(name)
        if mark is None:
            return None
        try:
            if (DIRECTORY / name).stat().st_ino != mark.inode:
                return None
            with self._inside(name):
                return mark if _own_cookie() == mark.cookie else None
        except (OSError, CannotError):
            return None


def in_nameless_space(job: Callable[[], T]) -> T:
    """Do `job` in a thread of its own, in a new namespace without a name: it is gone with the thread,
    or with the process when that is killed. It is the HOST of a `Spaces()` that `job` makes.

    Raises CannotError when there can be none; what the job raises comes through.
    """

    def inside() -> T:
        _check(_libc.unshare(_CLONE_NEWNET), "cannot create a namespace")
        return job()

    with ThreadPoolExecutor(1, thread_name_prefix="nameless") as thread:
        return thread.submit(inside).result()


def _enter(space: str) -> None:
    """With this thread. Raises CannotError, and then it stays where it was."""
    fd = _open_namespace(_checked(space))
    try:
        _check(_libc.setns(fd, _CLONE_NEWNET), f"cannot enter namespace {space}")
    finally:
        os.close(fd)


def _checked(name: str) -> str:
    if not name or "/" in name or name in (".", "..") or len(name) > 200:
        raise CannotError(f"cannot use namespace {name!r}: not a name", code=Exit.USAGE)
    return name


def _is_namespace(path: Path) -> bool:
    """Whether nsfs is mounted there; a plain file is what is left of one."""
    buffer = ctypes.create_string_buffer(256)  # struct statfs; f_type comes first
    if _libc.statfs(os.fsencode(path), buffer):
        return False
    return int(struct.unpack_from("@l", buffer)[0]) == _NSFS_MAGIC


def _open_namespace(name: str) -> int:
    path = DIRECTORY / name
    if not _is_namespace(path):
        raise CannotError(
            f"cannot enter namespace {name}: there is no such namespace", code=Exit.NOT_FOUND
        )
    with _cannot(f"enter namespace {name}"):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _prepare_directory() -> None:
    """Make /run/netns a shared mount as `ip netns` does, so that both see each other's namespaces
    and a namespace that is deleted here does not live on in another mount namespace.
    """
    with _cannot(f"prepare {DIRECTORY}"):
        DIRECTORY.mkdir(parents=True, exist_ok=True, mode=0o755)
        lock = os.open(DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # `ip netns add` takes the same
            _share_directory()
        finally:
            os.close(lock)


def _share_directory() -> None:
    where = os.fsencode(DIRECTORY)
    if not _libc.mount(b"", where, b"none", _MS_SHARED | _MS_REC, None):
        return
    if ctypes.get_errno() != errno.EINVAL:  # EINVAL: not a mount yet
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for source, flags in ((where, _MS_BIND | _MS_REC), (b"", _MS_SHARED | _MS_REC)):
        if _libc.mount(source, where, b"none", flags, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _unmount(path: Path) -> None:
    while not _libc.umount2(os.fsencode(path), _MNT_DETACH):
        pass  # mounted twice by two programs at once: all of it goes
    path.unlink(missing_ok=True)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))


def _own_cookie() -> int:
    """The never reused number of the namespace we are in; 0 on kernels that have none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            cookie = sock.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
            return int(struct.unpack("=Q", cookie)[0])
        except OSError:
            return 0


def _identity() -> int:
    return _own_cookie() or os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116  # a magic link


def _write_mark(name: str, mark: _Mark) -> None:
    text = f"{mark.role} {mark.inode} {mark.cookie}\n"
    with _cannot(f"mark namespace {name} as ours"):
        files.write_atomic(MARKS / name, text.encode(), durable=False)


def _read_mark(name: str) -> _Mark | None:
    try:
        role, inode, cookie = (MARKS / name).read_text().rsplit(maxsplit=2)
        return _Mark(role, int(inode), int(cookie))
    except (OSError, ValueError):
        return None


def _unmark(name: str) -> None:
    (MARKS / name).unlink(missing_ok=True)


def _check(returned: int, what: str) -> None:
    if returned:
        code = ctypes.get_errno()
        raise _explained(what, OSError(code, os.strerror(code)))


@contextmanager
def _cannot(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _explained(f"cannot {what}", error) from error


def _explained(what: str, error: OSError) -> CannotError:
    denied = error.errno in (errno.EPERM, errno.EACCES)
    return CannotError(
        f"{what}: {error.strerror}",
        hint="it takes root" if denied and os.geteuid() else None,
        code=Exit.DENIED if denied else Exit.INTERNAL,
    )
