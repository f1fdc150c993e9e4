"""Try the targets of `check:` and put the answers into the status; nobody waits for this."""

import asyncio
import os
import socket

import msgspec

from agent.boot import status
from agent.config import split_target

TIMEOUT = 3.0  # seconds for each try
PAUSE = 1.0
TRIES = 5  # an IPv6 address of zos is usable some 2 s after the boot


async def check_targets(targets: tuple[str, ...]) -> dict[str, str]:
    """Each target with "ok" or the reason why it could not be reached."""
    answers = await asyncio.gather(*(_check(target) for target in targets))
    return dict(zip(targets, answers, strict=True))


async def report_targets(targets: tuple[str, ...]) -> dict[str, str]:
    checks = await check_targets(targets)
    current = status.load()
    if current is not None:
        status.store(msgspec.structs.replace(current, checks=checks))
    return checks


async def _check(target: str) -> str:
    said = ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(PAUSE)
        said = await _try(target)
        if said == "ok":
            break
    return said


async def _try(target: str) -> str:
    parts = split_target(target)
    if parts is None:
        return "not of the form tcp://host:port"
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(*parts)
    except TimeoutError:
        return f"no answer in {TIMEOUT:g} s"
    except socket.gaierror as error:
        return f"no address: {error.strerror}"
    except OSError as error:  # asyncio puts a sentence of its own where the errno's stood
        return os.strerror(error.errno) if error.errno else str(error)
    writer.close()
    return "ok"
