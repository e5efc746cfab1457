"""Tokens: each way in which one can be wrong has its own message."""

import re
import string

import msgspec
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
    with pytest.raises(TokenError, match=r"zthook3.*'zthook1' and 'zthook2': upgrade"):
        read_token(LINE.replace("zthook1", "zthook3"))


NETWORKED = msgspec.structs.replace(
    TOKEN, network="b87d70f46b7a7468", moon="b87d70f46b", host="home1"
)


def test_with_a_network_it_is_of_a_kind_that_an_older_one_asks_an_upgrade_for() -> None:
    """An older zthook knows ``zthook1`` alone, and of what it does not know says just that."""
    line = write_token(NETWORKED)
    assert line.startswith("zthook2.")
    assert read_token(line) == NETWORKED
    for length in range(1, len(line)):
        with pytest.raises(TokenError, match=f"cut off after {length} characters"):
            read_token(line[:length])


def test_without_a_network_it_is_what_it_always_was() -> None:
    assert LINE == (
        "zthook1.eyJlZGdlIjoiMTllMWExMTEyNWNmZDZmNyIsImNhIjoiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJh"
        "YmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYmFiYWJhYiIsImFkZHJlc3MiOiIxOTIuMTY4LjE5My4yMjIi"
        "LCJwb3J0Ijo5NDQzLCJzZWNyZXQiOiJzM2NyZXQteHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4"
        "In0.d01c0365"
    )


@pytest.mark.parametrize("text", ["", "web1", "203.0.113.10", "ZTHOOK1.abc", "{}", "é" * 50])
def test_what_is_no_token_is_told_what_one_looks_like(text: str) -> None:
    with pytest.raises(TokenError, match=r"no token: one begins with 'zthook1' or 'zthook2' and"):
        read_token(text)


@pytest.mark.parametrize(
    "change",
    [
        {"address": "edge.example"},
        {"port": 0},
        {"port": 70000},
        {"ca": "no"},
        {"network": "b87d70f46b7a7468/x"},
        {"moon": "../../../status"},
        {"host": "\x1b[2Jhome1"},
    ],
)
def test_content_that_no_edge_writes(change: dict[str, object]) -> None:
    token = msgspec.structs.replace(TOKEN, **change)
    with pytest.raises(TokenError, match="holds what no edge writes"):
        read_token(write_token(token))


def test_the_secret_is_in_no_message() -> None:
    for text in (LINE[:-3], LINE[:60] + "!" + LINE[61:], LINE.replace("zthook1", "zthook9")):
        with pytest.raises(TokenError) as caught:
            read_token(text)
        assert "s3cret" not in caught.value.message + caught.value.hint
        assert text not in caught.value.message
