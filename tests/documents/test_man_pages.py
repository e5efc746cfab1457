"""The manual pages are made of the documents as they are now, and man shows them in silence."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.documents.commands_page import every_command
from tests.documents.man_pages import EDGE, FOLDER, MADE, text
from tests.documents.roff import body, escaped

PAGES = [pytest.param(FOLDER / file, id=file) for file in MADE]


@cache
def shown(page: Path, locale: str = "C.UTF-8", columns: int = 200) -> str:
    """What a reader sees, on one line; nothing may be warned of."""
    done = subprocess.run(
        ["man", "--warnings", "--local-file", page],
        capture_output=True,
        check=True,
        text=True,
        timeout=30,
        env=os.environ | {"LC_ALL": locale, "MANWIDTH": str(columns), "MANROFFOPT": ""},
    )
    assert done.stderr == ""
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("file", MADE)
def test_the_page_is_that_of_the_document_now(file: str) -> None:
    written = (FOLDER / file).read_text(encoding="ascii")
    assert written == text(file), "write it anew: python -m tests.documents"


def test_there_is_no_other() -> None:
    assert {path.name for path in FOLDER.iterdir()} == MADE.keys()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_man_shows_it_without_a_warning(page: Path, locale: str) -> None:
    name = page.stem
    told = shown(page, locale, columns=80)
    assert told.startswith(f"{name.upper()}({page.suffix[1:]})")
    assert "SEE ALSO" in told


@pytest.mark.parametrize("page", PAGES)
def test_what_it_is_about_can_be_searched_for(page: Path) -> None:
    done = subprocess.run(["lexgrog", page], capture_output=True, check=True, text=True, timeout=30)
    assert f'"{page.stem} - ' in done.stdout


def test_every_command_and_option_is_in_its_page() -> None:
    for command, context in every_command():
        below_edge = f"{context.command_path} ".startswith(f"{EDGE} ")
        page = shown(FOLDER / ("zthook-edge.1" if below_edge else "zthook.1"))
        assert context.command_path in page
        options = [one.opts[0] for one in command.params if one.opts[0].startswith("--")]
        assert [one for one in options if one not in page] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_it_refers_to_is_there(page: Path) -> None:
    others = {f"{file.rpartition('.')[0]}({file[-1]})" for file in MADE}
    named = set(re.findall(r"\bzthook[\w.-]*\(\d\)", shown(page)))
    assert named <= others
    assert not re.search(r"\]\(|```", shown(page)), "what is left of Markdown"


@pytest.mark.parametrize(
    "awkward", [".SH no section", "'quoted'", "a\\b", "--option", "^~`", "\\fBbold", "zürich"]
)
def test_text_stands_for_itself(tmp_path: Path, awkward: str) -> None:
    page = tmp_path / "page.1"
    told = body(f"## Text\n\n`begin`\n{awkward.replace('`', chr(92) + '`')} end")
    page.write_text(f'.TH PAGE 1 "" "" ""\n{told}')
    wanted = awkward.replace("\\`", "`")
    assert f"begin {wanted} end" in shown(page), escaped(awkward)
