"""Network namespaces: made, cabled, entered and taken down without a trace in the machine's own."""

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from tests.lab.commands import LabError, run, wait_until

NETNS = Path("/run/netns")
"""Where iproute2 keeps namespaces by name (ip-netns(8))."""


class Namespace:
    """A network namespace by its name, there from create() until remove()."""

    def __init__(self, name: str) -> None:
        self.name = name

    @classmethod
    def create(cls, name: str) -> Self:
        """A new one, its lo up."""
        run(["ip", "netns", "add", name])
        namespace = cls(name)
        namespace.ip("link set lo up")
        return namespace

    @property
    def path(self) -> Path:
        """The file that keeps it, as setns(2) and pyroute2 take it."""
        return NETNS / self.name

    def ip(self, *lines: str) -> None:
        """Run ``ip`` commands (without the word ``ip``) in it, in one process."""
        run(["ip", "-n", self.name, "-batch", "-"], stdin="\n".join(lines) + "\n")

    def entering(self, command: Sequence[object]) -> list[object]:
        """``command`` as it must be called to run in it (and with its /sys)."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(
        self,
        *command: object,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 60,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in it to its end: see commands.run."""
        return run(self.entering(command), stdin=stdin, check=check, timeout=timeout, env=env)

    def sysctl(self, **settings: object) -> None:
        """Set sysctls under net/, dots written as two underscores: ``ipv4__ip_forward=1``."""
        script = "; ".join(
            f"echo {value} >/proc/sys/net/{name.replace('__', '/')}"
            for name, value in settings.items()
        )
        self.run("sh", "-ec", script)

    def unfilter_bridges(self) -> None:
        """Keep bridged packets from ip(6)tables, as on a machine without br_netfilter."""
        for tables in ("iptables", "ip6tables"):
            file = f"/proc/sys/net/bridge/bridge-nf-call-{tables}"
            self.run("sh", "-ec", f"[ ! -e {file} ] || echo 0 >{file}")

    def processes(self) -> list[int]:
        """The ids of all processes in it."""
        return processes_in([self.path])

    def end_processes(self, *, spare: int = 0) -> None:
        """Kill all processes in it but ``spare``, and return once they are gone."""
        end_processes_in([self.path], spare=spare)

    def remove(self) -> None:
        """Take it down with all its links at once; its processes must have ended."""
        links = run(["ip", "-n", self.name, "-o", "link", "show", "type", "veth"], check=False)
        names = [line.split()[1].split("@")[0].rstrip(":") for line in links.stdout.splitlines()]
        # By hand, as the kernel removes those of a deleted namespace some time later.
        if names:
            self.ip(*(f"link del {name}" for name in names))
        run(["ip", "netns", "del", self.name])


def cable(
    one: Namespace, one_name: str, other: Namespace, other_name: str, mtu: int = 1500
) -> None:
    """Connect two namespaces by a veth pair that is up on both ends."""
    one.ip(
        f"link add {one_name} mtu {mtu} type veth peer name {other_name} mtu {mtu} "
        f"netns {other.name}",
        f"link set {one_name} up",
    )
    other.ip(f"link set {other_name} up")


def processes_in(namespaces: Iterable[Path]) -> list[int]:
    """The ids of all processes whose network namespace is one of these files."""
    wanted = {_identity(path) for path in namespaces if path.exists()}
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _in(name, wanted)]  # noqa: PTH208


def end_processes_in(
    namespaces: Sequence[Path], deadline_seconds: float = 10, *, spare: int = 0
) -> None:
    """Kill every process in these namespaces but ``spare``; LabError where one does not go."""

    def none_left() -> bool:
        left = [process for process in processes_in(namespaces) if process != spare]
        for process in left:
            _kill(process)
        return not left

    wait_until(none_left, deadline_seconds, lambda: f"{processes_in(namespaces)} end")


def _kill(process: int) -> None:
    if process == os.getpid():
        raise LabError("the lab's own process is inside one of its namespaces")
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _identity(path: Path | str) -> tuple[int, int]:
    status = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, for every process
    return status.st_dev, status.st_ino


def _in(process: str, wanted: set[tuple[int, int]]) -> bool:
    try:
        return _identity(f"/proc/{process}/ns/net") in wanted
    except OSError:  # it has ended, or is a zombie: neither has a namespace
        return False
