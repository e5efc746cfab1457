"""docs/commands.md is what the commands say of themselves, and every command line can be typed."""

import re

import click
import pytest

from tests.documents import ROOT
from tests.documents.command_lines import Found, mentioned, parse, typed
from tests.documents.commands_page import PAGE, every_command, page
from tests.documents.markdown import Page, documents, read

PAGES = [pytest.param(read(path), id=path.name) for path in documents()]
INSTALL = (ROOT / "install.sh").read_text(encoding="utf-8")


def test_the_page_of_commands_is_made_of_their_help() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.documents"


def test_every_command_has_its_section_in_the_order_of_the_help() -> None:
    sections = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == [context.command_path for _, context in every_command()]


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        f"{context.command_path} {option.opts[0]}"
        for command, context in every_command()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def _faults(lines: list[Found], *, whole: bool) -> list[str]:
    faults = []
    for number, line in lines:
        try:
            parse(line, whole=whole)
        except click.ClickException as error:
            faults.append(f"line {number}: {line}: {error.format_message()}")
    return faults


@pytest.mark.parametrize("document", PAGES)
def test_every_command_line_in_code_can_be_typed(document: Page) -> None:
    assert _faults(list(typed(document, "zthook")), whole=True) == []


@pytest.mark.parametrize("document", PAGES)
def test_every_command_in_the_text_is_one(document: Page) -> None:
    assert _faults(list(mentioned(document, "zthook")), whole=False) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("zthook asign web1 203.0.113.10", "No such command"),
        ("zthook assign web1 203.0.113.10 --prot tcp/80", "No such option"),
        ("zthook assign web1 203.0.113.300", "does not appear to be"),
        ("zthook edge pool list|drop", "No such command"),
        ("zthook edge host add home1 --hours 0", "is not in the range"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_command_line_that_is_none_is_found(line: str, complaint: str, *, whole: bool) -> None:
    assert complaint in "\n".join(_faults([(1, line)], whole=whole))


@pytest.mark.parametrize("line", ["zthook assign web1", "zthook edge host"])
def test_in_code_a_command_line_has_to_be_whole(line: str) -> None:
    assert _faults([(1, line)], whole=False) == []
    assert _faults([(1, line)], whole=True) != []


def _install_commands() -> dict[str, tuple[set[str], bool]]:
    """Command of install.sh → its options, and whether it takes further arguments."""
    usage = INSTALL.partition("<<'USAGE'")[2].partition("\nUSAGE\n")[0]
    rows = re.findall(r"^  (\w+)((?: \[[^\]]+\])*)  +\S", usage, re.MULTILINE)
    return {name: (set(re.findall(r"--[\w-]+", given)), "ARGS" in given) for name, given in rows}


def test_the_usage_of_install_sh_names_all_its_commands() -> None:
    carried_out = re.findall(r"^        (\w+)\) ", INSTALL.partition("\nmain() {")[2], re.MULTILINE)
    assert set(_install_commands()) == set(carried_out)


@pytest.mark.parametrize("document", PAGES)
def test_every_command_of_install_sh_is_one(document: Page) -> None:
    for number, line in [*typed(document, "./install.sh"), *mentioned(document, "./install.sh")]:
        command, *given = line.split()[1:]
        if command == "help":
            continue
        assert command in _install_commands(), f"line {number}: {line}"
        options, further = _install_commands()[command]
        if command == "host":
            given = [word for word in given if not word.startswith("zthook")]  # a token
        assert further or set(given) <= options, f"line {number}: {line}"


def test_the_documents_say_every_command_of_install_sh() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in documents())
    assert [name for name in _install_commands() if f"install.sh {name}" not in text] == []
