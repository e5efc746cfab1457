"""Joining an edge with a one-time token, and leaving it."""

import asyncio
import socket
from pathlib import Path

import httpx

from zthook.errors import EdgeUnreachable, NotAuthenticated, Refused, Temporary, TokenError
from zthook.host.credential import Credential, load_credential, save_credential
from zthook.host.edge_http import EdgeHttp
from zthook.wire.messages import EnrolReply, EnrolRequest
from zthook.wire.tls import fetch_ca, fingerprint
from zthook.wire.token import Token, read_token


def join(
    path: Path, token_text: str, *, transport: httpx.AsyncBaseTransport | None = None
) -> Credential:
    """Spend a token and keep the credential at ``path``; returns it.

    A host that belongs to that edge already gets another credential for the one it has, and
    keeps that until the new one is kept. Raises Refused where this host belongs to another
    edge, TokenError (also where it is another of that edge's hosts), EdgeUnreachable.
    """
    token = read_token(token_text)
    known = known_there(path, token)
    return _enrol(path, token, known, fetch_ca(token), transport)


def known_there(path: Path, token: Token) -> Credential | None:
    """The credential that this host has at the token's edge.

    Raises Refused where it belongs to another edge.
    """
    known = load_credential(path) if path.exists() else None
    if known is not None and not _same_edge(known, token):
        raise Refused(
            f"this host belongs to the edge at {known.where} already, as {known.host}",
            hint="zthook leave ends that; then join again",
        )
    return known


def _same_edge(known: Credential, token: Token) -> bool:
    """By its CA too: our credential is shown to nobody who only names himself as our edge."""
    return (known.edge, fingerprint(known.ca_pem)) == (token.edge, token.ca)


def _enrol(
    path: Path,
    token: Token,
    known: Credential | None,
    ca_pem: str,
    transport: httpx.AsyncBaseTransport | None,
) -> Credential:
    # What proves the right to a credential is the secret. The one we have says who we are,
    # so that the edge does not make another of its hosts of this one.
    name, secret = (known.host, known.credential) if known is not None else ("", "")
    asking = Credential(token.edge, token.address, token.port, name, ca_pem, secret)
    reply = asyncio.run(_spend(asking, token.secret, transport))
    credential = Credential(
        token.edge, token.address, token.port, reply.host, ca_pem, reply.credential
    )
    save_credential(path, credential)
    return credential


async def _spend(
    asking: Credential, secret: str, transport: httpx.AsyncBaseTransport | None
) -> EnrolReply:
    http = EdgeHttp(asking, transport)
    try:
        request = EnrolRequest(secret=secret, hostname=socket.gethostname()[:256])
        return await http.send("POST", "enrol", EnrolReply, request)
    except TokenError as error:
        hint = error.hint or "make a new token on the edge: zthook edge host add NAME"
        raise TokenError(error.message, hint=hint) from error
    finally:
        await http.close()


def leave(
    path: Path, *, force: bool = False, transport: httpx.AsyncBaseTransport | None = None
) -> Credential:
    """Have the edge withdraw everything and forget this host; then forget the credential.

    With ``force`` the credential goes even where the edge does not answer. Raises
    NotEnrolled, EdgeUnreachable.
    """
    credential = load_credential(path)
    try:
        asyncio.run(_say_goodbye(credential, transport))
    except NotAuthenticated:
        pass  # the edge forgot us before: nothing is left there
    except Temporary as error:
        if not force:
            hint = "zthook leave --force forgets the edge here without its knowing"
            raise EdgeUnreachable(f"{error.message}; nothing was changed", hint=hint) from error
    path.unlink(missing_ok=True)
    return credential


async def _say_goodbye(credential: Credential, transport: httpx.AsyncBaseTransport | None) -> None:
    http = EdgeHttp(credential, transport)
    try:
        await http.send("DELETE", "enrolment", type(None))
    finally:
        await http.close()
