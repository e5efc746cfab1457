"""What a check comes to."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Case = TypeVar("Case")
DEADLINE_SECONDS = 10.0


class Outcome(StrEnum):
    """``WARN`` works, or may; ``SKIPPED`` was not looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """``seen`` is what was seen, or why nothing was; ``next`` what to do, one line."""

    outcome: Outcome
    seen: str
    next: str = ""


def ok(seen: str) -> Finding:
    """As it should be."""
    return Finding(Outcome.OK, seen)


def warn(seen: str, next_step: str) -> Finding:
    """It works, or may, and somebody should look at it."""
    return Finding(Outcome.WARN, seen, next_step)


def fail(seen: str, next_step: str) -> Finding:
    """It does not work."""
    return Finding(Outcome.FAIL, seen, next_step)


def skipped(why: str, next_step: str = "") -> Finding:
    """It was not looked at."""
    return Finding(Outcome.SKIPPED, why, next_step)


def counted(number: int, word: str) -> str:
    """``1 host``, ``2 hosts``, ``1 address``, ``2 addresses``."""
    ending = "" if number == 1 else "es" if word.endswith("s") else "s"
    return f"{number} {word}{ending}"


@dataclass(frozen=True, slots=True)
class Check(Generic[Case]):
    """``look`` sees and judges, and changes nothing. It may raise ZthookError: it failed then.

    ``needs`` are checks before it without which it could only fail for their reason. ``late``
    is the next step where it takes longer than ``seconds``.
    """

    name: str
    look: Callable[[Case], Finding]
    needs: tuple[str, ...] = ()
    seconds: float = DEADLINE_SECONDS
    late: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """A finding under its check's name; ``next`` is what to do, and may be empty."""

    check: str
    outcome: Outcome
    seen: str
    next: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What all checks came to, in the packet's order.

    ``well``: none failed. ``verdict`` is one sentence where a guest was named, else empty.
    """

    checks: list[Told]
    well: bool
    verdict: str
