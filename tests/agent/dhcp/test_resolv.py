"""Name servers on disk: a lease's, and the config's."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from msgspec.structs import replace

from agent.dhcp.resolv import (
    HEADER,
    render_resolv_conf,
    resolv_conf_path,
    write_resolv_conf,
    write_servers,
)
from tests.agent.dhcp.test_lease import LEASE

WITH_DNS = replace(LEASE, dns=(IPv4Address("9.9.9.9"), IPv4Address("1.1.1.1")), domain="lan")


def test_servers_and_domain_are_written_for_everybody_to_read(tmp_path: Path) -> None:
    path = tmp_path / "netns" / "resolv.conf"
    written = write_resolv_conf(path, WITH_DNS, "zos")

    assert written
    assert path.stat().st_mode & 0o777 == 0o644
    assert path.read_text().splitlines()[1:] == [
        "search lan",
        "nameserver 9.9.9.9",
        "nameserver 1.1.1.1",
    ]


def test_what_stands_there_already_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    write_resolv_conf(path, WITH_DNS, "zos")
    before = path.stat().st_ino

    assert not write_resolv_conf(path, WITH_DNS, "zos")
    assert path.stat().st_ino == before


def test_a_lease_without_servers_leaves_those_of_before(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.0.0.1\n")

    assert not write_resolv_conf(path, LEASE, "zos")
    assert path.read_text() == "nameserver 10.0.0.1\n"


def test_a_symlink_belongs_to_a_resolver_and_stays(tmp_path: Path) -> None:
    target, path = tmp_path / "stub", tmp_path / "resolv.conf"
    target.write_text("nameserver 127.0.0.53\n")
    path.symlink_to(target)

    assert not write_resolv_conf(path, WITH_DNS, "zos")
    assert path.is_symlink()
    assert target.read_text() == "nameserver 127.0.0.53\n"


def test_each_namespace_has_its_own_file() -> None:
    assert resolv_conf_path("") == Path("/etc/resolv.conf")
    assert resolv_conf_path("ndmz") == Path("/etc/netns/ndmz/resolv.conf")


def test_servers_of_the_config_stand_there_with_their_source(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    servers = (IPv4Address("203.0.113.53"), IPv6Address("2001:db8:ffff::53"))

    assert write_servers(path, servers, "agent.yaml for zos")
    assert not write_servers(path, servers, "agent.yaml for zos")
    assert path.read_text() == (
        f"{HEADER} agent.yaml for zos.\nnameserver 203.0.113.53\nnameserver 2001:db8:ffff::53\n"
    )
    assert render_resolv_conf((), "the DHCP lease of zos") == f"{HEADER} the DHCP lease of zos.\n"
