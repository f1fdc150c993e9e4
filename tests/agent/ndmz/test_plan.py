"""Steps from what is there to what should be, on a little kernel of dicts."""

from ipaddress import IPv4Network, IPv6Network

import pytest
from msgspec.structs import replace

from agent.ndmz.pair import FAR, NEAR, Pair
from agent.ndmz.plan import (
    AddAddress,
    AddBridge,
    AddDefault,
    AddVeth,
    Blocked,
    DeleteLink,
    SetMtu,
    SetPort,
    SetUp,
    Step,
    Wanted,
    plan_links,
    uplink_mtu,
)
from netns.values import Address, Link, Route

WANTED = Wanted(
    ula=IPv6Network("fd11:2233:4455::/64"),
    mac4="02:00:00:00:00:04",
    mac4_pub="02:00:00:00:00:14",
    mac6="02:00:00:00:00:06",
    mac_inside="02:00:00:00:00:01",
)
SHARED = replace(WANTED, own4=False, pair=Pair(IPv4Network("192.0.0.6/31")))


class Kernel:
    """Does what the steps say, as the real one would."""

    def __init__(self, *, zos: bool = True) -> None:
        self.spaces: dict[str, dict[str, Link]] = {"": {}, "ndmz": {}}
        self.addresses: list[Address] = []
        self.routes: list[Route] = []
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
        self.spaces[space][name] = replace(self.spaces[space][name], **fields)

    def plan(self, wanted: Wanted = WANTED) -> tuple[Step, ...]:
        return plan_links(
            wanted,
            host=self.spaces[""],
            ndmz=self.spaces["ndmz"],
            addresses=self.addresses,
            host_addresses=self.addresses,
            routes=self.routes,
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
                index = self.spaces[step.space][step.name].index
                self.addresses.append(held(index, step.interface))
            case AddDefault():
                self.routes.append(default(self.spaces["ndmz"][step.name].index, step))
            case SetMtu():
                self.change(step.space, step.name, mtu=step.mtu)
            case DeleteLink():  # and with one end of a cable the other
                del self.spaces[step.space][step.name]
                if step.name == NEAR:
                    self.spaces[""].pop(FAR, None)
            case Blocked():
                pass


def default(link: int, step: AddDefault) -> Route:
    return Route(
        destination=None, family=4, via=step.via, link=link, metric=step.metric, protocol=4
    )


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
    """N1."""
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


def own_nic(kernel: Kernel, *, mtu: int = 1500) -> None:
    """A NIC in br-pub."""
    kernel.add("", "br-pub", role="br-pub", up=True)
    kernel.add("", "eth1", role="", up=True)
    kernel.change("", "eth1", master=kernel.spaces[""]["br-pub"].index, mtu=mtu)


def test_with_a_nic_of_its_own_the_uplinks_are_made_anew_on_br_pub(built: Kernel) -> None:
    own_nic(built, mtu=1400)
    before = dict(built.spaces["ndmz"])
    built.settle()
    built.settle()  # the size of what was made anew
    host, ndmz = built.spaces[""], built.spaces["ndmz"]

    assert {host[end].master for end in ("ndz4", "ndz6")} == {host["br-pub"].index}
    assert [ndmz[name].mac for name in ("npub4", "npub6")] == [WANTED.mac4_pub, WANTED.mac6]
    assert [ndmz[name].mtu for name in ("npub4", "npub6", "tonrs")] == [1400] * 3
    assert ndmz["npub4"].index != before["npub4"].index
    assert ndmz["br-ndmz"] == before["br-ndmz"]
    assert built.plan() == ()


def test_without_it_they_are_made_anew_on_zos(built: Kernel) -> None:
    own_nic(built)
    built.settle()
    built.change("", "eth1", master=None)
    before = built.spaces["ndmz"]["npub6"]
    built.settle()
    host = built.spaces[""]

    assert {host[end].master for end in ("ndz4", "ndz6")} == {host["zos"].index}
    assert built.spaces["ndmz"]["npub6"].index != before.index
    assert built.plan() == ()


def test_an_end_that_is_on_no_bridge_is_put_back_as_it_is(built: Kernel) -> None:
    own_nic(built)
    built.settle()
    built.change("", "ndz4", master=None)

    assert built.plan() == (SetPort("", "ndz4", "br-pub", isolated=False),)


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


def test_a_shared_ipv4_has_a_cable_to_the_host_in_place_of_the_one_to_the_bridge(
    built: Kernel,
) -> None:
    built.settle(SHARED)
    links = built.spaces

    assert "npub4" not in links["ndmz"]
    assert links["ndmz"][NEAR].up
    assert links[""][FAR].up
    assert links[""][FAR].master is None
    assert [str(route.via) for route in built.routes] == ["192.0.0.6"]
    assert built.plan(SHARED) == ()


@pytest.mark.parametrize(("space", "name"), [("", FAR), ("ndmz", NEAR)])
def test_a_shared_ipv4_that_somebody_damaged_is_put_right(space: str, name: str) -> None:
    kernel = Kernel()
    kernel.settle(SHARED)
    good = kernel.spaces[space][name]
    kernel.change(space, name, up=False)
    down = kernel.plan(SHARED)
    kernel.change(space, name, up=True)
    kernel.routes.clear()
    without_route = kernel.plan(SHARED)
    kernel.addresses = [a for a in kernel.addresses if a.link != good.index]
    without_address = kernel.plan(SHARED)
    del kernel.spaces[space][name]
    halved = kernel.plan(SHARED)
    kernel.settle(SHARED)

    assert down == (SetUp(space, name),)
    assert [type(step) for step in without_route] == [AddDefault]
    assert [type(step) for step in without_address] == [AddAddress, AddDefault]
    assert [type(step) for step in halved[:2]] == [DeleteLink, AddVeth]
    assert kernel.plan(SHARED) == ()


def test_the_way_back_to_a_lease_leaves_nothing_of_the_cable() -> None:
    kernel = Kernel()
    kernel.settle(SHARED)
    kernel.settle()

    assert NEAR not in kernel.spaces["ndmz"]
    assert FAR not in kernel.spaces[""]
    assert "npub4" in kernel.spaces["ndmz"]
    assert kernel.plan() == ()


def test_a_foreign_link_in_the_cables_way_matters_only_to_who_wants_the_cable() -> None:
    kernel = Kernel()
    kernel.add("", FAR, role="")
    kernel.settle(SHARED)
    blocked = kernel.plan(SHARED)

    assert [step.name for step in blocked if isinstance(step, Blocked)] == [FAR]
    assert FAR in kernel.spaces[""]
    assert not any(isinstance(step, Blocked) for step in kernel.plan())


def uplinked(built: Kernel, mtu: int) -> Kernel:
    """`eth0` with that MTU is the port of `zos`, which the kernel keeps as small as its smallest."""
    built.add("", "eth0", role="", up=True)
    built.change("", "eth0", mtu=mtu, master=built.spaces[""]["zos"].index)
    settle_sizes(built)
    return built


def settle_sizes(kernel: Kernel) -> None:
    for _ in range(3):
        host = kernel.spaces[""]
        sizes = [link.mtu for link in host.values() if link.master == host["zos"].index]
        kernel.change("", "zos", mtu=min(sizes))
        kernel.settle()


def sizes(kernel: Kernel) -> set[int]:
    return {kernel.spaces["ndmz"][name].mtu for name in ("npub4", "npub6", "tonrs", "tonrs-br")}


@pytest.mark.parametrize(("nic", "inside"), [(1500, 1500), (1400, 1400), (9000, 9000), (900, 1280)])
def test_packets_are_as_large_as_the_nic_takes_them(built: Kernel, nic: int, inside: int) -> None:
    kernel = uplinked(built, nic)

    assert sizes(kernel) == {inside}
    assert kernel.spaces[""]["zos"].mtu == nic if nic >= 1280 else True
    assert kernel.plan() == ()


def test_a_nic_that_grows_again_is_followed(built: Kernel) -> None:
    kernel = uplinked(built, 1400)
    kernel.change("", "eth0", mtu=1500)
    settle_sizes(kernel)

    assert sizes(kernel) == {1500}
    assert kernel.spaces[""]["zos"].mtu == 1500


def test_a_lease_may_make_them_smaller_than_the_nic(built: Kernel) -> None:
    kernel = uplinked(built, 1500)
    kernel.change("", "zos", mtu=1380)  # as a lease does (option 26)
    kernel.settle()

    assert sizes(kernel) == {1380}
    assert kernel.spaces[""]["ndz4"].mtu == 1500


def test_without_zos_the_usual_size_is_taken_and_nothing_is_set() -> None:
    kernel = Kernel(zos=False)
    steps = kernel.plan()

    assert uplink_mtu(kernel.spaces[""]) == 1500
    assert not any(isinstance(step, SetMtu) for step in steps)
