"""What a long call lets others do meanwhile."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Turns(Protocol):
    """For the thread that decides, in a call that takes long, outside of a transaction.

    Brief calls (``Worker.run_brief``) that wait have their turns in these: nothing else happens
    in between.
    """

    def aside(self, act: Callable[[], T]) -> T:
        """What ``act`` returns or raises, called in another thread; brief calls go on meanwhile.

        So it may touch nothing that these touch.
        """
        ...

    def pause(self) -> None:
        """Let those go on that wait now."""
        ...


class Alone:
    """Where nobody else calls."""

    def aside(self, act: Callable[[], T]) -> T:
        return act()

    def pause(self) -> None:
        pass
