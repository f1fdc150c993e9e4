"""The cross-platform configuration protocol of WireGuard, as wireguard-go speaks it.

    reading = await read(path)          # None when nobody is behind the socket
    await write(path, ops)              # one request; what cannot be is refused before it is sent

A request is not atomic: an error leaves everything done that stood before it. `replace_peers` is
never sent: it ends every session. https://www.wireguard.com/xplatform/
"""

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path

from netns.wireguard.backend import WireGuardError
from netns.wireguard.device import (
    Device,
    Endpoint,
    Op,
    Peer,
    PeerStat,
    Place,
    Reading,
    Remove,
    Reset,
    SetDevice,
    Upsert,
    validate_peer,
)

DIRECTORY = Path("/var/run/wireguard")
TIMEOUT = 5.0  # seconds; 10 000 peers take one
_CHUNK = 64 * 1024


def socket_path(name: str) -> Path:
    return DIRECTORY / f"{name}.sock"


async def read(path: Path) -> Reading | None:
    """The device behind `path`; None when the socket is not there or was left by a dead process.

    Raises WireGuardError when somebody is there who does not answer as a device does.
    """
    answer = await _talk(path, "get=1\n\n")
    if answer is None:
        return None
    fields = [tuple(line.split("=", 1)) for line in answer.splitlines() if line]
    try:
        number, reading = _parse(fields)  # type: ignore[arg-type]  # pairs, or unpacking fails
    except ValueError as error:
        raise _error(path, f"its answer cannot be read: {error}") from error
    _check(path, number)
    return reading


async def write(path: Path, ops: Iterable[Op]) -> None:
    """Perform `ops` in one request. Raises WireGuardError, with errno when the device gave one,
    and DeviceError for what is wrong before anything is sent.
    """
    text = render(ops)
    if text == "set=1\n\n":
        return
    answer = await _talk(path, text)
    if answer is None:
        raise _error(path, "there is no device")
    number = answer.strip().removeprefix("errno=")
    if not number.lstrip("-").isdigit():
        raise _error(path, "its answer cannot be read")
    _check(path, int(number))


def render(ops: Iterable[Op]) -> str:
    """The request for `ops`. Raises DeviceError."""
    lines = ["set=1"]
    for op in ops:
        match op:
            case SetDevice():
                if op.secret is not None:
                    lines.append(f"private_key={op.secret.hex()}")
                if op.port is not None:
                    lines.append(f"listen_port={op.port}")
            case Remove(key):
                lines += [f"public_key={key.hex()}", "remove=true"]
            case Reset(peer):
                lines += [f"public_key={peer.key.hex()}", "remove=true", *_peer(peer)]
            case Upsert(peer):
                lines += _peer(peer)
            case Place(key, endpoint):
                lines += [f"public_key={key.hex()}", "update_only=true", f"endpoint={endpoint}"]
    return "\n".join(lines) + "\n\n"


def _peer(peer: Peer) -> Iterator[str]:
    validate_peer(peer)
    yield f"public_key={peer.key.hex()}"
    yield "replace_allowed_ips=true"
    for prefix in sorted(peer.allowed, key=str):
        yield f"allowed_ip={prefix}"
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    # last: wireguard-go sends its first initiation when the keepalive is set
    yield f"persistent_keepalive_interval={peer.keepalive}"


def _parse(fields: Iterable[tuple[str, str]]) -> tuple[int, Reading]:
    secret: bytes | None = None
    port = number = 0
    blocks: list[dict[str, list[str]]] = []
    for key, value in fields:
        if key == "public_key":
            blocks.append({key: [value]})
        elif key == "errno":
            number = int(value)
        elif blocks:
            blocks[-1].setdefault(key, []).append(value)
        elif key == "private_key":
            secret = bytes.fromhex(value)
        elif key == "listen_port":
            port = int(value)
    peers, stats = {}, {}
    for block in blocks:
        peer = _parse_peer(block)
        peers[peer.key] = peer
        stats[peer.key] = _parse_stat(block)
    unset = secret is None or not any(secret)
    return number, Reading(Device(None if unset else secret, port, peers), stats)


def _parse_peer(block: dict[str, list[str]]) -> Peer:
    endpoint = None
    if "endpoint" in block:
        host, _, port = block["endpoint"][-1].rpartition(":")
        address = ip_address(host.strip("[]").partition("%")[0])
        # a peer that speaks from a link-local address: of no use without its link
        if not (address.version == 6 and address.is_link_local):
            endpoint = Endpoint(address, int(port))
    return Peer(
        key=bytes.fromhex(block["public_key"][0]),
        allowed=frozenset(ip_network(text) for text in block.get("allowed_ip", [])),
        endpoint=endpoint,
        keepalive=int(block.get("persistent_keepalive_interval", ["0"])[-1]),
    )


def _parse_stat(block: dict[str, list[str]]) -> PeerStat:
    def number(key: str) -> int:
        return int(block.get(key, ["0"])[-1])

    seconds = number("last_handshake_time_sec") + number("last_handshake_time_nsec") / 1e9
    return PeerStat(seconds or None, number("rx_bytes"), number("tx_bytes"))


async def _talk(path: Path, request: str) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT):
            return await _exchange(path, request)
    except TimeoutError as error:
        raise _error(path, f"it does not answer within {TIMEOUT:.0f} s") from error
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except (ConnectionResetError, BrokenPipeError):  # it died while we spoke
        return None
    except OSError as error:
        raise _error(path, error.strerror or str(error)) from error


async def _exchange(path: Path, request: str) -> str | None:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(request.encode())
        answer = bytearray()
        while not answer.endswith(b"\n\n"):
            data = await reader.read(_CHUNK)
            if not data:
                return None
            answer += data
        return answer.decode("ascii", "replace")
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _check(path: Path, number: int) -> None:
    if number:
        raise _error(path, os.strerror(abs(number)).lower(), number=abs(number))


def _error(path: Path, reason: str, *, number: int | None = None) -> WireGuardError:
    return WireGuardError(f"cannot configure WireGuard {path.stem}: {reason}", number=number)
