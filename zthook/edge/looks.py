"""Which of two hosts looked at its guests later, told without a clock: by what each had heard."""

from collections.abc import Callable

Older = Callable[[str], bool]
"""Whether what is said now may come from before what this host said last."""


class Looks:
    """A moment is a number that rises whenever a host says where guests run. Every answer has
    the present one; a host says which it knew when it began to look. One that knew what we
    had from another host then looked later than that one. In memory: after a start nobody has
    heard anything, and each host is asked once more than needed.
    """

    def __init__(self) -> None:
        self.moment = 0
        self._start = 0
        self._said: dict[str, int] = {}

    def begin(self, start: int) -> None:
        """Moments begin at ``start``, which has to be above all of an earlier daemon's."""
        self.moment = self._start = start

    def says(self, host: str) -> None:
        """The host said where guests run."""
        self.moment += 1
        self._said[host] = self.moment

    def older_than(self, heard: int) -> Older | None:
        """Of whom that is so, for a host that had heard this; None where it does not say (0)."""
        if not heard:
            return None
        return lambda host: heard < self._said.get(host, self._start)

    def forget(self, host: str) -> None:
        """The host is removed."""
        self._said.pop(host, None)
