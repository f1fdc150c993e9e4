"""Kernel settings of a namespace."""

import pytest

from netns.sysctl import read_sysctl, set_sysctls
from runtime.failure import CannotError, Exit
from tests.netns.look import opened_spaces, shell

pytestmark = pytest.mark.lab

FORWARD = "net/ipv4/ip_forward"


async def test_a_setting_is_written_in_its_namespace_only_and_only_when_it_differs() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        first = await set_sysctls(spaces, "a", {FORWARD: "1", "net/ipv6/conf/lo/accept_ra": "2"})
        again = await set_sysctls(spaces, "a", {FORWARD: "1"})

        assert first == [FORWARD, "net/ipv6/conf/lo/accept_ra"]
        assert again == []
        assert await read_sysctl(spaces, "a", FORWARD) == "1"
        assert await read_sysctl(spaces, "", FORWARD) == "0"
        assert shell("ip netns exec a sysctl -n net.ipv4.ip_forward") == "1"


async def test_an_interface_with_a_dot_in_its_name_has_settings_too() -> None:
    with opened_spaces() as spaces:
        shell("ip link add eth0.7 type bridge")
        key = "net/ipv4/conf/eth0.7/rp_filter"
        await set_sysctls(spaces, "", {key: "2"})

        assert await read_sysctl(spaces, "", key) == "2"


async def test_a_list_of_numbers_is_compared_whatever_is_between_them() -> None:
    with opened_spaces() as spaces:
        changed = await set_sysctls(spaces, "", {"net/ipv4/ip_local_port_range": "20000 30000"})
        again = await set_sysctls(spaces, "", {"net/ipv4/ip_local_port_range": "20000 30000"})

        assert (len(changed), again) == (1, [])


async def test_what_cannot_be_set_is_named() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        with pytest.raises(CannotError) as missing:
            await set_sysctls(spaces, "a", {"net/ipv4/nope": "1"})
        with pytest.raises(CannotError) as refused:
            await set_sysctls(spaces, "", {FORWARD: "many"})

        assert str(missing.value) == (
            "cannot set net/ipv4/nope to 1 in namespace a: this kernel has no such key"
        )
        assert str(refused.value) == f"cannot set {FORWARD} to many: Invalid argument"


async def test_a_missing_key_may_be_passed_over() -> None:
    with opened_spaces() as spaces:
        wanted = {"net/bridge/nope": "0", FORWARD: "1"}

        assert await set_sysctls(spaces, "", wanted, skip_missing=True) == [FORWARD]
        assert await read_sysctl(spaces, "", "net/bridge/nope") is None


@pytest.mark.parametrize("key", ["/etc/passwd", "net/../../../etc/passwd", "", "net//ipv4"])
async def test_a_key_never_leads_out_of_proc_sys(key: str) -> None:
    with opened_spaces() as spaces:
        with pytest.raises(CannotError, match="not a path under") as caught:
            await read_sysctl(spaces, "", key)

        assert caught.value.code == Exit.USAGE
