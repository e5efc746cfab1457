"""``zthook completion``: what the shell has to read to complete our commands."""

import click
from click.shell_completion import get_completion_class

from zthook.cli.commands import command

HOW = """\
Complete zthook's commands and options with the Tab key.

  bash  zthook completion bash > /etc/bash_completion.d/zthook
  zsh   zthook completion zsh  > /usr/local/share/zsh/site-functions/_zthook
  fish  zthook completion fish > ~/.config/fish/completions/zthook.fish

Then open a new shell. install.sh has done this for everybody, in all three."""


@command("completion", example="zthook completion bash > /etc/bash_completion.d/zthook")
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print what your shell has to read; without SHELL, where to put it."""
    found = get_completion_class(shell) if shell else None
    if found is None:
        click.echo(HOW)
        return
    root = context.find_root()
    click.echo(found(root.command, {}, "zthook", "_ZTHOOK_COMPLETE").source())
