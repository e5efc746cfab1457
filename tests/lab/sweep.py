"""Takes a lab away: what bears its prefix, and labs whose process is no more."""

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab.alone import alone
from tests.lab.commands import run
from tests.lab.namespace import NETNS, Namespace, end_processes_in

FOLDERS = Path("/tmp")
"""Where labs have their folders: not below /var or /run, which hosts have of their own."""

OURS = re.compile(r"(zh(\d+)\.\d+)-")


def prefix_of(process: int, number: int) -> str:
    """What names of namespaces and folders begin with, of a process's ``number``-th lab."""
    return f"zh{process}.{number}-"


def clear(prefix: str) -> None:
    """End all processes in the namespaces that begin with ``prefix``, remove those, and folders.

    Goes on past what fails, and raises an ExceptionGroup in the end.
    """
    names = sorted(path.name for path in NETNS.glob(f"{prefix}*"))
    steps: list[Callable[[], None]] = [lambda: end_processes_in([NETNS / name for name in names])]
    steps += [Namespace(name).remove for name in names]
    steps += [_removal(folder) for folder in FOLDERS.glob(f"{prefix}*")]
    attempt_all(f"what begins with {prefix} can not all be removed", steps)


def sweep() -> list[str]:
    """Clear labs whose process ended without doing so (SIGKILL); their prefixes.

    Of two who sweep at once the second waits, and finds what the first left.
    """
    with alone(FOLDERS):
        return _sweep()


def _sweep() -> list[str]:
    listed = run(["ip", "netns", "list"]).stdout.splitlines()
    listed += [folder.name for folder in FOLDERS.glob("zh*-*")]
    found = {match[1]: int(match[2]) for name in listed if (match := OURS.match(name))}
    dead = [prefix for prefix, process in found.items() if not Path(f"/proc/{process}").exists()]
    for prefix in dead:
        clear(prefix + "-")
    return dead


def attempt_all(what: str, steps: Sequence[Callable[[], object]]) -> None:
    """Take every step; ExceptionGroup ``what`` of those that failed."""
    errors: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup(what, errors)


def _removal(folder: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(folder)
