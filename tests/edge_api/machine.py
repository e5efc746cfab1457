"""An edge on a machine of its own: a network namespace, the real command, the real kernel."""

import ctypes
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.documents.json_schemas import PRINTED, check
from tests.kernel.shown import settled
from tests.lab.commands import run, wait_until
from tests.lab.namespace import Namespace, cable
from tests.lab.process import Process
from zthook.errors import DaemonUnreachable
from zthook.wire.control import ask
from zthook.wire.tls import fetch_ca, pinned_context, server_name
from zthook.wire.token import Token, read_token

T = TypeVar("T")

ZTHOOK = (sys.executable, "-c", "from zthook.cli import main; main()")
ADDRESS, OTHER_ADDRESS = "192.168.193.222", "192.168.193.223"
UPLINK_ADDRESS = "203.0.113.1"
ROUTER = "203.0.113.254"
HOST_ADDRESS = "192.168.193.2"
CLONE_NEWNET = 0x40000000


class Machine:
    """Uplink ``up0``, overlay ``ov0`` (its other end, ``host``, is another namespace)."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.namespace = Namespace.create(f"ztapi-edge-{os.getpid()}")
        self.host = Namespace.create(f"ztapi-host-{os.getpid()}")
        self.outside = Namespace.create(f"ztapi-out-{os.getpid()}")
        cable(self.namespace, "up0", self.outside, "up0")
        self.namespace.ip(
            f"addr add {UPLINK_ADDRESS}/24 dev up0",
            f"route add default via {ROUTER} dev up0",
        )
        self.attach_overlay()
        self.daemons: list[Process] = []
        self.ready_seconds = 15.0

    def attach_overlay(self) -> None:
        """The overlay's device appears, with its usual address, and MACs that stay as a
        member's do.
        """
        edge, host = (f"name ov0 address 02:00:00:00:00:{one} mtu 2800" for one in ("01", "02"))
        self.namespace.ip(
            f"link add {edge} type veth peer {host} netns {self.host.name}",
            "link set ov0 up",
            f"addr add {ADDRESS}/24 dev ov0",
        )
        self.host.ip("link set ov0 up", f"addr add {HOST_ADDRESS}/24 dev ov0")

    def detach_overlay(self) -> None:
        self.namespace.ip("link del ov0")

    @property
    def environment(self) -> dict[str, str]:
        folders = {"CONFIG": "config", "STATE": "state", "RUNTIME": "run"}
        moved = {f"ZTHOOK_{name}_DIR": str(self.tmp / path) for name, path in folders.items()}
        return {**os.environ, **moved, "NO_COLOR": "1"}

    def zthook(self, *arguments: str) -> "tuple[int, str, str]":
        """Run a command of zthook there: exit code, stdout, stderr."""
        command = self.namespace.entering([*ZTHOOK, *arguments])
        done = run(command, check=False, env=self.environment, timeout=30)
        return done.returncode, done.stdout, done.stderr

    def told(self, *arguments: str) -> Any:
        """What a command that must succeed prints as JSON."""
        code, out, err = self.zthook(*arguments, "--json")
        assert code == 0, err
        return check(out, _name(arguments))

    def init(self, pool: str = "hk=203.0.113.10-203.0.113.14") -> None:
        code, _, err = self.zthook("edge", "init", "--interface", "ov0", "--pool", pool)
        assert code == 0, err

    def serve(self, **environment: str) -> Process:
        """Start the daemon and return once it is ready."""
        number = len(self.daemons)
        daemon = Process(
            "zthook edge serve",
            self.namespace.entering([*ZTHOOK, "edge", "serve"]),
            self.tmp / f"edge-{number}.log",
            env=self.environment | environment,
            notify=self.tmp / f"notify-{number}",
        )
        self.daemons.append(daemon)
        daemon.wait_notified(deadline_seconds=self.ready_seconds)
        return daemon

    def listens_at(self, address: str) -> None:
        """Return once the API answers there."""
        wait_until(
            lambda: self.status()["listening"] == f"{address}:9443",
            10,
            lambda: f"the API listens on {address}: {self.zthook('edge', 'status')}",
        )

    def status(self) -> Any:
        """What `zthook edge status` shows, asked without a process."""
        try:
            return ask(self.tmp / "run/edge.sock", "status")
        except DaemonUnreachable as error:
            return {"listening": None, "problems": [error.message]}

    def token(self, name: str, *options: str) -> Token:
        return read_token(self.told("edge", "host", "add", name, *options)["token"])

    def nft(self) -> str:
        return settled(self.namespace.run("nft", "list", "table", "inet", "zthook").stdout)

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.kill()
        for namespace in (self.namespace, self.host, self.outside):
            namespace.end_processes()
            namespace.remove()


def _name(arguments: Sequence[str]) -> str:
    """Which command it is, of those that print JSON."""
    words = " ".join(("zthook", *arguments, ""))
    return max((name for name in PRINTED if words.startswith(f"{name} ")), key=len)


def inside(namespace: Namespace, act: Callable[[], T]) -> T:
    """Call ``act`` in a thread that lives in the namespace: sockets it makes are there."""
    results: list[T] = []
    faults: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            with namespace.path.open() as file:
                failed = ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET)
            assert not failed, "setns"
            results.append(act())
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=enter_and_act)
    thread.start()
    thread.join()
    if faults:
        raise faults[0]
    return results[0]


class Enrolled:
    """A host's side of the API, in the host's namespace."""

    def __init__(self, machine: Machine, token: Token) -> None:
        self.machine = machine
        self.token = token
        self.address = token.address
        self.sequence = 0
        self.session = 0
        self.credential = "none"
        self.ca_pem = inside(machine.host, lambda: fetch_ca(token))
        answer = self.ask("POST", "/v1/enrol", {"secret": token.secret, "hostname": "kvm1"})
        assert answer.status_code == 200, answer.text
        self.credential = answer.json()["credential"]

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 10) -> httpx.Response:
        """One request, from the host's overlay address."""

        def act() -> httpx.Response:
            with httpx.Client(
                verify=pinned_context(self.ca_pem), trust_env=False, timeout=timeout
            ) as client:
                return client.request(
                    method,
                    f"https://{self.address}:{self.token.port}{path}",
                    json=body,
                    headers={"authorization": f"Bearer {self.credential}"},
                    extensions={"sni_hostname": server_name(self.token.edge)},
                )

        return inside(self.machine.host, act)

    def begin(self) -> None:
        answer = self.ask(
            "POST", "/v1/session", {"agent": "0.1.0", "instance": os.urandom(8).hex()}
        )
        assert answer.status_code == 200, answer.text
        self.session, self.sequence = answer.json()["session"], 0

    def claims(self, *claims: dict[str, Any]) -> list[dict[str, Any]]:
        """All that it claims now; what the edge says of each."""
        self.sequence += 1
        body = {"session": self.session, "sequence": self.sequence, "claims": list(claims)}
        answer = self.ask("PUT", "/v1/claims", body)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["mappings"]
        return found
