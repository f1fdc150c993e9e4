"""The stand-in's socket: one connection at a time made into requests, in one of two languages."""

import contextlib
import json
import selectors
import shlex
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.fakes.zinit.loop import Loop
from tests.fakes.zinit.services import RefusedError, Supervisor, signal_group

RPC_STOP = 0.5  # seconds before the stop signal, and from there to SIGKILL
MOST_BYTES = 64 * 1024  # of a request, and of what a slow reader may lag


class Client:
    """One connection: bytes until they are a request, then the answer."""

    def __init__(self, loop: Loop, connection: socket.socket, door: "Door") -> None:
        self._loop, self._connection, self._door = loop, connection, door
        self._got, self._out, self._lost, self._closing = bytearray(), bytearray(), 0, False
        connection.setblocking(False)
        loop.watch(connection, selectors.EVENT_READ, self._on_event)

    def send(self, text: str, *, lossy: bool = False) -> None:
        if lossy and len(self._out) > MOST_BYTES:
            self._lost += 1
            return
        if self._lost:
            self._out += f"[-] zinit: {self._lost} lines dropped\n".encode()
            self._lost = 0
        self._out += text.encode()
        self._flush()

    def finish(self, text: str = "") -> None:
        """Send the rest, then close."""
        self._closing = True
        self.send(text)

    def close(self) -> None:
        if self._connection.fileno() >= 0:
            self._loop.forget(self._connection)
            self._connection.close()
            self._door.supervisor.ring.drop(self)

    def _on_event(self, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush()
            if events & selectors.EVENT_READ:
                self._read()
        except OSError:
            self.close()

    def _read(self) -> None:
        data = self._connection.recv(MOST_BYTES)
        self._got += data
        if (not data and not self._got) or len(self._got) > MOST_BYTES:
            self.close()
        elif not self._closing and self._door.request(self, bytes(self._got), ended=not data):
            self._got.clear()
        elif not data:
            self.close()

    def _flush(self) -> None:
        try:
            sent = self._connection.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._out[:sent]
        if self._closing and not self._out:
            self.close()
        else:
            write = selectors.EVENT_WRITE if self._out else 0
            self._loop.watch(self._connection, selectors.EVENT_READ | write, self._on_event)


class Door:
    """How requests are worded; this one as 0.2.11: a line, an answer, the connection ends."""

    def __init__(self, loop: Loop, supervisor: Supervisor) -> None:
        self.loop, self.supervisor = loop, supervisor

    def request(self, client: Client, data: bytes, *, ended: bool) -> bool:
        """Answer `data` if it is whole."""
        line, newline, _ = data.partition(b"\n")
        if newline or ended:
            try:
                self._obey(client, line.decode(errors="replace"))
            except RefusedError as error:
                client.finish(compact({"state": "error", "body": str(error)}))
        return bool(newline or ended)

    def _obey(self, client: Client, line: str) -> None:
        try:
            argv = shlex.split(line)
        except ValueError as error:
            raise RefusedError("invalid command syntax") from error
        said: Any = None
        daemon = self.supervisor
        match argv:
            case []:
                raise RefusedError("unknown command")
            case ["log"]:
                return daemon.ring.follow(client)
            case ["log", "snapshot"]:
                return client.finish("".join(line + "\n" for line in daemon.ring.lines))
            case ["log", *_]:
                raise RefusedError("invalid log command arguments")
            case ["list", *_]:
                said = daemon.list()
            case ["shutdown" | "reboot", *_]:
                daemon.shut_down()
            case ["kill", name, number]:
                daemon.kill(name, number)
            case ["status", name]:
                said = daemon.status(name)
            case ["start" | "stop" | "monitor" | "forget" as verb, name]:
                getattr(daemon, verb)(name)
            case _:
                raise RefusedError(f"unknown command '{argv[0]}' or wrong arguments count")
        return client.finish(compact({"state": "ok", "body": said}))


class RpcDoor(Door):
    """As 0.2.28: JSON-RPC objects; text that is no JSON is never answered."""

    def request(self, client: Client, data: bytes, *, ended: bool) -> bool:
        try:
            asked = json.loads(data)
            method = asked["method"]
            call = partial(self._reply, client, asked["id"])
        except (ValueError, TypeError, KeyError):
            return False
        params = asked.get("params", [])
        verb = method.removeprefix("service_")
        try:
            self._call(method, verb, params, call)
        except RefusedError as error:
            call(error=self._word(error, verb, params))
        return True

    def _call(self, method: str, verb: str, params: list[str], call: Callable[..., None]) -> None:
        match method, params:
            case "rpc.discover", _:
                call(json.dumps({"openrpc": "1.2.6"}))
            case "stream_currentLogs", [*names]:
                lines = self.supervisor.ring.lines
                marks = [f"{name}:" for name in names]
                call([line for line in lines if all(line.startswith(m, 4) for m in marks)])
            case "service_monitor", [name] if set(name) & set("/\\."):
                raise RefusedError(f"invalid service name '{name}'", -32602)
            case "service_stop", [name]:
                self._stop(name, call)
            case _ if method.startswith("service_") and verb in ("list", *_DOING):
                call(getattr(self.supervisor, verb)(*params))
            case _:
                raise RefusedError("Method not found", -32601)

    def _stop(self, name: str, call: Callable[..., None]) -> None:
        """It counts the children for a while, sends the signal, and soon after SIGKILL."""
        service = self.supervisor.find(name)
        service.up = False
        pid = service.pid

        def ask() -> None:
            with contextlib.suppress(RefusedError):
                signal_group(pid, service.unit.stop_signal)
            self.loop.later(RPC_STOP, insist)

        def insist() -> None:
            if service.pid == pid:
                signal_group(pid, signal.SIGKILL)
            call()

        if pid:
            self.loop.later(RPC_STOP, ask)
        else:
            call()

    def _word(self, error: RefusedError, verb: str, params: list[str]) -> dict[str, Any]:
        """How 0.2.28 says it: what it was at, and what is wrong."""
        match error.code:
            case -32601:
                return {"code": error.code, "message": str(error)}
            case -32004:
                text = f"parsing signal: invalid signal '{params[1]}'"
            case code:
                reason = _REASONS.get(code, str(error)).format(params[0])
                text = f"{_DOING[verb]}: {reason}"
        return {"code": error.code, "message": text, "data": {"service": params[0]}}

    @staticmethod
    def _reply(client: Client, number: Any, result: Any = None, error: Any = None) -> None:
        body = {"error": error} if error else {"result": result}
        client.send(compact({"jsonrpc": "2.0", "id": number, **body}) + "\n")


_DOING = {
    "status": "getting status",
    "start": "starting service",
    "stop": "stopping service",
    "monitor": "monitoring service",
    "forget": "forgetting service",
    "kill": "sending signal",
}
_REASONS = {
    -32000: "service '{}' not found",
    -32001: "service '{}' already monitored",
    -32002: "service '{}' is up",
    -32003: "service '{}' is down",
    -32005: "failed to load '{}.yaml'",
}


class TerseRpcDoor(RpcDoor):
    """As 0.2.15 to 0.2.27: that it refuses, but not why."""

    def _word(self, error: RefusedError, verb: str, params: list[str]) -> dict[str, Any]:
        if error.code == -32601:
            return {"code": error.code, "message": str(error)}
        if verb == "start":
            return {"code": -32002, "message": "Server error"}
        return {"code": -32603, "message": "Internal error"}


DOORS = {"0.2.11": Door, "0.2.27": TerseRpcDoor, "0.2.28": RpcDoor}


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
