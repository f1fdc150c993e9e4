"""agent.yaml: defaults, and what a person gets wrong."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.config import AgentConfig, Ndmz, load, split_target
from runtime.config import ConfigError, parse_config

PATH = Path("/etc/zosnet/agent.yaml")


def parse(text: str) -> AgentConfig:
    return parse_config(text.encode(), AgentConfig, PATH)


def test_without_a_file_everything_has_a_default(tmp_path: Path) -> None:
    config = load(tmp_path / "agent.yaml")

    assert config == AgentConfig()
    assert config.nics.kinds == ("physical",)
    assert config.supervisor == "zinit"


def test_a_whole_config_is_read() -> None:
    config = parse("""
nics: {kinds: [physical, veth], include: ["eth*"], exclude: [eth9], pin: eth1}
probe: {grace: 1.5, carrier: 3, dhcp: 5}
check: ["tcp://198.51.100.1:443", "tcp://[2001:db8::1]:80", "tcp://hub.example:80"]
ndmz: {ipv4: own, ipv6: "off", dns: [192.0.2.53, "2001:db8::53"], uplink: zos, exceptions: [10.1.0.0/16]}
host: {bridge_nf: keep}
clock: step
supervisor: none
controllers: ["tcp://192.0.2.1:7000"]
log: {level: debug}
""")

    assert config.nics.pin == "eth1"
    assert config.probe.carrier == 3
    assert config.ndmz.servers == (ip_address("192.0.2.53"), ip_address("2001:db8::53"))
    assert config.host.bridge_nf == "keep"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nics: {pins: eth0}", "nics: unknown key 'pins'"),
        ("nics: {kinds: []}", "nics: kinds must name"),
        ("nics: {pin: 'eth 0'}", "nics: 'eth 0' is no name of a NIC"),
        ("nics: {include: ['']}", "a name pattern must not be empty"),
        ("probe: {grace: -1}", "probe: grace must be 0 to 60 seconds"),
        ("probe: {carrier: 1000}", "probe: carrier must be"),
        ("probe: {dhcp: 0}", "probe: dhcp must be"),
        ("check: ['http://a:80']", "'http://a:80' is not of the form tcp://host:port"),
        ("controllers: ['tcp://a:0']", "'tcp://a:0' is not of the form"),
        ("ndmz: {dns: [router]}", "ndmz: dns: 'router' is no address"),
        ("ndmz: {exceptions: [10.0.0.1/8]}", "exceptions: '10.0.0.1/8' is no prefix"),
        ("ndmz: {ipv6: off}", "ndmz.ipv6: YAML reads this as False"),
        ("ndmz: {uplink: ''}", "is neither auto, zos nor a NIC"),
        ("ndmz: {ipv4: mine}", "ipv4: 'mine' is not one of auto, own, shared"),
        ("ndmz: {delegation: yes}", "ndmz.delegation: YAML reads this as True"),
        ("supervisor: runit", "supervisor: 'runit' is not one of zinit, systemd, none"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_reason(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)

    assert said in caught.value.message


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("tcp://192.0.2.1:80", ("192.0.2.1", 80)),
        ("tcp://[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("tcp://2001:db8::1:443", None),
        ("tcp://a:65536", None),
        ("tcp://a", None),
    ],
)
def test_a_target_is_a_host_and_a_port(target: str, parts: tuple[str, int] | None) -> None:
    assert split_target(target) == parts


def test_dns_by_the_gateway_names_no_servers() -> None:
    assert Ndmz(dns="gateway").servers == ()
