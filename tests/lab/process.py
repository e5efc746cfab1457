"""Daemons: child processes in a session of their own, with a log, stopped by their id."""

import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab.commands import LabError, wait_until


class Process:
    """A program that runs until it is stopped; what it prints is in ``log``.

    ``command`` must end in an exec of the program itself (as `ip netns exec` and nsenter do),
    so that ``pid`` is the program's own. With ``notify`` a socket is handed over in
    $NOTIFY_SOCKET, as systemd does for Type=notify: see wait_notified.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[object],
        log: Path,
        *,
        env: dict[str, str] | None = None,
        notify: Path | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.log = log
        self._notifications = _bound(notify) if notify else None
        self._notified = ""
        environment = dict(env if env is not None else os.environ)
        environment.pop("NOTIFY_SOCKET", None)
        if notify:
            environment["NOTIFY_SOCKET"] = str(notify)
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    @property
    def pid(self) -> int:
        """The process's id, in the machine's own numbering."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet (a stopped one, SIGSTOP, runs)."""
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, minus the signal where it was killed, None while it runs."""
        return self._child.poll()

    def log_text(self) -> str:
        """All that it has printed so far; those that had the same log before it are left out."""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    def wait_logged(self, text: str, deadline_seconds: float = 10) -> None:
        """Return once ``text`` stands in the log; TooLate after the deadline."""
        wait_until(
            lambda: self._alive_and(text in self.log_text()),
            deadline_seconds,
            lambda: f"{self.name} prints {text!r}; it printed:\n{self.log_text()}",
        )

    def wait_notified(self, state: str = "READY=1", deadline_seconds: float = 15) -> None:
        """Return once it told $NOTIFY_SOCKET ``state``; TooLate after the deadline."""
        wait_until(
            lambda: self._alive_and(state in self._hear()),
            deadline_seconds,
            lambda: f"{self.name} says {state}; it printed:\n{self.log_text()}",
        )

    def wait_ended(self, deadline_seconds: float = 10) -> int:
        """Its exit code, once it has ended; TooLate after the deadline."""
        wait_until(lambda: not self.running, deadline_seconds, f"{self.name} ends")
        assert self.exit_code is not None
        return self.exit_code

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this process alone; one that has ended gets none."""
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once (SIGKILL), and what it started in its session."""
        if self.running:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        self._close()

    def stop(self, deadline_seconds: float = 10) -> int:
        """Ask it to end (SIGTERM), kill it where it does not; its exit code."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        try:
            return self._child.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            raise LabError(
                f"{self.name} did not end within {deadline_seconds:g} s of SIGTERM; "
                f"it printed:\n{self.log_text()}"
            ) from None
        finally:
            self.kill()

    def _alive_and(self, condition: bool) -> bool:
        if not condition and not self.running:
            raise LabError(
                f"{self.name} ended with {self.exit_code}; it printed:\n{self.log_text()}"
            )
        return condition

    def _hear(self) -> str:
        if self._notifications is None:
            raise LabError(f"{self.name} was started without a notify socket")
        with suppress(BlockingIOError):
            while True:
                self._notified += self._notifications.recv(4096).decode() + "\n"
        return self._notified

    def _close(self) -> None:
        if self._notifications is not None:
            self._notifications.close()


def _bound(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    receiver.bind(str(path))
    return receiver
