"""What machines of the lab serve, run as a program inside their namespace: `service.py NAME PORTS`.

The protocol of tests/lab/guest/service, over IPv4 and IPv6, without what makes the guest itself do
something (a namespace is told so from outside); GET /flows beside it has a JSON object for each
connection to the TCP echo: who made it, how much came, the longest pause. PORTS are more pages
and UDP echoes, as "tcp/2000,udp/27000-27003". Stdlib only, and none of the lab, so that it starts
fast.
"""

import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

from pattern import pattern  # type: ignore[import-not-found]  # beside this program

NAME = sys.argv[1] if len(sys.argv) > 1 else "guest"
PORTS = sys.argv[2] if len(sys.argv) > 2 else ""
MAPPED = "::ffff:"
"""What an IPv4 address begins with inside an IPv6 socket."""

log: list[str] = []
flows: list[dict[str, Any]] = []


def seen(peer: tuple[Any, ...], port: int) -> str:
    """Who asked, and where he knocked."""
    return f"saw {peer[0].removeprefix(MAPPED)} port {peer[1]} on {port}"


class Pages(BaseHTTPRequestHandler):
    """HTTP as in the guest."""

    def do_GET(self) -> None:
        """GET / says who asks, /log who did, /bytes?COUNT gives the pattern, and so on."""
        path, _, query = self.path.partition("?")
        said = seen(self.connection.getpeername(), self.connection.getsockname()[1])
        log.append(said)
        if path == "/":
            self._answer(f"{NAME} {said}\n".encode())
        elif path == "/log":
            self._answer("".join(f"{line}\n" for line in log).encode())
        elif path == "/flows":
            self._answer("".join(f"{json.dumps(flow)}\n" for flow in flows).encode())
        elif path == "/bytes":
            self._answer(pattern(int(query)))
        elif path == "/drip":
            self._drip(int(query) / 1000)
        else:
            self.send_error(404)

    def do_PUT(self) -> None:
        """PUT /sink says how many bytes of the pattern came."""
        count = int(self.headers["content-length"])
        came = self.rfile.read(count)
        self._answer(b"%d %s\n" % (len(came), b"ok" if came == pattern(count) else b"damaged"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Quiet: the test says what it saw."""

    def _drip(self, seconds: float) -> None:
        self.send_response(200)
        self.end_headers()
        line = 0
        try:
            while True:
                self.wfile.write(b"%015d\n" % line)
                line += 1
                time.sleep(seconds)
        except OSError:
            pass  # nobody reads any more

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class TcpEcho(BaseRequestHandler):
    """Sends back what comes."""

    def handle(self) -> None:
        """One connection."""
        flow = {"who": self.client_address[0].removeprefix(MAPPED), "bytes": 0, "pause": 0.0}
        flows.append(flow)
        last = time.monotonic()
        try:
            while part := self.request.recv(65536):
                now = time.monotonic()
                flow["pause"], last = max(flow["pause"], now - last), now
                flow["bytes"] += len(part)
                self.request.sendall(part)
        except OSError:
            pass  # broken off: the other side says so


class Dual:
    """Over IPv4 and IPv6, without the reverse lookup of the base class: it waits for a resolver."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True

    def server_bind(self: Any) -> None:
        """Bind, nothing else."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = NAME, self.server_address[1]


class Http(Dual, ThreadingHTTPServer):
    """Pages."""


class Echo(Dual, ThreadingTCPServer):
    """A TCP echo."""


def datagrams(port: int) -> socket.socket:
    """A socket that says to which of this machine's addresses a datagram came."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    made.bind(("::", port))
    return made


def echo_datagrams(sock: socket.socket) -> None:
    """Answer from the address that was asked; "who" is told who he is."""
    while True:
        text, control, _, peer = sock.recvmsg(65536, socket.CMSG_SPACE(20))
        if text == b"who":
            text = f"{NAME} {seen(peer, sock.getsockname()[1])}".encode()
        asked = [one[:16] + struct.pack("i", 0) for _, _, one in control]
        from_there = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, one) for one in asked]
        with suppress(OSError):  # no way back now: as a datagram that was lost
            sock.sendmsg([text], from_there, 0, peer)


def more_ports(words: str) -> Iterator[tuple[str, int]]:
    """Each protocol and port of "tcp/2000,udp/27000-27003"."""
    for protocol, first, last in re.findall(r"(tcp|udp)/(\d+)(?:-(\d+))?", words):
        for port in range(int(first), int(last or first) + 1):
            yield protocol, port


def main() -> None:
    """Serve until killed; prints "ready" once everything listens."""
    more = list(more_ports(PORTS))
    pages = [80, 8080, *(port for protocol, port in more if protocol == "tcp")]
    servers: list[Any] = [Http(("::", port), Pages) for port in pages]
    servers.append(Echo(("::", 7), TcpEcho))
    sockets = [datagrams(port) for port in (7, *(port for what, port in more if what == "udp"))]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    threads += [threading.Thread(target=echo_datagrams, args=(one,)) for one in sockets]
    for thread in threads:
        thread.start()
    print("ready", flush=True)


if __name__ == "__main__":
    main()
