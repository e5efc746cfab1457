"""A listener on loopback with a service that answers, and clients of it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import httpx

from tests.edge_api.standin import HOME1, Stage
from zthook.edge.keys import EdgeKeys
from zthook.edge.server import Listener
from zthook.wire.tls import pinned_context, server_name

HERE = IPv4Address("127.0.0.1")
THERE = IPv4Address("127.0.0.2")


def free_port() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


class Running:
    """A listener on a stage, and clients of it."""

    def __init__(self, stage: Stage, keys: EdgeKeys) -> None:
        self.stage = stage
        self.keys = keys
        self.listener = Listener(stage.app, keys.server_context(), stage.strangers.regular)
        self.port = free_port()

    @asynccontextmanager
    async def client(
        self, address: IPv4Address = HERE, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        async def name(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = server_name(self.keys.edge_id)

        async with httpx.AsyncClient(
            base_url=f"https://{address}:{self.port}",
            verify=context or pinned_context(self.keys.ca_pem),
            event_hooks={"request": [name]},
            headers=HOME1,
            timeout=10,
            trust_env=False,
        ) as made:
            yield made

    async def raw(
        self, source: str = "127.0.0.1", context: ssl.SSLContext | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A TLS connection from ``source`` without HTTP."""
        return await asyncio.open_connection(
            str(HERE),
            self.port,
            ssl=context or pinned_context(self.keys.ca_pem),
            server_hostname=server_name(self.keys.edge_id),
            local_addr=(source, 0),
        )

    def knock(self, source: str = "127.0.0.1") -> socket.socket:
        """A TCP connection from ``source`` without TLS."""
        link = socket.create_connection((str(HERE), self.port), 5, (source, 0))
        link.settimeout(5)
        return link
