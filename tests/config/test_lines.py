"""The scanner finds exactly the keys that tomllib finds, on the lines where they stand."""

import json
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from zthook.config.lines import KeyPath, Span, key_spans

EVERY_FORM = '''\
# a comment with [brackets] and "quotes"
top = 1
"quoted key" = "a # b = [c]"
dotted.inner = 1979-05-27 07:32:00
many = [  # opens
  "one", 'two',
  """three
  lines"""
  , 4.5, [ 5,
  6 ],
]
inline = { a = 1, "b.c" = [ 2, 3 ] }
ends = """"quoted" \\""" to the end"""""

[table]
key = \'\'\'
raw # [not] a comment
\'\'\'
[table.below]
x = +1e3
[[pool]]
name = "hk"
[[pool]]
name = "de"
[pool.extra]
deep = true
'''


def test_every_form_of_toml() -> None:
    spans = key_spans(EVERY_FORM)
    assert {path: (span.first, span.last) for path, span in spans.items() if path} == {
        ("top",): (2, 2),
        ("quoted key",): (3, 3),
        ("dotted",): (4, 4),
        ("dotted", "inner"): (4, 4),
        ("many",): (5, 11),
        ("many", 0): (6, 6),
        ("many", 1): (6, 6),
        ("many", 2): (7, 8),
        ("many", 3): (9, 9),
        ("many", 4): (9, 10),
        ("many", 4, 0): (9, 9),
        ("many", 4, 1): (10, 10),
        ("inline",): (12, 12),
        ("inline", "a"): (12, 12),
        ("inline", "b.c"): (12, 12),
        ("inline", "b.c", 0): (12, 12),
        ("inline", "b.c", 1): (12, 12),
        ("ends",): (13, 13),
        ("table",): (15, 20),
        ("table", "key"): (16, 18),
        ("table", "below"): (19, 20),
        ("table", "below", "x"): (20, 20),
        ("pool",): (21, 26),
        ("pool", 0): (21, 22),
        ("pool", 0, "name"): (22, 22),
        ("pool", 1): (23, 26),
        ("pool", 1, "name"): (24, 24),
        ("pool", 1, "extra"): (25, 26),
        ("pool", 1, "extra", "deep"): (26, 26),
    }


def paths_of(value: object, path: KeyPath = ()) -> set[KeyPath]:
    """Every path into what tomllib read."""
    found = {path}
    if isinstance(value, dict):
        found = found.union(*(paths_of(inner, (*path, key)) for key, inner in value.items()))
    if isinstance(value, list):
        found = found.union(*(paths_of(inner, (*path, at)) for at, inner in enumerate(value)))
    return found


KEYS = st.sampled_from(["a", "b-1", '"c d"', "'e.f'", "1", "g.h", '"\\u0041"'])
SCALARS = st.one_of(
    st.integers().map(str),
    st.floats(allow_nan=False).map(repr),
    st.sampled_from(
        ["true", "2001-02-03T04:05:06Z", "'lit#eral'", '"""\nx]\n"y"\n"""', "'''\n'''"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8).map(json.dumps),
)
SEPARATORS = st.sampled_from([", ", ",", ",\n  ", " , # note ]\n"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.tuples(st.lists(inner, max_size=3), SEPARATORS).map(
            lambda parts: "[" + parts[1].join(parts[0]) + "]"
        )
        | st.lists(inner, max_size=2).map(
            lambda values: "{" + ",".join(f"k{at} = {one}" for at, one in enumerate(values)) + "}"
        )
    ),
    max_leaves=6,
)
STATEMENTS = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    KEYS.map(lambda key: f"[{key}]"),
    KEYS.map(lambda key: f"[[ {key} ]] # array"),
    st.sampled_from(["", "# [comment]", "\t"]),
)


@given(st.lists(STATEMENTS, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_the_same_keys_as_tomllib(statements: list[str], newline: str) -> None:
    text = newline.join(part.replace("\n", newline) for part in statements)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # Statements are drawn freely: some name one key twice.
        return
    spans = key_spans(text)
    assert set(spans) == paths_of(values)
    total = text.count("\n") + 1
    assert all(1 <= span.first <= span.last <= total for span in spans.values())


@given(st.integers(0, 5), st.sampled_from(["1", '"""\n\n"""', "[\n1,\n2]"]))
def test_lines_are_counted_through_all_that_precedes(blank: int, before: str) -> None:
    text = "# x\n" * blank + f"first = {before}\nwanted = 1\n"
    line = text.split("\n").index("wanted = 1") + 1
    assert key_spans(text)["wanted",] == Span(line, line)
