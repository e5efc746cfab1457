"""Strategies that begin with what is right and damage it."""

from collections.abc import Sequence

from hypothesis import strategies as st

SHARDS = st.binary(max_size=12) | st.sampled_from(
    [
        *(b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\n", b"\r", b"'", b'"', b"<", b">", b"&", b"]]>"),
        *(b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999", b"0x10", b"null", b"true"),
        *(b"{", b"}", b"[", b"]", b"[[[[[[[[", b"::", b"::1", b"0.0.0.0", b"/0", b"/33", b"%eth0"),
        *(b"../", b"<!DOCTYPE x>", b"&lt;", b"<!--", b"xmlns:a=''", b"urn:zthook:2", b"auto//0"),
        *(b"\xe2\x80\xae", b"\xd9\xa3", b" " * 300),
    ]
)
"""Pieces that parsers trip over."""


@st.composite
def bent(draw: st.DrawFn, right: Sequence[bytes]) -> bytes:
    """One of ``right`` with up to six cuts, doublings, swaps and foreign pieces in it."""
    content = draw(st.sampled_from(right))
    for _ in range(draw(st.integers(0, 6))):
        length = len(content)
        start = draw(st.integers(0, length))
        end = min(length, start + draw(st.integers(0, 40)))
        piece = content[start:end]
        new = draw(
            SHARDS | st.sampled_from([b"", piece * 2, piece[::-1], piece.swapcase(), piece * 60])
        )
        content = content[:start] + new + content[end:]
    return content


def anything(right: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Mostly damaged, sometimes right, sometimes nothing of the kind."""
    return bent(right) | bent(right) | bent(right) | st.binary(max_size=200)
