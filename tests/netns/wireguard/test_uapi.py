"""The text on the socket: what is asked, what is understood, and what a dead socket means."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from netns.wireguard import uapi
from netns.wireguard.backend import WireGuardError
from netns.wireguard.device import (
    Device,
    DeviceError,
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
)

KEY = bytes(range(32))
PEER = Peer(
    KEY,
    frozenset({ip_network("10.9.0.2/32"), ip_network("fd00::2/128")}),
    Endpoint(ip_address("2001:db8::1"), 51820),
    25,
)
PEER_TEXT = f"""\
public_key={KEY.hex()}
replace_allowed_ips=true
allowed_ip=10.9.0.2/32
allowed_ip=fd00::2/128
endpoint=[2001:db8::1]:51820
persistent_keepalive_interval=25
"""
ANSWER = f"""\
private_key={KEY.hex()}
listen_port=51820
public_key={KEY.hex()}
preshared_key={"0" * 64}
protocol_version=1
endpoint=192.0.2.1:4500
last_handshake_time_sec=1790000000
last_handshake_time_nsec=500000000
tx_bytes=10
rx_bytes=20
persistent_keepalive_interval=25
allowed_ip=10.9.0.2/32
public_key={"ff" * 32}
protocol_version=1
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=0
rx_bytes=0
persistent_keepalive_interval=0
errno=0

"""


def serve(path: Path, answer: bytes, do: Callable[[], Awaitable[object]]) -> tuple[object, bytes]:
    """What `do` gives while somebody answers every request with `answer`, and the last request."""
    heard = b""

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        heard = await reader.readuntil(b"\n\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def main() -> object:
        server = await asyncio.start_unix_server(answering, path)
        async with server:
            return await do()

    return asyncio.run(main()), heard


def test_a_peer_is_set_with_its_keepalive_last() -> None:
    assert uapi.render([Upsert(PEER)]) == "set=1\n" + PEER_TEXT + "\n"


def test_a_reset_removes_and_sets_in_one_request() -> None:
    expected = f"set=1\npublic_key={KEY.hex()}\nremove=true\n{PEER_TEXT}\n"

    assert expected == uapi.render([Reset(PEER)])


def test_a_peer_is_placed_without_touching_its_prefixes_or_making_it() -> None:
    expected = f"set=1\npublic_key={KEY.hex()}\nupdate_only=true\nendpoint=192.0.2.1:51820\n\n"

    assert expected == uapi.render([Place(KEY, Endpoint(ip_address("192.0.2.1"), 51820))])


def test_device_and_removals_are_written_in_their_order() -> None:
    ops: list[Op] = [SetDevice(secret=KEY), SetDevice(port=51821), Remove(KEY)]

    assert uapi.render(ops) == (
        f"set=1\nprivate_key={KEY.hex()}\nlisten_port=51821\npublic_key={KEY.hex()}\nremove=true\n\n"
    )


def test_peers_are_never_replaced_as_a_whole() -> None:
    text = uapi.render([SetDevice(KEY, 1), Upsert(PEER), Reset(PEER), Remove(KEY)])

    assert "replace_peers" not in text


def test_a_wrong_peer_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    _, heard = serve(path, b"errno=0\n\n", lambda: uapi.write(path, [Upsert(PEER)]))
    assert heard  # the control

    async def wrong() -> None:
        with pytest.raises(DeviceError):
            await uapi.write(path, [Upsert(PEER), Upsert(Peer(b"short"))])

    path.unlink(missing_ok=True)
    _, heard = serve(path, b"errno=0\n\n", wrong)

    assert heard == b""


def test_a_device_is_read_as_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    reading, heard = serve(path, ANSWER.encode(), lambda: uapi.read(path))

    assert heard == b"get=1\n\n"
    assert isinstance(reading, Reading)
    other = b"\xff" * 32
    learnt = Endpoint(ip_address("192.0.2.1"), 4500)
    assert reading.device == Device(
        KEY,
        51820,
        {
            KEY: Peer(KEY, frozenset({ip_network("10.9.0.2/32")}), learnt, 25),
            other: Peer(other),
        },
    )
    assert reading.stats == {KEY: PeerStat(1790000000.5, 20, 10), other: PeerStat(None, 0, 0)}


def test_a_peer_that_speaks_from_a_link_local_address_has_no_endpoint_to_keep(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.sock"
    answer = ANSWER.replace("192.0.2.1:4500", "[fe80::7%zos]:4500").encode()
    reading, _ = serve(path, answer, lambda: uapi.read(path))

    assert isinstance(reading, Reading)
    assert reading.device.peers[KEY].endpoint is None


def test_an_error_has_the_number_that_the_device_gave(tmp_path: Path) -> None:
    path = tmp_path / "w-1.sock"

    async def refused() -> None:
        with pytest.raises(WireGuardError, match="cannot configure WireGuard w-1") as caught:
            await uapi.write(path, [SetDevice(port=51820)])
        assert caught.value.errno == 98

    serve(path, b"errno=-98\n\n", refused)


def test_no_socket_and_a_socket_left_behind_are_no_device(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    reading, _ = serve(path, ANSWER.encode(), lambda: uapi.read(path))
    assert reading is not None  # the control

    import socket

    path.unlink(missing_ok=True)
    assert asyncio.run(uapi.read(path)) is None
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()

    assert path.exists()
    assert asyncio.run(uapi.read(path)) is None


@pytest.mark.parametrize(
    "noise", ["listen_port\nerrno=0\n\n", "listen_port=x\nerrno=0\n\n", "public_key=zz\n\n"]
)
def test_noise_is_an_error_and_not_an_absent_device(tmp_path: Path, noise: str) -> None:
    path = tmp_path / "w.sock"

    async def refused() -> None:
        with pytest.raises(WireGuardError, match="cannot be read"):
            await uapi.read(path)

    serve(path, noise.encode(), refused)
