"""Lab tests of this package run inside a world of their own: a forked process with its own network,
mounts (so its own /run), process ids and /sys. Nothing of it is left when the test is over, and the
machine's own network is out of reach. Test functions may be coroutines.
"""

import asyncio
import ctypes
import inspect
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from netns.lean import enter_package

enter_package("pyroute2")
import netns.rtnl  # noqa: E402, F401  # each world is a fork: what is loaded now need not be there

_libc = ctypes.CDLL(None, use_errno=True)
_NEW_NET, _NEW_PID, _NEW_NS = 0x40000000, 0x20000000, 0x00020000
_NEW_IPC, _NEW_UTS = 0x08000000, 0x04000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18
_PR_SET_PDEATHSIG = 1


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if pyfuncitem.get_closest_marker("lab") is None:
        return None
    if os.geteuid() != 0:
        pytest.skip("needs root")
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    _run_in_world(lambda: _call(pyfuncitem.obj, arguments))
    return True


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    result = function(**arguments)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def _run_in_world(body: Callable[[], None]) -> None:
    """Run `body` in a child of a child: unshare makes the next child the first of its world."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    outer = os.fork()
    if outer == 0:
        _outer(body, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        _, status = os.waitpid(outer, 0)
    except BaseException:  # the test's timeout
        os.kill(outer, signal.SIGKILL)
        os.waitpid(outer, 0)
        raise
    if status != 0:
        pytest.fail(said.decode() or f"the world ended with status {status}", pytrace=False)


def _outer(body: Callable[[], None], writing: int) -> NoReturn:
    code = 1
    try:
        _die_with_parent()
        _check(_libc.unshare(_NEW_NS | _NEW_NET | _NEW_PID | _NEW_IPC | _NEW_UTS))
        inner = os.fork()
        if inner == 0:
            _inner(body, writing)
        os.close(writing)
        code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
    finally:
        os._exit(code)


def _inner(body: Callable[[], None], writing: int) -> NoReturn:
    """Process 1 of the world: when it exits the kernel ends all the others."""
    code = 1
    try:
        _die_with_parent()
        _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
        for kind, where in ((b"proc", b"/proc"), (b"tmpfs", b"/run"), (b"sysfs", b"/sys")):
            _check(_libc.mount(kind, where, kind, 0, None))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # as on any machine
        body()
        code = 0
    except BaseException:  # noqa: BLE001  # all of it goes to the parent
        os.write(writing, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _check(returned: int) -> None:
    if returned:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
