"""docs/commands.md: below its head it is made of the commands' own help."""

from collections.abc import Iterator

import click

from tests.documents import DOCS
from zthook.cli import root
from zthook.cli.commands import LazyGroup

PAGE = DOCS / "commands.md"
MARK = "<!-- From here on: python -m tests.documents, from what --help says. -->"
"""What stands above this line is written by hand."""

Command = tuple[click.Command, click.Context]


def every_command() -> Iterator[Command]:
    """Root first, then in the order of the help, each group before what is in it."""
    command = root()
    yield from _below(command, click.Context(command, info_name="zthook"))


def _below(command: click.Command, context: click.Context) -> Iterator[Command]:
    yield command, context
    if isinstance(command, LazyGroup):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _below(found, click.Context(found, info_name=name, parent=context))


def page() -> str:
    """The page as it should be: its head as it is, and the rest from the commands."""
    head, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{PAGE} has lost the line {MARK}"
    sections = (_section(*one) for one in every_command())
    return head + MARK + "\n\n" + "\n".join(sections)


def _section(command: click.Command, context: click.Context) -> str:
    options = _options(command, context)
    pieces = command.collect_usage_pieces(context)
    usage = [one for one in pieces if options or one != "[OPTIONS]"]
    parts = [
        f"## {context.command_path}",
        f"`{' '.join([context.command_path, *usage])}`",
        *_paragraphs(command.help or ""),
        options,
        _subcommands(command, context),
        "For example",
        "\n".join(f"    {line}" for line in getattr(command, "example", "").splitlines()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]


def _options(command: click.Command, context: click.Context) -> str:
    """A table of the options; --help, which all have, is in the page's head."""
    records = [
        one.get_help_record(context)
        for one in command.get_params(context)
        if isinstance(one, click.Option) and "--help" not in one.opts
    ]
    rows = [f"| `{_cell(names)}` | {_cell(told)} |" for names, told in filter(None, records)]
    return "\n".join(["| option | |", "| --- | --- |", *rows]) if rows else ""


def _subcommands(command: click.Command, context: click.Context) -> str:
    rows = [
        f"| [{context.command_path} {name}](#{context.command_path.replace(' ', '-')}-{name}) "
        f"| {_cell(told)} |"
        for name, (_, told) in sorted(getattr(command, "table", {}).items())
    ]
    return "\n".join(["| command | |", "| --- | --- |", *rows]) if rows else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
