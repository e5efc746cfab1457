"""Every example of XML and TOML is what zthook takes."""

import re
from pathlib import Path

import pytest

from tests.documents import DOCS, README
from tests.documents.markdown import Block, code, documents, read
from zthook.annotation import check
from zthook.annotation.reading import ATTRIBUTES
from zthook.cli.status import COLUMNS
from zthook.config.loading import parse_edge, parse_host

"""The heading under which annotations stand that are right, and refused in this version."""
PARSE = {"# edge.toml": parse_edge, "# host.toml": parse_host}


def _examples(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{path.name}:{block.line}")
        for path in documents()
        for block in read(path).blocks
        if block.language == language
    ]


XML, TOML = _examples("xml"), _examples("toml")


@pytest.mark.parametrize("block", XML)
def test_every_annotation_is_right(block: Block) -> None:
    publication, problems = check(block.text.encode())
    assert problems == ()
    assert publication is not None


@pytest.mark.parametrize("block", TOML)
def test_every_configuration_is_right(block: Block) -> None:
    """Its first line says which of the two files it is."""
    name = block.text.partition("\n")[0]
    PARSE[name](block.text, Path(name.removeprefix("# ")))


def test_there_are_examples_of_both() -> None:
    assert len(XML) >= 3
    assert len(TOML) >= 2


def test_every_block_with_an_annotation_says_that_it_is_xml() -> None:
    strays = [
        f"{path.name}:{block.line}"
        for path in documents()
        for block in read(path).blocks
        if "xmlns:zthook" in block.text and block.language not in {"xml", "xslt"}
    ]
    assert strays == []


def test_the_page_of_the_annotation_shows_every_attribute() -> None:
    page = read(DOCS / "annotation.md")
    shown = {name for one in page.blocks for name in re.findall(r"\s(\w+)=", one.text)}
    assert shown == {name for names in ATTRIBUTES.values() for name in names}
    rows = {code(row[0]) for row in page.rows("The annotation")}
    assert rows == set(ATTRIBUTES["address"])


TABLES = [
    pytest.param(line, block.text.splitlines()[number + 1 :], id=f"{path.name}:{block.line}")
    for path in (README, DOCS / "first-edge.md")
    for block in read(path).blocks
    for number, line in enumerate(block.text.splitlines())
    if line.startswith("GUEST ")
]


def test_there_is_a_table_in_each() -> None:
    assert len(TABLES) == 2


@pytest.mark.parametrize(("head", "rows"), TABLES)
def test_the_table_is_as_status_prints_it(head: str, rows: list[str]) -> None:
    assert tuple(re.split(r" {2,}", head)) == COLUMNS
    assert {len(re.split(r" {2,}", row)) for row in rows} == {len(COLUMNS)}
