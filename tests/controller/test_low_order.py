"""A key that needs no secret is given to nobody, whoever writes it down."""

from typing import Any

from protocol.admin import Failed
from protocol.messages import Code, Mint, Refused
from tests.controller.house import House
from tests.controller.test_exchange import REDIS, ZT, take

LOW = (1).to_bytes(32, "little")


def refused(house: House, verb: str, **fields: Any) -> str:
    reply = house.call(verb, key=LOW.hex(), **fields)
    assert isinstance(reply, Failed), reply
    return reply.message


def test_no_admin_writes_one_down_for_a_member_or_an_admin(house: House) -> None:
    take(house, REDIS)
    house.network()
    said = {
        refused(house, "member.add", network="home", name="n1"),
        refused(house, "member.adopt", network="earth.zerotier.net", member="server"),
    }

    assert said == {"cannot use this node key: it is a point of low order"}
    assert "admin key" in refused(house, "key.admin.add", name="alice")
    assert house.do("member.list", network="home") == []
    assert house.do("key.admin.list") == []


def test_no_member_mints_a_token_with_one(house: House) -> None:
    network = house.network()
    guest = house.enrol(network, house.token(roles=["mint"]))
    reply = house.ask(guest, Mint(house.number(), network, LOW, 1, 60_000))

    assert isinstance(reply, Refused)
    assert (reply.code, "token key" in reply.message) == (Code.BAD_REQUEST, True)


def test_no_member_is_imported_with_one(house: House) -> None:
    member = f"zt1:network:{ZT}000001:member:16fd2706d6:~"
    told = REDIS[member] | {"identity": f"16fd2706d6:zosnet:{LOW.hex()}"}
    reply = take(house, REDIS | {member: told})

    assert isinstance(reply, Failed)
    assert "point of low order" in f"{reply.message} {reply.hint}"
    assert house.do("network.list") == []
