"""What a user sees when a command fails: ``error:`` what happened, ``hint:`` what to do next."""

import os
from collections.abc import Sequence

import click

from zthook.errors import ZthookError

INTERRUPTED = 130
OUR_FAULT = 70


def told(message: str, hint: str = "") -> list[str]:
    """An error and its hint as lines; coloured, if they are for a terminal."""
    lines = [f"{click.style('error:', fg='red', bold=True)} {message}"]
    if hint:
        lines.append(f"{click.style('hint:', fg='cyan')} {hint}")
    return [click.unstyle(line) for line in lines] if os.environ.get("NO_COLOR") else lines


def complain(message: str, hint: str = "") -> None:
    """Print an error, and the hint where there is one, on stderr."""
    for line in told(message, hint):
        click.echo(line, err=True)


def _usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    if context is None:
        complain(error.format_message())
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
    else:
        click.echo(context.get_usage(), err=True)
        complain(
            error.format_message(),
            f"`{context.command_path} --help` shows what it takes, with an example",
        )
    return error.exit_code


def _system(error: OSError) -> int:
    named = f"{error.filename}: " if error.filename else ""
    root = isinstance(error, PermissionError) and os.geteuid() != 0
    complain(f"{named}{error.strerror or error}", "run it as root (sudo)" if root else "")
    return 1


def _unexpected(error: Exception) -> int:
    if os.environ.get("ZTHOOK_DEBUG"):
        raise error
    complain(
        f"unexpected {type(error).__name__}: {error}",
        "this is a fault in zthook; run it again with ZTHOOK_DEBUG=1 to see where",
    )
    return OUR_FAULT


def guarded(command: click.Command, arguments: Sequence[str] | None) -> int:
    """Run ``command`` and return the exit code; whatever it raised has been told.

    With ZTHOOK_DEBUG in the environment an unexpected exception is raised instead.
    """
    try:
        result = command.main(
            arguments and list(arguments), prog_name="zthook", standalone_mode=False
        )
    except click.ClickException as error:
        return _usage(error)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ZthookError as error:
        complain(error.message, error.hint)
        return error.exit_code
    except OSError as error:
        return _system(error)
    except Exception as error:
        return _unexpected(error)
    return result if isinstance(result, int) else 0
