"""Whatever a document points at is there."""

import re

import pytest

from tests.documents import ROOT
from tests.documents.markdown import Page, documents, read

PAGES = [pytest.param(read(path), id=path.name) for path in documents()]
ROOTS = (ROOT, ROOT / "zthook")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: Page) -> None:
    lost = []
    for line, target in page.links:
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.path.parent / name).resolve() if name else page.path
        if not place.exists() or (anchor and anchor not in read(place).anchors):
            lost.append(f"line {line}: {target}")
    assert lost == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_ours_that_is_named_is_there(page: Page) -> None:
    """Inline code such as `kernel/edge/rules.py` or `install/`, below the root or zthook."""
    named = [
        (line, text)
        for line, text in page.spans
        if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|rng|sh|toml|service|socket))", text)
        and "/" in text
    ]
    lost = [
        f"line {line}: {text}"
        for line, text in named
        if not any((root / text).exists() for root in ROOTS)
    ]
    assert lost == []


def test_every_document_is_linked_from_the_readme_or_one_of_its_documents() -> None:
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in documents()
        for _, target in read(path).links
    }
    folders = [place for place in linked if place.is_dir()]
    lost = [
        path.name
        for path in documents()[1:]
        if path.resolve() not in linked and path.parent.resolve() not in folders
    ]
    assert lost == []
