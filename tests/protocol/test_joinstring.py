"""The join string survives what people do to text, and says what they did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.joinstring import (
    NO_TOKEN,
    JoinString,
    JoinStringError,
    parse_join_string,
    render_join_string,
)
from protocol.keys import CurvePublic, CurveSecret, VerifyKey

JOIN = JoinString(
    root=VerifyKey(b"r" * 32),
    token=CurveSecret(b"t" * 32),
    controllers=(
        ("tcp://203.0.113.10:9930", CurvePublic(b"c" * 32)),
        ("tcp://[2001:db8::10]:9930", CurvePublic(b"c" * 32)),
    ),
)


def test_what_was_rendered_is_parsed() -> None:
    assert parse_join_string(render_join_string(JOIN)) == JOIN


def test_blanks_newlines_and_capitals_do_not_matter() -> None:
    text = render_join_string(JOIN).upper()

    assert parse_join_string(f"  {text[:40]}\n{text[40:]} \n") == JOIN


@given(st.integers(1, 400))
def test_a_paste_that_lost_its_end_is_called_cut_off(lost: int) -> None:
    text = render_join_string(JOIN)
    kept = text[: max(len("zosnet1") + 8, len(text) - lost)]

    with pytest.raises(JoinStringError, match="cut off"):
        parse_join_string(kept)


def test_one_wrong_character_is_called_damaged() -> None:
    text = render_join_string(JOIN)
    for place in range(20, len(text), 7):
        wrong = text[:place] + ("a" if text[place] != "a" else "b") + text[place + 1 :]
        with pytest.raises(JoinStringError, match="damaged"):
            parse_join_string(wrong)


def test_other_text_is_told_what_to_do() -> None:
    with pytest.raises(JoinStringError) as caught:
        parse_join_string("hello")

    assert caught.value.hint == "make one with: ncadm token create NETWORK"


def test_the_token_is_not_in_the_repr() -> None:
    assert "t" * 8 not in repr(JOIN)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz234567", max_size=300))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    with pytest.raises(JoinStringError):
        parse_join_string("zosnet1" + text)


def test_one_without_a_token_holds_no_secret_and_is_parsed_as_such() -> None:
    without = replace(JOIN, token=NO_TOKEN)
    parsed = parse_join_string(render_join_string(without))

    assert parsed == without
    assert not parsed.has_token
    assert JOIN.has_token


def test_a_byte_that_is_no_text_makes_it_damaged() -> None:
    with pytest.raises(JoinStringError, match="do not belong"):
        parse_join_string(render_join_string(JOIN)[:60] + "\ufffd" * 3)
