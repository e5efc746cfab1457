"""``--check``: one line and an exit code for monitoring, as the Monitoring Plugins have it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import click

from zthook.cli.screen import plain
from zthook.errors import ZthookError

check_option = click.option(
    "--check",
    is_flag=True,
    help="One line for monitoring; exits 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
)
"""Gives the function a keyword ``check``."""

MOST_SAID = 5


class Severity(IntEnum):
    """The exit codes, which monitoring knows by these names."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and how bad that is."""

    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure to be drawn. ``unit`` is ``s``, ``c`` (it only rises) or none; above
    ``warning`` and ``critical`` is what makes the check say so, where a figure does.
    """

    name: str
    value: float
    unit: str = ""
    warning: float | None = None
    critical: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        bounds = (self.warning, self.critical, 0, self.most)
        words = ["" if one is None else f"{round(one, 3)}" for one in bounds]
        return f"{self.name}={round(self.value, 3)}{self.unit};{';'.join(words)}".rstrip(";")


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check came to; ``well`` is what is said where nothing was found."""

    well: str
    findings: Sequence[Finding] = ()
    measures: Sequence[Measure] = ()

    @property
    def severity(self) -> Severity:
        """The worst; what is known to be bad counts for more than what is not known."""
        found = {one.severity for one in self.findings}
        order = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN)
        return next((one for one in order if one in found), Severity.OK)

    def line(self, service: str) -> str:
        """``ZTHOOK WARNING - what was found | measures``: one line, the worst first."""
        worst = sorted(self.findings, key=lambda one: one.severity is not self.severity)
        said = [one.text for one in worst[:MOST_SAID]] or [self.well]
        if len(worst) > MOST_SAID:
            said.append(f"and {len(worst) - MOST_SAID} more")
        # A bar ends the text, a line ends the answer: both may be in what others said.
        text = plain(" ".join("; ".join(said).split())).replace("|", "/")
        figures = f" | {' '.join(map(str, self.measures))}" if self.measures else ""
        return f"{service} {self.severity.name} - {text}{figures}"


def unknown(text: str) -> Checked:
    """Nothing can be said, and why."""
    return Checked("", (Finding(Severity.UNKNOWN, text),))


def critical(text: str) -> Checked:
    """That alone is bad enough."""
    return Checked("", (Finding(Severity.CRITICAL, text),))


def tell(service: str, check: Callable[[], Checked], *, alone: bool) -> int:
    """Print the line and return the exit code. Whatever is raised on the way is UNKNOWN:
    exit codes of our own errors mean something else to monitoring.

    ``alone`` is false where another kind of output was asked for beside it.
    """
    try:
        checked = check() if alone else unknown("--check goes with neither --json nor --watch")
    except ZthookError as error:
        checked = unknown(error.message)
    except PermissionError as error:
        checked = unknown(f"{error.filename}: {error.strerror}: run it as root (sudo)")
    except Exception as error:
        checked = unknown(f"unexpected {type(error).__name__}: {error}")
    click.echo(checked.line(service))
    return int(checked.severity)
