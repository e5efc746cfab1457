"""The first meeting of host and edge: what answers must be what made the token."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.edge_api.standin import keys_in
from zthook.edge.keys import EdgeKeys
from zthook.errors import EdgeUnreachable, TokenError
from zthook.wire.tls import fetch_ca, fingerprint
from zthook.wire.token import Token


@contextmanager
def answering(keys: EdgeKeys, body: bytes, status: int = 200) -> Iterator[int]:
    """A TLS server that gives ``body`` to whatever is asked; its port."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = keys.server_context().wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
        server.socket.close()


def token(keys: EdgeKeys, port: int) -> Token:
    return Token(keys.edge_id, keys.ca_sha256, "127.0.0.1", port, "secret")


def test_the_tokens_edge_is_believed(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    with answering(keys, keys.ca_pem.encode()) as port:
        assert fingerprint(fetch_ca(token(keys, port))) == keys.ca_sha256


def test_another_edge_is_named_as_that(tmp_path: Path) -> None:
    keys, other = keys_in(tmp_path / "one"), keys_in(tmp_path / "other")
    with (
        answering(other, other.ca_pem.encode()) as port,
        pytest.raises(TokenError, match="is not the one that made this token"),
    ):
        fetch_ca(token(keys, port))


@pytest.mark.parametrize(
    ("body", "status"), [(b"<html>", 200), (b"", 200), (b"no", 404), (b"x" * 1_000_000, 200)]
)
def test_what_is_no_edge_is_named_as_that(tmp_path: Path, body: bytes, status: int) -> None:
    keys = keys_in(tmp_path)
    with (
        answering(keys, body, status) as port,
        pytest.raises(EdgeUnreachable, match="is no zthook edge"),
    ):
        fetch_ca(token(keys, port))


def test_nobody_there(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    with answering(keys, b"") as port:
        pass
    with pytest.raises(EdgeUnreachable, match=r"no edge answers at 127\.0\.0\.1"):
        fetch_ca(token(keys, port))


def test_what_speaks_no_tls(tmp_path: Path) -> None:
    keys = keys_in(tmp_path)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(EdgeUnreachable, match="no edge answers"):
            fetch_ca(token(keys, server.server_port))
        thread.join()


def test_no_other_ca_is_ever_trusted(tmp_path: Path) -> None:
    from zthook.wire.tls import pinned_context

    context = pinned_context(keys_in(tmp_path).ca_pem)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == 1
