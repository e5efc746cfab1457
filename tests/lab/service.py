"""What a fake guest serves, run as a program inside its namespace: `service.py NAME`.

The same protocol as tests/lab/guest/service, without /renumber and /dhcp (a fake guest is
renumbered from outside). Stdlib only, and none of the lab, so that it starts fast.
"""

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer, ThreadingUDPServer

from pattern import pattern  # type: ignore[import-not-found]  # beside this program

NAME = sys.argv[1] if len(sys.argv) > 1 else "guest"


class Pages(BaseHTTPRequestHandler):
    """HTTP as in the guest."""

    def do_GET(self) -> None:
        """GET / says who asks, /bytes?COUNT gives the pattern."""
        path, _, query = self.path.partition("?")
        if path == "/":
            self._answer(b"%s saw %s port %d\n" % (NAME.encode(), *self._peer()))
        elif path == "/bytes":
            self._answer(pattern(int(query)))
        else:
            self.send_error(404)

    def do_PUT(self) -> None:
        """PUT /sink says how many bytes of the pattern came."""
        count = int(self.headers["content-length"])
        came = self.rfile.read(count)
        self._answer(b"%d %s\n" % (len(came), b"ok" if came == pattern(count) else b"damaged"))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """Quiet: the test says what it saw."""

    def _peer(self) -> tuple[bytes, int]:
        address, port = self.client_address[:2]
        return address.encode(), port

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class TcpEcho(BaseRequestHandler):
    """Sends back what comes."""

    def handle(self) -> None:
        """One connection."""
        while part := self.request.recv(65536):
            self.request.sendall(part)


class UdpEcho(BaseRequestHandler):
    """Sends back what comes."""

    def handle(self) -> None:
        """One datagram."""
        datagram, server_socket = self.request
        server_socket.sendto(datagram, self.client_address)


class Http(ThreadingHTTPServer):
    """Without the reverse lookup of the base class, which waits for a resolver."""

    def server_bind(self) -> None:
        """Bind, nothing else."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = NAME, self.server_address[1]


class Echo(ThreadingTCPServer):
    """A TCP echo."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve until killed; prints "ready" once everything listens."""
    servers = [Http(("", 80), Pages), Http(("", 8080), Pages), Echo(("", 7), TcpEcho)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    udp = ThreadingUDPServer(("", 7), UdpEcho)
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    udp.serve_forever()


if __name__ == "__main__":
    main()
