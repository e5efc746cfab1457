"""``zthook agent`` as systemd sees it: ready at once, stopped by SIGTERM, one hook socket."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.test_hooks import xml

SECONDS = 30.0


class Started:
    """An agent without an edge, in folders of its own; ``said`` is what it tells systemd."""

    def __init__(self, folder: Path, notify: str = "notify") -> None:
        self.folder = folder
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.settimeout(SECONDS)
        self.notify.bind(str(folder / notify))
        names = {"CONFIG": "etc", "STATE": "lib", "RUNTIME": "run"}
        places = {f"ZTHOOK_{name}_DIR": str(folder / place) for name, place in names.items()}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from zthook.cli import main; main(['agent'])"],
            env={**os.environ, **places, "NOTIFY_SOCKET": str(folder / notify)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self) -> str:
        return self.notify.recv(4096).decode()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.notify.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    made = Started(tmp_path)
    yield made
    made.close()


def test_it_is_ready_without_edge_and_libvirt_and_stops_in_order(started: Started) -> None:
    assert "READY=1" in started.said()
    started.process.send_signal(signal.SIGTERM)
    assert "STOPPING=1" in started.said()
    _, err = started.process.communicate(timeout=SECONDS)
    assert started.process.returncode == 0
    assert "every mapping stays as it is" in err
    assert not (started.folder / "run" / "agent.sock").exists()


def test_a_second_one_leaves_the_first_alone(started: Started) -> None:
    assert "READY=1" in started.said()
    second = Started(started.folder, notify="second")
    try:
        _, err = second.process.communicate(timeout=SECONDS)
    finally:
        second.close()
    assert second.process.returncode == 1
    assert "an agent runs here already" in err
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(started.folder / "run" / "hook.sock"))


def test_the_installed_hook_reaches_it(started: Started) -> None:
    assert "READY=1" in started.said()
    hook = started.folder / "hook"
    text = (Path(__file__).parents[2] / "hooks" / "qemu").read_text()
    where = str(started.folder / "run" / "hook.sock")
    hook.write_text(text.replace("socket=/run/zthook/hook.sock", f"socket={where}"))
    ran = subprocess.run(
        ["/bin/sh", str(hook), "web1", "prepare", "begin", "-"],
        input=xml(),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"this host belongs to no edge" in ran.stderr
