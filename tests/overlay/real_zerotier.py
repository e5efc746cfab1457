"""Real zerotier-ones and a real redial: a root, an edge, and a host behind a masquerading
router, all in network namespaces. ``$ZEROTIER_ONE`` names the binary (1.14).
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.kernel_host.inside import Inside, own_name
from tests.lab.commands import run, wait_until
from tests.lab.line import Line
from tests.lab.namespace import Namespace, cable
from tests.lab.process import Process
from tests.lab.topology import LINE_DEVICE, Home
from zthook.errors import OverlayDown
from zthook.overlay.zerotier_api import PeerView, ZeroTierApi

T = TypeVar("T")

BINARY = os.environ.get("ZEROTIER_ONE", "")
HOME = Home(1, IPv4Network("192.168.122.0/24"))
OVERLAY = IPv4Network("192.168.193.0/24")
NETWORK = {
    "private": False,
    "v4AssignMode": {"zt": True},
    "routes": [{"target": str(OVERLAY)}],
    "ipAssignmentPools": [{"ipRangeStart": str(OVERLAY[1]), "ipRangeEnd": str(OVERLAY[254])}],
}
QUIET = {"softwareUpdate": "disable", "allowTcpFallbackRelay": False, "portMappingEnabled": False}
"""Nothing that would ask the internet for something."""
ROOT, EDGE = "198.51.100.2", "203.0.113.2"
SECONDS = 60.0


class Node:
    """A zerotier-one with its home, and a thread that is where it is."""

    def __init__(self, namespace: Namespace, home: Path, settings: Mapping[str, Any]) -> None:
        self.namespace = namespace
        self.home = home
        self.inside = Inside(namespace)
        self._process: Process | None = None
        (home / "moons.d").mkdir(parents=True)
        self.write_conf({"settings": {**QUIET, **settings}})
        _idtool(home, "generate", "identity.secret", "identity.public")
        self.id = (home / "identity.public").read_text().split(":")[0]

    def write_conf(self, conf: Mapping[str, Any]) -> None:
        """A local.conf, as its owner would write it."""
        (self.home / "local.conf").write_text(json.dumps(conf))

    def start(self) -> None:
        """Until it answers."""
        command = self.namespace.entering([BINARY, self.home])
        self._process = Process(f"zerotier-{self.id}", command, self.home / "log")
        wait_until(lambda: self.answers, SECONDS, f"zerotier-one {self.id} answers")

    def stop(self) -> None:
        """As systemctl does it: its devices go."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """Only with that all of local.conf is in force."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End whatever runs."""
        self.stop()
        self.inside.close()

    def ask(self, question: Callable[[ZeroTierApi], T]) -> T:
        """What its local API says."""
        return self.inside(lambda: question(ZeroTierApi(self.home)))

    @property
    def answers(self) -> bool:
        with suppress(OverlayDown):
            return bool(self.ask(ZeroTierApi.node_id))
        return False

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """What this client of ours has no call for."""
        token = (self.home / "authtoken.secret").read_text()
        port = (self.home / "zerotier-one.port").read_text()

        def send() -> None:
            url = f"http://127.0.0.1:{port}{path}"
            httpx.post(url, json=dict(body), headers={"X-ZT1-Auth": token}).raise_for_status()

        self.inside(send)

    def peer(self, other: "Node") -> PeerView | None:
        """How it speaks with another."""
        return next((one for one in self.ask(ZeroTierApi.peers) if one.address == other.id), None)

    def peer_policy(self, other: "Node") -> str:
        """The standard policy of its bond with another, empty where there is none."""
        peer = self.peer(other)
        return peer.bonding_policy_str if peer is not None else ""

    def address(self, network: str) -> str:
        """Its address on the overlay, empty while it has none."""
        view = self.ask(lambda api: api.network(network))
        shown = run(["ip", "-n", self.namespace.name, "-o", "-4", "addr"]).stdout
        given = view.assigned_addresses if view is not None else ()
        return next((one.split("/")[0] for one in given if f" {one} " in shown), "")


class World:
    """All three on one network; ``line`` redials."""

    def __init__(self, root: Node, edge: Node, host: Node, line: Line) -> None:
        self.root = root
        self.edge = edge
        self.host = host
        self.line = line
        self.network = f"{root.id}00cafe"

    def join(self) -> None:
        """Until edge and host have addresses, and a direct path to each other."""
        self.root.post(f"/controller/network/{self.network}", NETWORK)
        for node in (self.edge, self.host):
            node.ask(lambda api: api.join(self.network))
            wait_until(lambda node=node: node.address(self.network), SECONDS, "an address")
        wait_until(self.meets, SECONDS, "the edge reaches the host")

    def meets(self) -> bool:
        """Whether the host answers the edge: that nobody listens there is an answer."""
        to = self.host.address(self.network)
        if not to:
            return False
        with self.edge.inside.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            asking.connect((to, 9))
            try:
                asking.send(b"?")
                asking.recv(1)
            except ConnectionRefusedError:
                return True
            except OSError:  # a timeout is one
                return False
        return True


@contextmanager
def world(
    folder: Path, *, edge: Mapping[str, Any] = QUIET, host: Mapping[str, Any] = QUIET
) -> Iterator[World]:
    """Joined; ``edge`` and ``host`` are settings in their local.conf."""
    spaces = {
        name: Namespace.create(own_name(name)) for name in ("net", "root", "edge", "gw", "host")
    }
    nodes: list[Node] = []
    try:
        _cable(spaces)
        line = Line(spaces["gw"], spaces["net"], spaces["host"], HOME)
        spaces["host"].ip(
            f"addr add {HOME.host}/{HOME.lan.prefixlen} dev {LINE_DEVICE}",
            f"route add default via {HOME.router}",
        )
        for name, settings in (("root", QUIET), ("edge", edge), ("host", host)):
            nodes.append(Node(spaces[name], folder / name, settings))
        _orbit(nodes[0], nodes[1:])
        for node in nodes:
            node.start()
        made = World(nodes[0], nodes[1], nodes[2], line)
        made.join()
        yield made
    finally:
        for node in nodes:
            node.close()
        for space in spaces.values():
            space.end_processes()
            space.remove()


def _cable(spaces: Mapping[str, Namespace]) -> None:
    net = spaces["net"]
    net.sysctl(ipv4__ip_forward=1)
    for name, address in (("root", ROOT), ("edge", EDGE)):
        router = f"{address.rpartition('.')[0]}.1"
        cable(spaces[name], "eth0", net, name)
        net.ip(f"addr add {router}/24 dev {name}")
        spaces[name].ip(f"addr add {address}/24 dev eth0", f"route add default via {router}")


def _orbit(root: Node, members: Sequence[Node]) -> None:
    """Without the planet's roots somebody has to introduce edge and host."""
    moon = json.loads(_idtool(root.home, "initmoon", "identity.public"))
    moon["roots"][0]["stableEndpoints"] = [f"{ROOT}/9993"]
    (root.home / "moon.json").write_text(json.dumps(moon))
    _idtool(root.home, "genmoon", "moon.json")
    [made] = root.home.glob("*.moon")
    for node in (root, *members):
        (node.home / "moons.d" / made.name).write_bytes(made.read_bytes())


def _idtool(folder: Path, *words: str) -> str:
    return run(["env", "-C", folder, BINARY, "-i", *words]).stdout
