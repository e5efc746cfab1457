"""How a host knows its edge: one pinned CA, and a certificate that names the edge's id.

The edge's overlay address may change and says nothing about who answers there, so the
certificate carries a name made of the edge's id, and clients ask for that name wherever
they connect.
"""

import hashlib
import http.client
import ssl
from binascii import Error as NotBase64

from zthook.errors import EdgeUnreachable, TokenError
from zthook.wire.token import Token

_MAX_CA = 64 * 1024


def server_name(edge: str) -> str:
    """The name in the certificate of the edge whose id is ``edge``.

    httpx: ``extensions={"sni_hostname": server_name(edge)}`` on each request.
    """
    return f"{edge}.edge.zthook"


def fingerprint(ca_pem: str) -> str:
    """SHA-256 over a certificate's DER, hex. Raises ValueError where it is no PEM."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca_pem)).hexdigest()


def pinned_context(ca_pem: str) -> ssl.SSLContext:
    """A client context that trusts this CA alone, TLS 1.2 or newer, names checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    return context


def fetch_ca(token: Token, *, deadline: float = 10.0) -> str:
    """The CA certificate (PEM) of the edge that made ``token``, by asking its address.

    Nothing that comes back is believed but what the token's fingerprint confirms.
    ``deadline`` is in seconds for each wait. Raises EdgeUnreachable where nothing of ours
    answers, TokenError where another edge does.
    """
    where = f"{token.address}:{token.port}"
    try:
        found = _unverified_get(token, deadline)
        told = fingerprint(found)
    except (ValueError, NotBase64) as error:
        raise EdgeUnreachable(
            f"what answers at {where} is no zthook edge: {error}",
            hint="is that the edge's overlay address, and does `zthook edge serve` run there?",
        ) from error
    if told != token.ca:
        raise TokenError(
            f"the edge at {where} is not the one that made this token (its CA is another)",
            hint="make a new token there: zthook edge host add NAME",
        )
    return found


def _unverified_get(token: Token, deadline: float) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    link = http.client.HTTPSConnection(token.address, token.port, timeout=deadline, context=context)
    try:
        link.request("GET", "/v1/ca")
        answer = link.getresponse()
        text = answer.read(_MAX_CA).decode("ascii", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise EdgeUnreachable(
            f"no edge answers at {token.address}:{token.port}: {error}",
            hint="is this machine on the overlay (ping that address), does the edge's daemon run,"
            f" and does a firewall on the edge let TCP port {token.port} in from the overlay?",
        ) from error
    finally:
        link.close()
    if answer.status != http.client.OK:
        raise ValueError(f"status {answer.status} for /v1/ca")
    return text
