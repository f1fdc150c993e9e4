"""docs/protocol.md says what the programs do."""

import re
import typing

import msgspec
import pytest

from controller.front import rates
from controller.members import minting
from protocol import messages as m
from protocol.joinstring import parse_join_string
from protocol.signed import MAX_PAYLOAD, Signed, open_signed, signer_id
from protocol.statements import check
from tests.protocol import documented

KINDS = {
    documented.tag(kind): kind
    for union in (m.TokenRequest, m.NodeRequest, m.Reply)
    for kind in typing.get_args(union) or (union,)
}
STATEMENTS = {
    type(one).__name__: type(one)
    for one in (documented.KEYSET, documented.MEMBERSHIP, documented.STATE)
}


def test_every_message_has_its_section_and_example() -> None:
    assert set(KINDS) | set(STATEMENTS) | {"join string"} == set(documented.written())


@pytest.mark.parametrize("name", documented.examples())
def test_the_example_is_what_the_programs_write(name: str) -> None:
    assert documented.examples()[name] == documented.written()[name]


@pytest.mark.parametrize("name", KINDS)
def test_the_example_is_read_as_what_it_was(name: str) -> None:
    frame = bytes.fromhex("".join(documented.written()[name].split()))
    sample = next(one for one in documented.MESSAGES if documented.tag(type(one)) == name)
    assert sample == msgspec.msgpack.decode(frame, type=KINDS[name])


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_example_of_a_statement_can_be_verified(name: str) -> None:
    parts = re.split(r"\w+:", documented.written()[name])[1:]
    signed = Signed(*(bytes.fromhex("".join(part.split())) for part in parts))
    signers = {signer_id(one.key): one.key for one in (documented.ROOT, documented.SIGNER)}
    statement = open_signed(signed, STATEMENTS[name], signers)
    check(statement)

    samples = (documented.KEYSET, documented.MEMBERSHIP, documented.STATE)
    assert statement in samples


def test_the_join_string_is_read_as_what_it_was() -> None:
    assert parse_join_string(documented.written()["join string"]) == documented.JOIN


FIELDS: dict[str, type[msgspec.Struct]] = (
    KINDS | STATEMENTS | {part.__name__: part for part in documented.PARTS}
)


@pytest.mark.parametrize("name", FIELDS)
def test_the_table_has_the_fields_in_their_order(name: str) -> None:
    assert list(FIELDS[name].__struct_fields__) == documented.tables()[name]


def test_the_codes_are_those_that_are_sent() -> None:
    codes = {value for name, value in vars(m.Code).items() if name.isupper()}
    after = documented.DOCUMENT.read_text().partition("| code | meaning |")[2]
    listed = [line.split("|")[1].strip() for line in after.partition("\n\n")[0].splitlines()[2:]]

    assert sorted(codes) == sorted(listed)


def test_the_bounds_are_those_that_are_held() -> None:
    text = documented.DOCUMENT.read_text().partition("## 9. Bounds")[2]
    costs = rates.COSTS
    said = (
        f"| a frame | {m.MAX_FRAME:,} bytes |".replace(",", " "),
        f"| a piece of a snapshot | {m.MAX_PIECE:,} bytes |".replace(",", " "),
        f"| a payload that is signed | {MAX_PAYLOAD:,} bytes |".replace(",", " "),
        (
            f"| requests of one node | {rates.RATE:.0f} a second, {rates.BURST:.0f} at once;"
            f" join costs {costs['join']:.0f}, hello and refresh {costs['hello']:.0f},"
            f" leave, mint and rotate {costs['leave']:.0f} |"
        ),
        f"| tokens of one node that can still be used | {minting.LIVE_MAX} |",
    )

    assert [line for line in said if line not in text] == []
    assert costs["hello"] == costs["refresh"]
    assert costs["leave"] == costs["mint"] == costs["rotate"]
