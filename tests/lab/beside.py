"""A program that runs beside a test and says in lines of JSON how it gets on."""

import json
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.lab.commands import LabError, wait_until


class Broken(LabError):
    """It ended before it was to, or what it carried was damaged."""


class Beside:
    """It ends when its stdin does; as a context manager it is killed at the end.

    ``said`` is the last thing that it said, ``count`` how many of ``counting`` it has come to.
    """

    def __init__(
        self, command: Sequence[object], counting: str, env: dict[str, str] | None = None
    ) -> None:
        self.count = 0
        self.said: dict[str, Any] = {}
        self._counting = counting
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

    @property
    def running(self) -> bool:
        """Whether it goes on: not broken, not stopped."""
        return self._child.poll() is None

    def wait_counts(self, more: int, deadline_seconds: float) -> None:
        """Return once it has come so much further; Broken where it ended."""
        goal = self.count + more
        wait_until(
            lambda: self.count >= goal or not self._reader.is_alive(),
            deadline_seconds,
            lambda: f"{self._counting} go from {goal - more} to {goal}: {self.said}",
        )
        if self.count < goal:
            raise Broken(f"it ended after {self.count} {self._counting}: {self.said}")

    def finish(self, deadline_seconds: float) -> None:
        """Let it end."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            self._child.wait(deadline_seconds)
        finally:
            self._child.kill()
            self._end()

    def _end(self) -> None:
        self._child.wait()
        self._reader.join()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self.said = json.loads(line)
            self.count = self.said.get(self._counting, self.count)
