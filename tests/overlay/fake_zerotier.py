"""A stateful stand-in for zerotier-one's local API: real HTTP, recorded bodies and statuses."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.overlay.fake_bonding import FakeBonding

RECORDED = Path(__file__).with_name("zerotier-api")
NETWORK = "b87d70f46bc5c578"
TOKEN = "made-up-token-of-a-test"


def recorded(name: str) -> tuple[int, bytes]:
    """The HTTP status and body that 1.14.1 sent, as README.txt and the file have them."""
    for line in (RECORDED / "README.txt").read_text().splitlines():
        if line.startswith(f"{name}.json | "):
            status = int(line.split(" | ")[1].split(",")[0])
            return status, (RECORDED / f"{name}.json").read_bytes()
    raise KeyError(name)


class FakeZeroTier:
    """What a daemon has: a home, a port while it runs, joined networks, members it controls.

    ``network`` names the recording that GET /network/NETWORK is answered with; None: not
    joined; ``coming`` those that follow it, one at each look. ``joined`` and ``peers`` name
    those of the lists. ``controller``: NETWORK is of this node's own; ``networks`` are those
    that it was told to make, and in these it is a member as ``members`` says. ``broken`` is a
    status and body that stand for any answer.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.token = TOKEN
        self.status = "status-online"
        self.network: str | None = None
        self.coming: list[str] = []
        self.networks: dict[str, dict[str, Any]] = {}
        self.moons: dict[str, dict[str, Any]] = {}
        self.joined = "network-list"
        self.peers = "peer-list"
        self.tun = True
        self.controller = False
        self.members: dict[str, dict[str, Any]] = {}
        self.bonding = FakeBonding(home / "local.conf")
        self.broken: tuple[int, bytes] | None = None
        self.served: list[str] = []
        self._server: ThreadingHTTPServer | None = None
        self.install()

    def restart(self) -> None:
        """As systemctl does it: only now all that local.conf says is in force."""
        self.stop()
        self.bonding = FakeBonding(self.home / "local.conf", self.bonding.paths)
        self.start()

    def install(self) -> None:
        """Write what the daemon writes at its first start."""
        self.home.mkdir(exist_ok=True)
        (self.home / "authtoken.secret").write_text(self.token)
        (self.home / "zerotier-one.port").write_text("9")

    def start(self) -> None:
        """Run: listen on a free port, which is written down, as zerotier-one does."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = fake.answer(self.command, self.path, self.headers, self._body())
                self.send_response(status)
                if body:
                    self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.do_GET()

            def do_DELETE(self) -> None:
                self.do_GET()

            def _body(self) -> dict[str, Any]:
                length = int(self.headers.get("Content-Length") or 0)
                return dict(json.loads(self.rfile.read(length))) if length else {}

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        (self.home / "zerotier-one.port").write_text(str(self._server.server_port))

    def stop(self) -> None:
        """Stop; port and token files stay behind, as the daemon leaves them."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def knock(self, member: str) -> None:
        """What the controller notes when a node joins."""
        self._new_member(member, "controller-member-unauthorised")

    @property
    def node(self) -> str:
        """This node's id."""
        return str(json.loads(recorded(self.status)[1])["address"])

    def answer(
        self, method: str, path: str, headers: Any, body: dict[str, Any]
    ) -> tuple[int, bytes]:
        self.served.append(f"{method} {path}")
        if self.broken:
            return self.broken
        if headers.get("X-ZT1-Auth") != self.token:
            return recorded("unauthorised-bad-token")
        asked = path.strip("/").split("/")
        if asked == ["network"]:
            return recorded(self.joined)
        if asked[0] in {"status", "peer", "config"}:
            return self._local(asked, body)
        return self._one(method, asked, body)

    def _one(self, method: str, asked: list[str], body: dict[str, Any]) -> tuple[int, bytes]:
        match asked:
            case ["network", network]:
                return self._network(method, network)
            case ["moon"]:
                return 200, json.dumps(list(self.moons.values())).encode()
            case ["moon", moon]:
                return self._moon(method, moon)
            case ["controller", "network", network]:
                return self._own_network(method, network, body)
            case ["controller", "network", network, "member", *rest]:
                return self._controller(method, network, rest, body)
        return 404, b""

    def _local(self, asked: list[str], body: dict[str, Any]) -> tuple[int, bytes]:
        if asked == ["status"]:
            status, said = recorded(self.status)
            return status, self.bonding.status(said)
        if asked == ["peer"]:
            status, said = recorded(self.peers)
            return status, self.bonding.peers(said)
        if asked == ["config", "settings"]:
            self.bonding.post(body)
            return 200, b"{}"
        return (200, json.dumps(self.bonding.conf).encode()) if asked == ["config"] else (404, b"")

    def _network(self, method: str, network: str) -> tuple[int, bytes]:
        if method == "DELETE":
            there, self.network = self.network, None
            return recorded("network-leave-response" if there else "network-leave-not-joined")
        if method == "POST" and not self.tun:
            return recorded("network-join-no-tun")
        if method == "POST":
            self.network = "network-requesting"
            return recorded("network-join-response")
        if network not in {NETWORK, *self.networks} or self.network is None:
            return recorded("network-not-joined")
        if network in self.networks:
            return self._in_its_own(network)
        if self.coming:
            self.network = self.coming.pop(0)
        return recorded(self.network)

    def _in_its_own(self, network: str) -> tuple[int, bytes]:
        """What this node sees of a network that it controls itself."""
        member = self.members.get(self.node, {"authorized": False})
        if not member["authorized"]:
            return recorded("network-access-denied")
        shape = json.loads(recorded("network-ok")[1])
        addresses = [f"{one}/24" for one in member["ipAssignments"]]
        return 200, json.dumps(shape | {"id": network, "assignedAddresses": addresses}).encode()

    def _own_network(self, method: str, network: str, body: dict[str, Any]) -> tuple[int, bytes]:
        known = self.networks.get(network)
        if method == "POST":
            shape = json.loads(recorded("controller-network")[1])
            known = (known or shape | {"id": network, "nwid": network}) | body
            self.networks[network] = known
        if known is None:
            return recorded("controller-network-unknown")
        return 200, json.dumps(known).encode()

    def _moon(self, method: str, moon: str) -> tuple[int, bytes]:
        if method == "DELETE":
            self.moons.pop(moon, None)
            return recorded("network-leave-response")
        self.moons[moon] = json.loads(recorded("moon-orbit-response")[1]) | {"id": f"000000{moon}"}
        return 200, json.dumps(self.moons[moon]).encode()

    def _controller(
        self, method: str, network: str, rest: list[str], body: dict[str, Any]
    ) -> tuple[int, bytes]:
        if network not in self.networks and (network != NETWORK or not self.controller):
            return recorded("controller-network-unknown")
        if not rest:
            revisions = {one: member["revision"] for one, member in self.members.items()}
            return 200, json.dumps(revisions).encode()
        (member,) = rest
        if method == "POST":
            if member not in self.members:
                self._new_member(member, "controller-member-preauth")
            if body.get("authorized") is False:
                body = body | {"lastDeauthorizedTime": 1795380531999}
            self.members[member] |= body
            self.members[member]["revision"] += 1
        if member not in self.members:
            return recorded("controller-member-unknown")
        return 200, json.dumps(self.members[member]).encode()

    def _new_member(self, member: str, recording: str) -> None:
        shape = json.loads(recorded(recording)[1])
        self.members[member] = shape | {"id": member, "address": member}


@contextmanager
def running(home: Path) -> Iterator[FakeZeroTier]:
    """A daemon that runs inside the block."""
    fake = FakeZeroTier(home)
    fake.start()
    try:
        yield fake
    finally:
        fake.stop()
