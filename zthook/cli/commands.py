"""What every command shares: an example at the end of its help, ``--json``, lazy groups.

Importing one command's module can cost more than running it, so a group knows its commands
by a table of names, and imports the one that is called.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Table = Mapping[str, tuple[str, str]]
"""Command name → ("module:attribute", one line of help)."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
"""Gives the function a keyword ``as_json``."""


def _write_example(formatter: click.HelpFormatter, example: str) -> None:
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Command(click.Command):
    """A command whose help ends with ``example``: one command line, or several."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        _write_example(formatter, self.example)


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, called ``name``. Its docstring is the help text.

    The function returns None (exit 0) or an exit code, and raises ZthookError.
    """
    return click.command(name, cls=Command, example=example)


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def __init__(self, name: str, table: Table, *, example: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.table = table
        self.example = example

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(self.table)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, _, attribute = self.table[cmd_name][0].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            ctx.fail(_no_such_command(args[0], self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.table[name][1]) for name in sorted(self.table)])

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_example(formatter, self.example)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        # Beside the names only the group's own options: click's way imports each command.
        return [CompletionItem(name, help=self.table[name][1]) for name in names] + (
            click.Command.shell_complete(self, ctx, incomplete)
        )


def _no_such_command(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known)
    return f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")
