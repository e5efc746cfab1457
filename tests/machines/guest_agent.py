"""Runs programs on a machine through QEMU's guest agent: no network, no login, no console."""

import base64
import json
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.lab.commands import LabError

ANSWER_SECONDS = 60.0
"""How long the agent may take for an answer; an emulated machine is slow when it is busy."""
LONGEST_PAUSE = 1.0
"""Between two looks at a program that runs: each costs the machine a line in its journal."""


class Silent(LabError):
    """Nobody answered: the machine boots, or is busy, or is gone."""


class GuestAgent:
    """The agent behind a Unix socket of QEMU's, one connection for each program."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def answers(self) -> bool:
        """Whether it answers within a few seconds."""
        try:
            with _Line(self._path, 3) as line:
                line.ask("guest-ping")
        except Silent:
            return False
        return True

    def run(
        self,
        command: Sequence[object],
        *,
        env: Mapping[str, str],
        stdin: str | None = None,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; Silent where it has none within ``timeout`` seconds."""
        words = [str(word) for word in command]
        arguments: dict[str, object] = {
            "path": words[0],
            "arg": words[1:],
            "env": [f"{name}={value}" for name, value in env.items()],
            "capture-output": True,
        }
        if stdin is not None:
            arguments["input-data"] = base64.b64encode(stdin.encode()).decode()
        began = time.monotonic()
        with _Line(self._path, ANSWER_SECONDS) as line:
            pid = line.ask("guest-exec", arguments)["pid"]
            while not (status := line.ask("guest-exec-status", {"pid": pid}))["exited"]:
                gone = time.monotonic() - began
                if gone > timeout:
                    raise Silent(f"`{' '.join(words)}` did not end within {timeout:g} s")
                time.sleep(min(LONGEST_PAUSE, 0.05 + gone / 10))
        code = status.get("exitcode", -status.get("signal", 0))
        return subprocess.CompletedProcess(
            words, code, _text(status.get("out-data")), _text(status.get("err-data"))
        )


def _text(encoded: str | None) -> str:
    return base64.b64decode(encoded or "").decode(errors="replace")


class _Line:
    """A connection to the agent, in step with it."""

    def __init__(self, path: Path, seconds: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._read = b""
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise Silent(f"nobody listens at {path}: {error}") from error

    def __enter__(self) -> Self:
        try:
            self._synchronise()
        except BaseException:
            self._socket.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """What it returns."""
        request = {"execute": command, "arguments": dict(arguments or {})}
        self._send(json.dumps(request).encode() + b"\n")
        answer = json.loads(self._line())
        if "error" in answer:
            raise LabError(f"the guest agent refused {command}: {answer['error']}")
        return answer["return"]

    def _synchronise(self) -> None:
        """Pass over what it still had to say to whoever was here before."""
        number = time.monotonic_ns()
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        self._send(b"\xff" + json.dumps(request).encode() + b"\n")
        while True:
            _, mark, said = self._line().rpartition(b"\xff")
            if mark and json.loads(said).get("return") == number:
                return

    def _send(self, text: bytes) -> None:
        try:
            self._socket.sendall(text)
        except OSError as error:
            raise Silent(f"the guest agent does not listen: {error}") from error

    def _line(self) -> bytes:
        while b"\n" not in self._read:
            try:
                part = self._socket.recv(65536)
            except OSError as error:
                raise Silent(f"the guest agent does not answer: {error}") from error
            if not part:
                raise Silent("the machine is gone")
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line
