"""nftables by text, one transaction a call."""

import pytest

from netns import nft
from netns.nft import Nft, NftError
from runtime.failure import CannotError
from tests.netns.look import opened_spaces, shell

TABLE = "add table inet zosnet_t; add chain inet zosnet_t c { type filter hook input priority 0; }"


@pytest.mark.lab
async def test_rules_are_loaded_into_their_namespace_and_no_other() -> None:
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        tables = await Nft.open(spaces, "a")
        await tables.run(TABLE)
        listed = await tables.listing("table inet zosnet_t")
        await tables.close()

        assert "hook input" in listed
        assert "zosnet_t" in shell("ip netns exec a nft list tables")
        assert shell("nft list tables") == ""


@pytest.mark.lab
async def test_a_text_with_one_bad_rule_loads_nothing_of_itself() -> None:
    with opened_spaces() as spaces:
        tables = await Nft.open(spaces, "")
        await tables.run(TABLE)
        before = await tables.listing("ruleset")
        with pytest.raises(NftError) as caught:
            await tables.run("add rule inet zosnet_t c counter; add rule inet nowhere c counter")
        after = await tables.listing("ruleset")
        await tables.run("add rule inet zosnet_t c counter")
        control = await tables.listing("ruleset")
        await tables.close()

        assert str(caught.value).startswith("cannot load nftables rules: Error: ")
        assert "nowhere" in caught.value.said
        assert after == before != control


@pytest.mark.lab
async def test_a_check_says_what_is_wrong_and_loads_nothing() -> None:
    with opened_spaces() as spaces:
        tables = await Nft.open(spaces, "")
        await tables.run(TABLE, check=True)
        checked = await tables.tables()
        with pytest.raises(NftError):
            await tables.run("add nonsense", check=True)
        await tables.run(TABLE)
        loaded = await tables.tables()
        await tables.close()

        assert checked == frozenset()
        assert loaded == {("inet", "zosnet_t")}


@pytest.mark.lab
async def test_foreign_tables_are_listed_too() -> None:
    with opened_spaces() as spaces:
        shell("nft add table ip docker")
        tables = await Nft.open(spaces, "")

        assert await tables.tables() == {("ip", "docker")}
        await tables.close()


@pytest.mark.lab
async def test_a_link_may_be_named_by_its_index_s_name_inside() -> None:
    """`iif` is looked up where the call is made, so the call is made inside."""
    with opened_spaces() as spaces:
        await spaces.ensure("a", role="r")
        shell("ip -n a link add only-here type bridge")
        tables = await Nft.open(spaces, "a")
        await tables.run(f"{TABLE}; add rule inet zosnet_t c iif only-here drop")

        assert "only-here" in await tables.listing("ruleset")
        await tables.close()


@pytest.mark.lab
async def test_a_closed_one_says_so_and_closes_twice() -> None:
    with opened_spaces() as spaces:
        tables = await Nft.open(spaces, "")
        await tables.close()
        await tables.close()
        with pytest.raises(NftError, match="closed"):
            await tables.listing("tables")


def test_a_machine_without_the_library_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nft, "LIBRARY", "libnftables.so.nope")
    with pytest.raises(CannotError) as caught:
        nft._library.__wrapped__()

    assert str(caught.value) == (
        "cannot use nftables: there is no libnftables.so.nope on this machine"
    )
    assert caught.value.hint == "apt-get install nftables"
