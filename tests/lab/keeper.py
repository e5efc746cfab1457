"""A process that keeps a namespace: it ends with us, however we end, and with it what it keeps."""

import subprocess
from collections.abc import Sequence

from tests.lab.commands import LabError


class Keeper:
    """Runs ``command``, which says "ready" once ``what`` is made, and then reads from a pipe that
    only we hold. Raises LabError where it says anything else.
    """

    def __init__(self, command: Sequence[object], what: str) -> None:
        self._child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        if self._child.stdout.readline() != "ready\n":
            said = self._child.stderr.read().strip()
            self.close()
            raise LabError(f"{what} can not be made: {said}")

    @property
    def pid(self) -> int:
        """For nsenter(1)."""
        return self._child.pid

    def close(self) -> None:
        """Let go; what it keeps is gone once the processes in it are."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()
