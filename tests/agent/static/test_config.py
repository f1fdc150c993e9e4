"""`static` of agent.yaml: what a person may give a NIC, and what is refused."""

from ipaddress import ip_address, ip_interface

import pytest

from agent.config import AgentConfig
from agent.static.config import Fixed, StaticNic, static_port
from netns.values import Link
from runtime.config import ConfigError
from tests.agent.test_config import parse

BOTH = """
static:
  eth0:
    addresses: [198.51.100.130/28, "2001:db8:a:1::130/64"]
    gateways: [198.51.100.129, "fe80::1"]
    dns: [203.0.113.53]
    ndmz: [198.51.100.131/28]
"""


def refused(nic: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(f"static: {{eth0: {nic}}}")
    return caught.value.message


def test_a_nic_has_addresses_gateways_and_servers_and_ndmz_one_beside_it() -> None:
    nic = parse(BOTH).static["eth0"]
    servers = (ip_address("203.0.113.53"),)
    four, six = ip_address("198.51.100.129"), ip_address("fe80::1")
    own4, own6 = ip_interface("198.51.100.130/28"), ip_interface("2001:db8:a:1::130/64")

    assert nic.uplink == Fixed((own4, own6), (four, six), servers)
    assert (nic.uplink.address(6), nic.uplink.gateway(4)) == (own6, four)
    assert nic.behind(4) == Fixed((ip_interface("198.51.100.131/28"),), (four,), servers)
    assert nic.behind(6) is None


def test_without_static_addresses_nothing_changes() -> None:
    assert AgentConfig().static == {}


@pytest.mark.parametrize(
    ("nic", "said"),
    [
        ("{}", "the key 'addresses' is missing"),
        ("{addresses: [], gateways: [192.0.2.1]}", "addresses must name at least one"),
        ("{addresses: [192.0.2.2/24], gateways: []}", "gateways must name at least one"),
        ("{addresses: [192.0.2.2], gateways: [192.0.2.1]}", "'192.0.2.2' has no length"),
        ("{addresses: [192.0.2.300/24], gateways: [192.0.2.1]}", "addresses: '192.0.2.300/24'"),
        ("{addresses: [192.0.2.0/24], gateways: [192.0.2.1]}", "is the network itself"),
        ("{addresses: [192.0.2.255/24], gateways: [192.0.2.1]}", "is the broadcast address"),
        ("{addresses: [127.0.0.2/8], gateways: [127.0.0.1]}", "is no address for a node"),
        ("{addresses: ['fe80::2/64'], gateways: ['fe80::1']}", "is no address for a node"),
        ("{addresses: [100.127.0.9/24], gateways: [100.127.0.1]}", "which is behind ndmz"),
        ("{addresses: [192.0.2.2/24], gateways: [router]}", "gateways: 'router'"),
        ("{addresses: [192.0.2.2/24], gateways: [198.51.100.1]}", "is in no network of addresses"),
        ("{addresses: [192.0.2.2/24], gateways: ['fe80::1']}", "has no address of its family"),
        ("{addresses: [192.0.2.2/24], gateways: [192.0.2.2]}", "192.0.2.2 stands there twice"),
        (
            "{addresses: [192.0.2.2/24], gateways: [192.0.2.1, 192.0.2.3]}",
            "one for each family is enough",
        ),
        ("{addresses: [192.0.2.2/24], gateways: [192.0.2.1], dns: [x]}", "dns: 'x'"),
        (
            "{addresses: [192.0.2.2/24], gateways: [192.0.2.1], ndmz: [192.0.2.3/25]}",
            "ndmz: 192.0.2.3/25 is in no network of addresses",
        ),
        (
            "{addresses: [192.0.2.2/24], gateways: [192.0.2.1], ndmz: [192.0.2.2/24]}",
            "192.0.2.2 stands there twice",
        ),
        ("{address: 192.0.2.2/24}", "unknown key 'address'"),
    ],
)
def test_a_mistake_is_refused_with_its_reason(nic: str, said: str) -> None:
    assert said in refused(nic)


def test_two_nics_have_no_address_in_common() -> None:
    nic = "{addresses: [192.0.2.2/24], gateways: [192.0.2.1]}"
    with pytest.raises(ConfigError) as caught:
        parse(f"static: {{eth0: {nic}, eth1: {nic}}}")
    with pytest.raises(ConfigError) as named:
        parse(f"static: {{'a b': {nic}}}")

    assert "192.0.2.2 is both eth0's and eth1's" in caught.value.message
    assert "'a b' is no name of a NIC" in named.value.message


def test_two_nics_may_have_the_same_gateway() -> None:
    nics = [f"eth{n}: {{addresses: [192.0.2.{n}/24], gateways: [192.0.2.1]}}" for n in (2, 3)]

    assert set(parse(f"static: {{{', '.join(nics)}}}").static) == {"eth2", "eth3"}


def link(index: int, name: str, master: int | None = None) -> Link:
    return Link(
        index=index,
        name=name,
        kind=None,
        mac="",
        mtu=1500,
        up=True,
        carrier=True,
        master=master,
        alias="",
        parent=None,
    )


def test_a_bridge_has_what_stands_there_of_its_port() -> None:
    nic = StaticNic(addresses=("192.0.2.2/24",), gateways=("192.0.2.1",))
    links = [link(1, "zos"), link(2, "eth0", 1), link(3, "eth1", 5), link(4, "ndz4", 1)]

    assert static_port(links, "zos", {"eth0": nic}) == nic
    assert static_port(links, "eth0", {"eth0": nic}) == nic
    assert static_port(links, "zos", {"eth1": nic}) is None
    assert static_port([], "zos", {"eth0": nic}) is None
