"""A daemon's control socket with answers made up by the test, and a command line to ask it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from zthook.cli import root
from zthook.cli.faults import guarded
from zthook.wire import control_server

Answer = Callable[[dict[str, Any]], Any]


@dataclass
class Places:
    config: Path
    state: Path
    runtime: Path


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The three folders, moved below the test's own."""
    made = Places(tmp_path / "config", tmp_path / "state", tmp_path / "run")
    monkeypatch.setenv("ZTHOOK_CONFIG_DIR", str(made.config))
    monkeypatch.setenv("ZTHOOK_STATE_DIR", str(made.state))
    monkeypatch.setenv("ZTHOOK_RUNTIME_DIR", str(made.runtime))
    return made


@dataclass
class Canned:
    """What the daemon answers by command, and what it was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def handlers(self) -> dict[str, control_server.Handler]:
        return {name: self._handler(name) for name in self.answers}

    def _handler(self, name: str) -> control_server.Handler:
        async def handler(arguments: dict[str, Any]) -> Any:
            self.asked.append((name, arguments))
            return self.answers[name](arguments)

        return handler


@pytest.fixture
def serve_canned(places: Places) -> Iterator[Callable[[dict[str, Answer]], Canned]]:
    """Start a control socket with these answers at the edge's place."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving: list[Any] = []

    def start(answers: dict[str, Answer]) -> Canned:
        canned = Canned(answers)
        server = control_server.serve(places.runtime / "edge.sock", canned.handlers())
        asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(10)
        serving.append(server)
        return canned

    yield start
    for server in serving:
        asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def zthook(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = guarded(root(), arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run
