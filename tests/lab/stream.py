"""A TCP transfer that runs beside a test and loses nothing, or says what it lost."""

from collections.abc import Sequence

from tests.lab.beside import Beside, Broken
from tests.lab.commands import wait_until


class Stream(Beside):
    """A running transfer: the pattern goes to an echo and is checked when it returns.

    As a context manager it is stopped at the end. ``count`` is the number of bytes that
    came back so far.
    """

    def __init__(self, command: Sequence[object], env: dict[str, str]) -> None:
        super().__init__(command, "bytes", env)

    def wait_moves(self, count: int = 65536, deadline_seconds: float = 20) -> None:
        """Return once ``count`` more bytes came back; Broken where the transfer ended."""
        self.wait_counts(count, deadline_seconds)

    def wait_broken(self, deadline_seconds: float = 10) -> str:
        """How the transfer failed ("reset", "timeout", …), once it did."""
        wait_until(lambda: not self.running, deadline_seconds, "the transfer breaks")
        self._end()
        return str(self.said.get("failed", "ended"))

    def stop(self) -> int:
        """The number of bytes that came back undamaged; Broken where anything went wrong."""
        self.finish(30)
        if not self.said.get("ended"):
            raise Broken(f"the transfer failed after {self.count} bytes: {self.said}")
        return self.count
