"""zthook's command and daemons on a machine of the lab, run as a user would."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.commands import LabError, wait_until
from tests.lab.machine import Machine
from tests.lab.process import Process
from tests.lab.topology import OVERLAY_DEVICE, UPLINK_DEVICE
from zthook.errors import DaemonUnreachable
from zthook.wire.control import ask

JOIN = re.compile(r"zthook join (\S+)")


def zthook_command() -> Path:
    """The command beside the Python that runs the lab, else from PATH."""
    beside = Path(sys.executable).parent / "zthook"
    found = beside if beside.exists() else shutil.which("zthook")
    if found is None:
        raise LabError(f"there is no zthook beside {sys.executable} or in PATH: install it there")
    return Path(found)


class Zthook:
    """zthook on one machine: its three folders, its command, and one daemon.

    ``daemon`` is the command line of the daemon, such as ("agent",).
    """

    def __init__(self, machine: Machine, daemon: Sequence[str]) -> None:
        self.machine = machine
        self.config = machine.folder / "zthook" / "etc"
        self.state = machine.folder / "zthook" / "lib"
        self.runtime = machine.folder / "zthook" / "run"
        self._daemon = tuple(daemon)
        self._process: Process | None = None
        for folder in (self.config, self.state, self.runtime):
            folder.mkdir(parents=True)
        machine.env |= {
            "ZTHOOK_CONFIG_DIR": str(self.config),
            "ZTHOOK_STATE_DIR": str(self.state),
            "ZTHOOK_RUNTIME_DIR": str(self.runtime),
        }

    @property
    def process(self) -> Process:
        """The daemon that was started last; LabError where there was none."""
        if self._process is None:
            raise LabError(f"zthook {' '.join(self._daemon)} was not started")
        return self._process

    def __call__(
        self, *arguments: object, check: bool = True, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run `zthook ARGUMENTS…` to its end; LabError where it fails (with ``check``)."""
        return self.machine.run(zthook_command(), *arguments, check=check, timeout=timeout)

    def json(self, *arguments: object) -> Any:
        """What `zthook ARGUMENTS… --json` says, also where it says so with exit 1 (a fault)."""
        done = self(*arguments, "--json", check=False)
        if done.returncode not in {0, 1} or not done.stdout:
            raise LabError(f"`zthook {' '.join(map(str, arguments))} --json`: {done.stderr}")
        return json.loads(done.stdout)

    def asked(self, command: str, **arguments: object) -> Any:
        """What the daemon itself says at its control socket: what a command of the same name
        with ``--json`` prints, without a process for each look. LabError where none answers.
        """
        try:
            return ask(self.socket, command, **arguments)
        except DaemonUnreachable as error:
            raise LabError(f"{self.socket}: {error.message}") from error

    @property
    def socket(self) -> Path:
        """Where its commands ask it."""
        return self.runtime / f"{self._daemon[0]}.sock"

    def start(self, *, ready: bool = True, env: Mapping[str, str] | None = None) -> Process:
        """Start the daemon; returns once it said READY=1 (with ``ready``)."""
        if self._process is not None and self._process.running:
            raise LabError(f"{self._process.name} runs already")
        name = self._daemon[0]
        command = (zthook_command(), *self._daemon)
        self._process = self.machine.start(name, *command, notify=True, env=env)
        if ready:
            self._process.wait_notified()
        return self._process

    def stop(self) -> None:
        """End it as systemd would (SIGTERM)."""
        self.process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self.process.kill()

    def hang(self) -> None:
        """Make it hang (SIGSTOP), until resume()."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """End its hanging."""
        self.process.send(signal.SIGCONT)

    def restart(self) -> None:
        """stop() and start()."""
        self.stop()
        self.start()


class EdgeDaemon(Zthook):
    """zthook on an edge."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, ("edge", "serve"))

    def init(self, pools: Mapping[str, str] | None = None, *arguments: object) -> None:
        """`zthook edge init` over the lab's overlay; by default the pool hk, 203.0.113.10-14."""
        ranges = pools if pools is not None else {"hk": "203.0.113.10-203.0.113.14"}
        words = [word for name, range_ in ranges.items() for word in ("--pool", f"{name}={range_}")]
        where = ("--interface", OVERLAY_DEVICE, "--uplink", UPLINK_DEVICE)
        self("edge", "init", *where, *words, *arguments)

    def add_host(self, name: str, *arguments: object) -> str:
        """`zthook edge host add NAME`: the token for that host."""
        said = self("edge", "host", "add", name, *arguments).stdout
        match = JOIN.search(said)
        if match is None:
            raise LabError(f"`zthook edge host add {name}` printed no join command:\n{said}")
        return match[1]


class Agent(Zthook):
    """zthook on a host."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, ("agent",))

    @property
    def hook_socket(self) -> Path:
        """Where the hook reaches the agent."""
        return self.runtime / "hook.sock"

    def join(self, token: str, *arguments: object) -> None:
        """`zthook join TOKEN`."""
        self("join", token, *arguments)

    def mappings(self, guest: str) -> list[dict[str, Any]]:
        """The rows of `zthook status` for a guest, by its name or UUID."""
        rows: list[dict[str, Any]] = self.asked("status")["mappings"]
        return [row for row in rows if guest in (row["guest"], row["uuid"])]

    def wait_state(self, guest: str, state: str, deadline_seconds: float = 20) -> dict[str, Any]:
        """The first mapping of ``guest`` in ``state``, once there is one."""
        seen: list[dict[str, Any]] = []

        def found() -> dict[str, Any] | None:
            seen[:] = self.mappings(guest)
            return next((row for row in seen if row["state"] == state), None)

        row = wait_until(
            found, deadline_seconds, lambda: f"{guest} has a mapping that is {state}; it has {seen}"
        )
        assert row is not None
        return row
