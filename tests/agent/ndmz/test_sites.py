"""As whom a controller saw this site: kept over restarts, whatever the file has become."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from agent.ndmz.policy import MAX_SITES
from agent.ndmz.sites import load_sites, store_sites

SITES = (ip_address("198.51.100.10"), ip_address("2001:db8::1"))


def test_what_was_kept_is_there_again(tmp_path: Path) -> None:
    store_sites(SITES, tmp_path / "sites")

    assert load_sites(tmp_path / "sites") == SITES
    assert load_sites(tmp_path / "none") == ()


@pytest.mark.parametrize("text", ["", "{", '{"addresses": 1}', '{"addresses": [1]}', "[]"])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "sites").write_text(text)

    assert load_sites(tmp_path / "sites") == ()


def test_what_is_no_address_is_left_out_and_not_more_than_some_are_taken(tmp_path: Path) -> None:
    many = ", ".join(f'"192.0.2.{n}"' for n in range(20))
    (tmp_path / "sites").write_text(f'{{"addresses": ["x; drop", {many}]}}')

    assert load_sites(tmp_path / "sites") == tuple(
        ip_address(f"192.0.2.{n}") for n in range(20 - MAX_SITES, 20)
    )
