"""A TCP transfer that runs beside a test and loses nothing, or says what it lost."""

import json
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.lab.commands import LabError, wait_until


class Broken(LabError):
    """The transfer stalled, broke or was damaged."""


class Stream:
    """A running transfer: the pattern goes to an echo and is checked when it returns.

    As a context manager it is stopped at the end. ``moved`` is the number of bytes that
    came back so far.
    """

    def __init__(self, command: Sequence[object], env: dict[str, str]) -> None:
        self.moved = 0
        self._last: dict[str, Any] = {}
        self._child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._end()

    def wait_moves(self, count: int = 65536, deadline_seconds: float = 20) -> None:
        """Return once ``count`` more bytes came back; Broken where the transfer ended."""
        goal = self.moved + count
        wait_until(
            lambda: self.moved >= goal or not self._reader.is_alive(),
            deadline_seconds,
            lambda: f"the transfer moves {count} bytes; it stands at {self.moved} of {goal}",
        )
        if self.moved < goal:
            raise Broken(f"the transfer ended after {self.moved} bytes: {self._last}")

    @property
    def running(self) -> bool:
        """Whether it goes on: not broken, not stopped."""
        return self._child.poll() is None

    def wait_broken(self, deadline_seconds: float = 10) -> str:
        """How the transfer failed ("reset", "timeout", …), once it did."""
        wait_until(lambda: not self.running, deadline_seconds, "the transfer breaks")
        self._end()
        return str(self._last.get("failed", "ended"))

    def stop(self) -> int:
        """The number of bytes that came back undamaged; Broken where anything went wrong."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(30)
        finally:
            self._child.kill()
            self._end()
        if not self._last.get("ended"):
            raise Broken(f"the transfer failed after {self.moved} bytes: {self._last}")
        return self.moved

    def _end(self) -> None:
        self._child.wait()
        self._reader.join()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._last = json.loads(line)
            self.moved = self._last.get("bytes", self.moved)
