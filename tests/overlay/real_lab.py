"""Real zerotier-ones in namespaces on one wire, with a root of their own: nothing leaves it."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tests.edge_api.machine import ZTHOOK, inside
from tests.lab.commands import run, wait_until
from tests.lab.namespace import Namespace, cable
from tests.lab.process import Process
from zthook.errors import OverlayDown
from zthook.overlay.node_api import NodeApi

T = TypeVar("T")

BINARY = os.environ.get("ZEROTIER_ONE")
QUIET = {"portMappingEnabled": False, "softwareUpdate": "disable", "allowTcpFallbackRelay": False}
PLANET_TYPE, MOON_ENDS = 1, 2
"""A planet is laid out as a moon is, but for its first octet and a moon's last two."""


def idtool(*words: object, folder: Path) -> str:
    script = 'cd "$1" && shift && exec "$@"'
    return run(["sh", "-ec", script, "sh", folder, str(BINARY), "-i", *words]).stdout


class Node:
    """A machine in a namespace with a zerotier-one, and zthook."""

    def __init__(self, name: str, tmp: Path, number: int) -> None:
        self.namespace = Namespace.create(f"ztreal-{name}-{os.getpid()}")
        self.address = f"192.0.2.{number}"
        self.tmp = tmp / name
        self.home = self.tmp / "zerotier-one"
        self.home.mkdir(parents=True)
        (self.home / "local.conf").write_text(json.dumps({"settings": QUIET}))
        idtool("generate", "identity.secret", "identity.public", folder=self.home)
        self.id = (self.home / "identity.public").read_text()[:10]
        self.api = NodeApi(self.home)
        self.zerotier: Process | None = None
        self.started: list[Process] = []

    def start(self) -> None:
        command = self.namespace.entering([str(BINARY), self.home])
        self.zerotier = Process("zerotier-one", command, self.tmp / "zerotier.log")
        wait_until(self.answers, 30, f"zerotier-one of {self.namespace.name} answers")

    def stop(self) -> None:
        if self.zerotier is not None:
            self.zerotier.stop()
            self.zerotier = None

    def answers(self) -> bool:
        with suppress(OverlayDown):
            return bool(self.ask(self.api.node_id))
        return False

    def online(self) -> bool:
        return self.ask(self.api.status).online

    def ask(self, act: Callable[[], T]) -> T:
        return inside(self.namespace, act)

    @property
    def environment(self) -> dict[str, str]:
        folders = {"CONFIG": "etc", "STATE": "lib", "RUNTIME": "run"}
        moved = {f"ZTHOOK_{name}_DIR": str(self.tmp / path) for name, path in folders.items()}
        return {**os.environ, **moved, "NO_COLOR": "1", "PATH": self._path()}

    def _path(self) -> str:
        """With zerotier-idtool in it, as ZeroTier's packages put it there."""
        tools = self.tmp / "bin"
        tools.mkdir(exist_ok=True)
        tool = tools / "zerotier-idtool"
        if not tool.is_symlink():
            tool.symlink_to(str(BINARY))
        return f"{tools}:{os.environ['PATH']}"

    def zthook(self, *arguments: str) -> str:
        """What a command prints that must succeed."""
        command = self.namespace.entering([*ZTHOOK, *arguments])
        return run(command, env=self.environment, timeout=120).stdout

    def running(self, *arguments: str) -> Process:
        """A command of zthook that goes on by itself."""
        words = (sys.executable, "-u", *ZTHOOK[1:], *arguments)
        log = self.tmp / f"zthook-{len(self.started)}.log"
        started = Process("zthook", self.namespace.entering(words), log, env=self.environment)
        self.started.append(started)
        return started

    def close(self) -> None:
        for process in self.started:
            process.kill()
        if self.zerotier is not None:
            self.zerotier.kill()
        self.namespace.end_processes()
        self.namespace.remove()


def planet_of(root: Node) -> bytes:
    """A world with one root. The first that a node sees it takes without a signature."""
    folder = root.home
    moon = json.loads(idtool("initmoon", "identity.public", folder=folder))
    moon["roots"][0]["stableEndpoints"] = [f"{root.address}/9993"]
    draft = folder / "moon.json"
    draft.write_text(json.dumps(moon))
    idtool("genmoon", "moon.json", folder=folder)
    made = (folder / f"{root.id:0>16}.moon").read_bytes()
    return bytes([PLANET_TYPE]) + made[1:-MOON_ENDS]


class RealLab:
    """edge, home and stranger on one wire, and a node that is the only root they know."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def set_up(self, tmp: Path) -> None:
        self.root = self._node("root", tmp, 254)
        self.root.namespace.ip(
            "link add wire type bridge", "link set wire up", "addr add 192.0.2.254/24 dev wire"
        )
        self.root.namespace.unfilter_bridges()
        self.edge, self.home, self.stranger = (
            self._node(name, tmp, number)
            for number, name in enumerate(("edge", "home", "stranger"), 1)
        )
        planet = planet_of(self.root)
        for node in self.nodes:
            (node.home / "planet").write_bytes(planet)
            if node is not self.root:
                self._plug_in(node)
            node.start()
        for node in (self.edge, self.home, self.stranger):
            wait_until(node.online, 60, f"{node.namespace.name} is online")

    def _node(self, name: str, tmp: Path, number: int) -> Node:
        node = Node(name, tmp, number)
        self.nodes.append(node)
        return node

    def _plug_in(self, node: Node) -> None:
        end = f"to{node.address.rpartition('.')[2]}"
        cable(node.namespace, "up0", self.root.namespace, end)
        self.root.namespace.ip(f"link set {end} master wire")
        node.namespace.ip(
            f"addr add {node.address}/24 dev up0", "route add default via 192.0.2.254 dev up0"
        )

    def close(self) -> None:
        for node in reversed(self.nodes):
            node.close()


@contextmanager
def real_lab(tmp: Path) -> Iterator[RealLab]:
    """It stands inside the block; nothing of it is left afterwards."""
    lab = RealLab()
    try:
        lab.set_up(tmp)
        yield lab
    finally:
        lab.close()
