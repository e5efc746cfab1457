"""A machine of the lab as tests see it: programs run in it, packets leave from it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from tests.lab.commands import run
from tests.lab.namespace import Namespace
from tests.lab.process import Process
from tests.lab.stream import Stream

PROBE = Path(__file__).with_name("probe.py")
SERVICE = Path(__file__).with_name("service.py")


class Unreached(Exception):
    """A probe got no answer. ``kind``: timeout, refused, unreachable, reset, damaged or other."""

    def __init__(self, what: str, kind: str, why: str) -> None:
        super().__init__(f"{what}: {kind} ({why})")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Page:
    """What an answer of a guest says: which guest, whom it saw, on which port of its own."""

    name: str
    saw: str
    port: int
    on: int

    @classmethod
    def read(cls, text: str) -> Self:
        """From the answer's text, "NAME saw ADDRESS port PORT on PORT"."""
        name, _, saw, _, port, _, on = text.split()
        return cls(name, str(ip_address(saw)), int(port), int(on))


class Machine:
    """A namespace, and a folder for what its programs write."""

    def __init__(self, name: str, namespace: Namespace, folder: Path) -> None:
        self.name = name
        self.namespace = namespace
        self.folder = folder
        self.env: dict[str, str] = {}
        self.processes: list[Process] = []
        folder.mkdir(parents=True, exist_ok=True)

    def entering(self, command: Sequence[object]) -> list[object]:
        """``command`` as it must be called to run on this machine."""
        return self.namespace.entering(command)

    def ip(self, *lines: str) -> None:
        """Run ``ip`` commands (without the word ``ip``), in one process."""
        self.namespace.ip(*lines)

    def run(
        self,
        *command: object,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on this machine to its end: see commands.run; ``env`` adds to its own."""
        return run(
            self.entering(command),
            stdin=stdin,
            check=check,
            timeout=timeout,
            env=self.environment(env),
        )

    def start(
        self,
        name: str,
        *command: object,
        notify: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a daemon on this machine: its log is NAME.log in the machine's folder."""
        process = Process(
            f"{name} on {self.name}",
            self.entering(command),
            self.folder / f"{name}.log",
            env=self.environment(env),
            notify=self.folder / f"{name}.notify" if notify else None,
        )
        self.processes.append(process)
        return process

    def serve(self, name: str = "", ports: str = "") -> Process:
        """Serve on this machine what guests serve (tests/lab/service.py); returns once it does.

        ``ports`` are served beside the usual ones: "tcp/2000,udp/27000-27003".
        """
        process = self.start("service", sys.executable, SERVICE, name or self.name, ports)
        process.wait_logged("ready")
        return process

    def close(self) -> None:
        """Kill what was started on it."""
        for process in self.processes:
            process.kill()

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of this machine's programs."""
        return {**os.environ, **self.env, **(more or {})}

    def http(
        self,
        address: str,
        port: int = 80,
        *,
        path: str = "/",
        method: str = "GET",
        count: int = 0,
        timeout: float = 5,
        source: tuple[str, int] | None = None,
    ) -> str:
        """The body of an HTTP answer; Unreached where there is none.

        The request's body is ``count`` bytes of the pattern; ``source`` is the address and port
        it is sent from.
        """
        answer = self._probe(
            "http",
            timeout,
            address=address,
            port=port,
            path=path,
            method=method,
            count=count,
            source=source,
        )
        return str(answer["body"])

    def page(
        self,
        address: str,
        port: int = 80,
        *,
        timeout: float = 5,
        source: tuple[str, int] | None = None,
    ) -> Page:
        """The page of the guest behind an address: which guest it is and whom it saw."""
        return Page.read(self.http(address, port, timeout=timeout, source=source))

    def reaches(self, address: str, port: int = 80, *, timeout: float = 1) -> bool:
        """Whether a TCP connection comes about within ``timeout`` seconds."""
        try:
            self.tcp_connect(address, port, timeout=timeout)
        except Unreached:
            return False
        return True

    def tcp_connect(
        self,
        address: str,
        port: int,
        *,
        timeout: float = 5,
        source: tuple[str, int] | None = None,
    ) -> None:
        """Make and close a TCP connection; Unreached with what happened instead."""
        self._probe("tcp", timeout, address=address, port=port, source=source)

    def udp_echo(
        self,
        address: str,
        port: int = 7,
        *,
        text: str = "hello",
        timeout: float = 5,
        source: tuple[str, int] | None = None,
    ) -> str:
        """What a UDP echo sends back; Unreached after ``timeout`` seconds of asking."""
        answer = self._probe("udp", timeout, address=address, port=port, text=text, source=source)
        return str(answer["text"])

    def udp_page(self, address: str, port: int = 7, *, timeout: float = 5) -> Page:
        """As page(), asked by a datagram."""
        return Page.read(self.udp_echo(address, port, text="who", timeout=timeout))

    def stream(
        self, address: str, port: int = 7, *, timeout: float = 20, pause: float = 0.01
    ) -> Stream:
        """A TCP transfer through an echo that runs until it is stopped: see Stream."""
        arguments = {"address": address, "port": port, "timeout": timeout, "pause": pause}
        return Stream(self.entering(_probing("stream", arguments)), self.environment())

    def ping(self, address: str, *, timeout: float = 1) -> bool:
        """Whether one ICMP echo is answered within ``timeout`` seconds (needs busybox)."""
        ping = "ping6" if ":" in address else "ping"
        words = ["busybox", ping, "-c", "1", "-W", str(max(1, round(timeout))), address]
        return self.run(*words, check=False).returncode == 0

    def _probe(self, operation: str, timeout: float, **arguments: object) -> dict[str, Any]:
        command = _probing(operation, {"timeout": timeout, **arguments})
        done = self.run(*command, timeout=timeout * 4 + 10)
        answer: dict[str, Any] = json.loads(done.stdout)
        if "failed" in answer:
            what = f"{operation} from {self.name} to {arguments['address']}:{arguments['port']}"
            raise Unreached(what, answer["failed"], answer["why"])
        return answer


def _probing(operation: str, arguments: Mapping[str, object]) -> list[object]:
    return [sys.executable, PROBE, operation, json.dumps(dict(arguments))]
