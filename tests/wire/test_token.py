"""Tokens: each way in which one can be wrong has its own message."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zthook.errors import TokenError
from zthook.wire.token import Token, read_token, write_token

TOKEN = Token(
    edge="19e1a11125cfd6f7",
    ca="ab" * 32,
    address="192.168.193.222",
    port=9443,
    secret="s3cret-" + "x" * 36,
)
LINE = write_token(TOKEN)


def test_reads_back_what_was_written() -> None:
    assert read_token(LINE) == TOKEN
    assert re.fullmatch(r"zthook1\.[A-Za-z0-9_-]+\.[0-9a-f]{8}", LINE)


def test_line_breaks_and_blanks_of_a_copy_are_ignored() -> None:
    assert read_token(f"  {LINE[:40]}\n   {LINE[40:90]}\r\n{LINE[90:]} ") == TOKEN


def test_each_cut_off_token_is_named_as_that() -> None:
    for length in range(1, len(LINE)):
        with pytest.raises(TokenError, match=f"cut off after {length} characters"):
            read_token(LINE[:length])


@given(
    st.integers(len("zthook1."), len(LINE) - 1),
    st.sampled_from(string.ascii_letters + string.digits + "-_é"),
)
def test_a_mistyped_character_is_named_as_that(place: int, other: str) -> None:
    mistyped = LINE[:place] + other + LINE[place + 1 :]
    if mistyped.lower() == LINE.lower() and read_any(mistyped):
        return
    with pytest.raises(TokenError, match=r"mistyped|cut off"):
        read_token(mistyped)


def read_any(text: str) -> bool:
    """The sum's own hex digits may be in either case."""
    return text[: LINE.rindex(".")] == LINE[: LINE.rindex(".")]


def test_a_newer_token_asks_for_an_upgrade() -> None:
    with pytest.raises(TokenError, match=r"zthook2.*upgrade"):
        read_token(LINE.replace("zthook1", "zthook2"))


@pytest.mark.parametrize("text", ["", "web1", "203.0.113.10", "ZTHOOK1.abc", "{}", "é" * 50])
def test_what_is_no_token_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(TokenError, match=r"no token: one begins with 'zthook1'"):
        read_token(text)


@pytest.mark.parametrize(
    "change",
    [{"address": "edge.example"}, {"port": 0}, {"port": 70000}, {"ca": "no"}],
)
def test_content_that_no_edge_writes(change: dict[str, object]) -> None:
    import msgspec

    token = msgspec.structs.replace(TOKEN, **change)
    with pytest.raises(TokenError, match="holds what no edge writes"):
        read_token(write_token(token))


def test_the_secret_is_in_no_message() -> None:
    for text in (LINE[:-3], LINE[:60] + "!" + LINE[61:], LINE.replace("zthook1", "zthook9")):
        with pytest.raises(TokenError) as caught:
            read_token(text)
        assert "s3cret" not in caught.value.message + caught.value.hint
        assert text not in caught.value.message
