"""Steps from what is there to what should be, on a little kernel of dicts."""

from dataclasses import replace
from ipaddress import IPv6Network

import pytest

from agent.ndmz.plan import (
    AddAddress,
    AddBridge,
    AddVeth,
    Blocked,
    DeleteLink,
    SetPort,
    SetUp,
    Step,
    Wanted,
    plan_links,
)
from netns.values import Address, Link

WANTED = Wanted(
    ula=IPv6Network("fd11:2233:4455::/64"),
    mac4="02:00:00:00:00:04",
    mac6="02:00:00:00:00:06",
    mac_inside="02:00:00:00:00:01",
)


class Kernel:
    """Does what the steps say, as the real one would."""

    def __init__(self, *, zos: bool = True) -> None:
        self.spaces: dict[str, dict[str, Link]] = {"": {}, "ndmz": {}}
        self.addresses: list[Address] = []
        self._index = 0
        if zos:
            self.add("", "zos", role="zos", up=True)

    def add(self, space: str, name: str, *, role: str, up: bool = False, mac: str = "") -> None:
        self._index += 1
        self.spaces[space][name] = Link(
            index=self._index,
            name=name,
            kind="veth",
            mac=mac,
            mtu=1500,
            up=up,
            carrier=up,
            master=None,
            alias=f"zosnet:{role}" if role else "",
            parent=None,
        )

    def change(self, space: str, name: str, **fields: object) -> None:
        self.spaces[space][name] = replace(self.spaces[space][name], **fields)  # type: ignore[arg-type]

    def plan(self, wanted: Wanted = WANTED) -> tuple[Step, ...]:
        return plan_links(
            wanted, host=self.spaces[""], ndmz=self.spaces["ndmz"], addresses=self.addresses
        )

    def settle(self, wanted: Wanted = WANTED) -> None:
        for step in self.plan(wanted):
            self.do(step)

    def do(self, step: Step) -> None:
        match step:
            case AddBridge():
                self.add("ndmz", step.name, role=step.role)
            case AddVeth():
                self.add("ndmz", step.name, role=step.role, mac=step.mac or "")
                self.add(step.peer_space, step.peer, role=step.peer_role)
            case SetPort():
                master = self.spaces[step.space][step.master].index
                self.change(step.space, step.name, master=master, up=True, isolated=step.isolated)
            case SetUp():
                self.change(step.space, step.name, up=True)
                if step.mac:
                    self.change(step.space, step.name, mac=step.mac)
            case AddAddress():
                self.addresses.append(held(self.spaces["ndmz"][step.name].index, step.interface))
            case DeleteLink():
                del self.spaces[step.space][step.name]
            case Blocked():
                pass


def held(link: int, interface: object) -> Address:
    return Address(
        link=link,
        interface=interface,  # type: ignore[arg-type]
        scope=0,
        tentative=False,
        dad_failed=False,
        deprecated=False,
        permanent=True,
        valid_s=None,
        preferred_s=None,
    )


@pytest.fixture
def built() -> Kernel:
    kernel = Kernel()
    kernel.settle()
    return kernel


def test_from_nothing_everything_is_built_and_then_nothing_is_left_to_do(built: Kernel) -> None:
    assert set(built.spaces["ndmz"]) == {"br-ndmz", "tonrs", "tonrs-br", "npub4", "npub6"}
    assert set(built.spaces[""]) == {"zos", "ndz4", "ndz6"}
    assert {str(a.interface) for a in built.addresses} == {
        "100.127.0.1/16",
        "fe80::1/64",
        "fd11:2233:4455::1/64",
    }
    assert built.plan() == ()


@pytest.mark.parametrize(
    ("space", "name", "fields"),
    [
        ("ndmz", "br-ndmz", {"up": False}),
        ("ndmz", "tonrs", {"up": False}),
        ("ndmz", "tonrs", {"mac": "02:00:00:00:00:99"}),
        ("ndmz", "tonrs-br", {"isolated": True}),
        ("ndmz", "tonrs-br", {"master": None}),
        ("ndmz", "npub4", {"up": False}),
        ("ndmz", "npub6", {"mac": "02:00:00:00:00:99"}),
        ("", "ndz4", {"master": None}),
        ("", "ndz6", {"up": False}),
    ],
)
def test_what_somebody_changed_is_put_right(
    built: Kernel, space: str, name: str, fields: dict[str, object]
) -> None:
    good = built.spaces[space][name]
    built.change(space, name, **fields)
    changed = built.spaces[space][name]
    built.settle()

    assert changed != good
    assert built.spaces[space][name] == good
    assert built.plan() == ()


def test_a_lost_address_comes_back(built: Kernel) -> None:
    lost = built.addresses.pop()

    assert built.plan() == (AddAddress("tonrs", lost.interface),)


def test_a_host_end_whose_other_half_is_gone_is_replaced(built: Kernel) -> None:
    del built.spaces["ndmz"]["npub4"]
    steps = built.plan()
    built.settle()

    assert steps[0] == DeleteLink("", "ndz4")
    assert "npub4" in built.spaces["ndmz"]
    assert built.plan() == ()


def test_a_link_left_unmarked_by_a_kill_is_made_again(built: Kernel) -> None:
    built.change("", "ndz4", alias="", group=0x7A6F73)
    steps = built.plan()

    assert DeleteLink("", "ndz4") in steps
    assert any(isinstance(step, AddVeth) and step.name == "npub4" for step in steps)


@pytest.mark.parametrize(("space", "name"), [("", "ndz4"), ("ndmz", "npub6"), ("ndmz", "br-ndmz")])
def test_a_foreign_link_is_named_and_left_and_the_rest_goes_on(space: str, name: str) -> None:
    kernel = Kernel()
    kernel.add(space, name, role="")
    foreign = kernel.spaces[space][name]
    kernel.settle()
    left = kernel.plan()

    assert kernel.spaces[space][name] == foreign
    assert [step.name for step in left if isinstance(step, Blocked)] == [name]
    assert "not ours" in next(step.reason for step in left if isinstance(step, Blocked))
    assert "tonrs" in kernel.spaces["ndmz"] or name == "br-ndmz"
    assert {"npub4", "npub6"} & set(kernel.spaces["ndmz"])


def test_without_zos_the_inside_is_built_and_the_ports_follow_when_it_comes() -> None:
    kernel = Kernel(zos=False)
    kernel.settle()
    waiting = kernel.plan()
    kernel.add("", "zos", role="zos", up=True)
    kernel.settle()

    assert {type(step) for step in waiting} == {Blocked}
    assert kernel.spaces[""]["ndz4"].master == kernel.spaces[""]["zos"].index
    assert kernel.plan() == ()


def test_with_ipv6_off_npub6_goes(built: Kernel) -> None:
    assert built.plan(replace(WANTED, ipv6=False)) == (DeleteLink("ndmz", "npub6"),)
