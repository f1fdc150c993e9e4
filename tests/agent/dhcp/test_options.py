"""Tagged fields: joined, split, overloaded, and never read past their end."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.dhcp.options import BadMessageError, Options, parse_options, render_options


@given(st.dictionaries(st.integers(1, 254).filter(lambda n: n != 52), st.binary(max_size=600)))
def test_what_is_rendered_parses_and_long_values_are_split(values: dict[int, bytes]) -> None:
    parsed = parse_options(render_options(values), file=b"", sname=b"")

    assert {number: parsed.get(number) for number in values} == values


def test_padding_between_options_is_skipped() -> None:
    parsed = parse_options(b"\0\0\x01\x01a\0\xff\x02", file=b"", sname=b"")

    assert (parsed.get(1), parsed.get(2)) == (b"a", None)


@given(st.binary(max_size=80), st.binary(max_size=20), st.binary(max_size=20))
def test_noise_parses_or_is_a_bad_message(area: bytes, file: bytes, sname: bytes) -> None:
    try:
        parse_options(area, file=file, sname=sname)
    except BadMessageError:
        return


def test_a_value_of_the_wrong_length_is_refused_and_an_absent_one_is_none() -> None:
    options = Options({1: b"abc", 2: b""})

    assert options.fixed(9, 4) is None
    assert options.addresses(9) == ()
    for read in (options.address, options.addresses):
        with pytest.raises(BadMessageError):
            read(1)
        with pytest.raises(BadMessageError):
            read(2)


@given(
    st.lists(st.tuples(st.integers(0, 32), st.ip_addresses(v=4), st.ip_addresses(v=4)), max_size=32)
)
def test_a_list_of_routes_is_read_as_it_was_written(
    written: list[tuple[int, IPv4Address, IPv4Address]],
) -> None:
    value, expected = b"", []
    for bits, start, gateway in written:
        network = IPv4Network((start, bits), strict=False)
        value += bytes((bits,)) + start.packed[: (bits + 7) // 8] + gateway.packed
        expected.append((network, gateway))

    assert list(Options({121: value}).routes(121)) == expected


def test_more_routes_than_anybody_needs_are_refused() -> None:
    with pytest.raises(BadMessageError):
        Options({121: bytes(5 * 33)}).routes(121)
