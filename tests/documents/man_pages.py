"""docs/man/: the manual pages, made of the documents."""

import re
from collections.abc import Callable

from tests.documents import DOCS, roff
from tests.documents.commands_page import MARK, PAGE

FOLDER = DOCS / "man"
EDGE = "zthook edge"

_SECTION = re.compile(r"^## (.+)\n\n`(.+)`\n\n((?s:.+?))(?=^## |\Z)", re.MULTILINE)
"""A command's: its name, how it is called, what it says."""


def _commands() -> list[tuple[str, str, str]]:
    return _SECTION.findall(PAGE.read_text(encoding="utf-8").partition(MARK)[2])


def _told(name: str, of: Callable[[str], bool], preface: str, rest: str) -> str:
    """A page of one command and all below it that are ``of`` it.

    ``preface`` is how they are alike, ``rest`` the sections after theirs.
    """
    commands = _commands()
    (about,) = (text for command, _, text in commands if command == name)
    others = [one for one in commands if one[0] != name and of(one[0])]
    synopsis = "\\\n".join(f"`{usage}`" for _, usage, _ in others)
    parts = (
        f"## Synopsis\n\n{synopsis}\n\n## Description\n\n{about}\n{preface}\n## Commands",
        *(f"### {usage}\n\n{text}" for _, usage, text in others),
        rest,
    )
    return "\n\n".join(parts)


def _zthook() -> str:
    top = PAGE.read_text(encoding="utf-8").partition(MARK)[0].removeprefix("# Commands\n")
    preface, parts, rest = top.replace("\n### ", "\n## ").partition("\n## ")
    return _told("zthook", lambda one: not one.startswith(f"{EDGE} "), preface, parts + rest)


def _zthook_edge() -> str:
    last = "## Exit status\n\nThose of zthook(1)."
    return _told(EDGE, lambda one: one.startswith(f"{EDGE} "), "", last)


def _document(name: str) -> str:
    text = (DOCS / name).read_text(encoding="utf-8")
    return f"## Description\n{text.partition(chr(10))[2]}"


MADE: dict[str, tuple[str, str, Callable[[], str]]] = {
    "zthook.1": (
        "floating public addresses for KVM guests at home",
        "docs/commands.md",
        _zthook,
    ),
    "zthook-edge.1": (
        "set up, run and look at the machine with the public addresses",
        "docs/commands.md",
        _zthook_edge,
    ),
    "zthook.toml.5": (
        "the configuration of zthook: edge.toml and host.toml",
        "docs/configuration.md",
        lambda: _document("configuration.md"),
    ),
    "zthook-annotation.7": (
        "how a guest's libvirt XML names its public address",
        "docs/annotation.md",
        lambda: _document("annotation.md"),
    ),
}
"""File → what it is about, what it is made of, and its text but for name and references."""


def text(file: str) -> str:
    """The manual page."""
    name, _, section = file.rpartition(".")
    about, source, told = MADE[file]
    references = [_reference(one) for one in MADE if one != file]
    return (
        roff.head(name, int(section), source)
        + f".SH NAME\n{roff.escaped(name)} \\- {roff.escaped(about)}\n"
        + roff.body(told())
        + f".SH SEE ALSO\n{', '.join(references)}, \\fBvirsh\\fR(1)\n"
    )


def _reference(file: str) -> str:
    name, _, section = file.rpartition(".")
    return f"\\fB{roff.escaped(name)}\\fR({section})"


def write() -> None:
    """All of them anew."""
    FOLDER.mkdir(exist_ok=True)
    for file in MADE:
        (FOLDER / file).write_text(text(file), encoding="ascii")
