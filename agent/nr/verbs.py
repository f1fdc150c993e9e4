"""What `zosnet-agent nr` asks of networkd, by the name of the request."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from agent.control_server import Handler
from agent.nr.keeper import Outcome, Resources
from agent.nr.local import parse_local


def nr_handlers(resources: Resources, told: Callable[[], None]) -> Mapping[str, Handler]:
    """`told` is called after each: `list` and `status` know of it when the command returns."""

    async def create(arguments: dict[str, Any]) -> dict[str, Any]:
        ranges = {key: str(arguments.get(key, "")) for key in ("ipv4", "ipv6")}
        asked = [parse_local(str(name), **ranges) for name in arguments.get("names", [])]
        return _said(await resources.create(asked))

    async def delete(arguments: dict[str, Any]) -> None:
        await resources.delete([str(name) for name in arguments.get("names", [])])

    async def attach(arguments: dict[str, Any]) -> Any:
        wanted = {k: str(arguments[k]) for k in ("link", "ipv4", "ipv6") if arguments.get(k)}
        status = await resources.attach(*_ends(arguments), **wanted)
        return msgspec.to_builtins(status)

    async def detach(arguments: dict[str, Any]) -> None:
        await resources.detach(*_ends(arguments))

    def telling(handler: Handler) -> Handler:
        async def handle(arguments: dict[str, Any]) -> Any:
            try:
                return await handler(arguments)
            finally:
                told()

        return handle

    verbs = {"create": create, "delete": delete, "attach": attach, "detach": detach}
    return {f"nr.{name}": telling(handler) for name, handler in verbs.items()}


def _ends(arguments: dict[str, Any]) -> tuple[str, str]:
    return str(arguments.get("name", "")), str(arguments.get("namespace", ""))


def _said(outcome: Outcome) -> dict[str, Any]:
    return {
        "made": msgspec.to_builtins(outcome.made),
        "refused": [
            {"name": name, "error": error.message, "hint": error.hint, "code": int(error.code)}
            for name, error in outcome.refused.items()
        ],
    }
