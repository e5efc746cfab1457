"""The single changes that a fake kernel makes: each is named, and one can be told to fail."""

from collections.abc import Iterable, MutableSet
from typing import TypeVar

from zthook.errors import KernelError

T = TypeVar("T")


class Steps:
    """``steps`` names every change made, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._failing: tuple[int, Exception] | None = None

    def fail_at(self, step: int, error: Exception | None = None) -> None:
        """Let the ``step``-th change from now on (1 is the next) not happen, but raise.

        ``error`` is a KernelError where it is not given; give a Crash for the daemon's end.
        """
        self._failing = (len(self.steps) + step, error or KernelError("the fake kernel refuses"))

    def _step(self, name: str) -> None:
        if self._failing is not None and len(self.steps) + 1 >= self._failing[0]:
            (_, error), self._failing = self._failing, None
            raise error
        self.steps.append(name)

    def _drop(self, said: str, some: Iterable[T], held: MutableSet[T]) -> None:
        for one in some:
            self._step(f"{said} {one}")
            held.discard(one)
