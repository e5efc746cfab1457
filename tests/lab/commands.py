"""Runs programs and waits for conditions; everything in the lab stands on these."""

import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02
"""Seconds between two looks at a condition."""


class LabError(Exception):
    """The lab can not do what it should: the message says what, and what a program said."""


class TooLate(LabError):
    """A condition did not come true before its deadline."""


def run(
    command: Sequence[object],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end, at most ``timeout`` seconds, and give what it printed.

    Raises LabError where it is absent, too slow, or (with ``check``) did not exit with 0.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=env,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"`{words[0]}` is not installed: see the packages in install.sh") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(words)}` did not end within {timeout} s") from error
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise LabError(f"`{' '.join(words)}` exited with {done.returncode}: {said}")
    return done


def wait_until(
    condition: Callable[[], T], deadline_seconds: float, what: str | Callable[[], str]
) -> T:
    """The first true value of ``condition``, looked at every 20 ms.

    Raises TooLate with ``what`` (a text, or a function that says what was seen last) when
    there is none within ``deadline_seconds``.
    """
    end = time.monotonic() + deadline_seconds
    while not (value := condition()):
        if time.monotonic() > end:
            text = what() if callable(what) else what
            raise TooLate(f"not within {deadline_seconds:g} s: {text}")
        time.sleep(PAUSE)
    return value
