"""What systemd hears, on a socket of our own in its place."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from zthook.wire import notify


@pytest.fixture(params=["file", "abstract"])
def listening(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify") if request.param == "file" else f"@zthook-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind("\0" + name[1:] if name.startswith("@") else name)
        link.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield link


def test_ready_says_so_with_a_status(listening: socket.socket) -> None:
    assert notify.ready("2 hosts")
    assert listening.recv(1024) == b"READY=1\nSTATUS=2 hosts"


def test_reloading_tells_the_time(listening: socket.socket) -> None:
    assert notify.reloading()
    first, second = listening.recv(1024).decode().split("\n")
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0


def test_the_others(listening: socket.socket) -> None:
    assert notify.alive()
    assert listening.recv(1024) == b"WATCHDOG=1"
    assert notify.reloaded()
    assert listening.recv(1024) == b"READY=1"
    assert notify.stopping()
    assert listening.recv(1024) == b"STOPPING=1"


def test_a_systemd_that_does_not_listen_stops_nobody(listening: socket.socket) -> None:
    sent = 0
    while notify.alive():
        sent += 1
        assert sent < 100_000
    assert not notify.reloading()
    assert not notify.reloaded()
    assert not notify.stopping()
    assert listening.recv(1024) == b"WATCHDOG=1"
    assert notify.alive()


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.ready()


def test_a_named_socket_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with pytest.raises(OSError, match="No such file"):
        notify.ready()


def test_one_that_goes_while_the_daemon_runs_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify.reloading()
    assert not notify.stopping()
    assert "systemd was not told RELOADING=1: No such file or directory" in caplog.text


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_period(
    environment: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert notify.watchdog_seconds() == seconds
