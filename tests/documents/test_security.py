"""docs/security.md names tests that are there, and every kind of attacker of the design."""

import re

import pytest

from tests.documents import DOCS, ROOT
from tests.documents.markdown import read
from tests.fuzz.targets import TARGETS

PAGE = (DOCS / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/.]+)::(\w+)`", PAGE)))


def test_there_are_some() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_named_test_is_there(file: str, name: str) -> None:
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_every_promise_is_attacked() -> None:
    rows = read(DOCS / "security.md").rows("Promises, and what attacks them")
    assert [row[0] for row in rows if "::" not in row[1]] == []


def test_every_fuzzed_reader_is_counted() -> None:
    rows = read(DOCS / "security.md").rows("Fuzzing")
    assert {row[0].strip("`") for row in rows} == set(TARGETS)
