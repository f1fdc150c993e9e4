"""A request by hand: whole tables, what the kernel refuses, and families by their names."""

import errno
import struct

import pytest

from netns.decode import decode_link
from netns.exchange import GENERIC, Exchange
from netns.spaces import Spaces
from netns.wireguard import genl
from tests.netns.look import opened_netlink, opened_spaces, shell

pytestmark = pytest.mark.lab

_GET_LINK, _DEL_LINK = 18, 17
_LINK = struct.Struct("=BxHiII")


def links() -> list[str]:
    with Exchange() as kernel:
        payloads = kernel.dump(_GET_LINK, _LINK.pack(0, 0, 0, 0, 0))
    return [decode_link(payload).name for payload in payloads]


def delete(index: int) -> None:
    with Exchange() as kernel:
        assert kernel.ask(_DEL_LINK, _LINK.pack(0, 0, index, 0, 0)) == []


async def indexes(spaces: Spaces) -> dict[str, int]:
    async with opened_netlink(spaces) as netlink:
        return {link.name: link.index for link in await netlink.links()}


async def test_a_dump_of_many_messages_is_the_whole_table() -> None:
    with opened_spaces() as spaces:
        names = [f"d{number}" for number in range(100)]
        shell("".join(f"ip link add {name} type bridge;" for name in names))

        assert set(await spaces.run("", links)) == {"lo", *names}


async def test_what_the_kernel_did_is_done_and_what_it_refuses_has_its_errno() -> None:
    with opened_spaces() as spaces:
        shell("ip link add br0 type bridge")
        index = (await indexes(spaces))["br0"]
        await spaces.run("", delete, index)

        assert "br0" not in await indexes(spaces)
        with pytest.raises(OSError) as caught:
            await spaces.run("", delete, index)
        assert caught.value.errno == errno.ENODEV


def test_a_generic_family_is_found_by_its_name() -> None:
    with Exchange(GENERIC) as kernel:
        (answer,) = kernel.ask(genl.CONTROLLER, genl.family_body("nlctrl"))

        assert genl.decode_family(answer) == genl.CONTROLLER
        with pytest.raises(FileNotFoundError):
            kernel.ask(genl.CONTROLLER, genl.family_body("no-such-family"))
