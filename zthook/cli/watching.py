"""``--watch``: the same picture again and again, until Ctrl-C."""

import sys
import time
from collections.abc import Callable

import click

from zthook.cli.faults import complain
from zthook.errors import Temporary

watch_option = click.option("--watch", is_flag=True, help="Show it again every two seconds.")
"""Gives the function a keyword ``watch``."""

SECONDS = 2.0


def repeat(show: Callable[[], object], *, seconds: float = SECONDS) -> None:
    """Call ``show`` (which prints) for ever, on a cleared screen where there is one.

    What is temporary is told and tried again; everything else is raised.
    """
    while True:
        if sys.stdout.isatty():
            click.clear()
        try:
            show()
        except Temporary as error:
            complain(error.message, error.hint)
        sys.stdout.flush()
        time.sleep(seconds)
