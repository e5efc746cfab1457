"""The real edge's API and decisions, on a kernel in memory, reached without a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network

import httpx

from tests.host.edge import CREDENTIAL, mac_of
from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.api import Api, make_app
from zthook.edge.changes import Changes
from zthook.edge.refusals import Refusals
from zthook.edge.service import EdgeService
from zthook.edge.worker import Worker
from zthook.host.credential import Credential
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.edge.fake import OVERLAY, FakeEdgeKernel
from zthook.model.addresses import AddressRange, Pool
from zthook.model.clock import ManualClock
from zthook.store.memory import MemoryLedger

SETTINGS = EdgeSettings(
    OverlaySettings("interface", interface="zt0"),
    pools=(Pool("hk", (AddressRange.parse("203.0.113.10-203.0.113.200"),), "eth0"),),
)


class RealEdge:
    """An EdgeService behind its API; its daemon can be stopped and started."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.kernel = FakeEdgeKernel()
        self.kernel.on_link = {"zt0": (IPv4Network("192.168.193.0/24"),)}
        self.clock = ManualClock()
        self.worker = Worker()
        self.boot()

    def boot(self) -> None:
        self.changes = Changes()
        self.service = EdgeService(
            ledger=self.ledger,
            dataplane=KernelEdgeDataplane(self.kernel),
            clock=self.clock,
            settings=SETTINGS,
            overlay=lambda: OVERLAY,
            edge_id="edge-1",
            notify=self.notify,
            turns=self.worker,
        )
        self.service.start()
        api = Api(self.service, self.worker, self.changes, edge_id="edge-1", ca_pem="")
        self.app = make_app(api, Refusals(lambda: 0.0))

    def notify(self, host: str) -> None:
        self.loop.call_soon_threadsafe(self.changes.wake, host)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["RealEdge"]:
        self.loop = asyncio.get_running_loop()
        try:
            yield self
        finally:
            self.changes.close()
            self.worker.close()

    def enrol(
        self, name: str, group: str | None = None
    ) -> tuple[Credential, httpx.AsyncBaseTransport]:
        """A credential for a new host, and its way here."""
        invitation = self.service.add_host(name, group=group)
        reply = self.service.enrol(invitation.secret, name)
        credential = Credential(
            "edge-1", CREDENTIAL.address, CREDENTIAL.port, name, "", reply.credential
        )
        address = IPv4Address("192.168.193.1") + int(name.removeprefix("home"))
        self.kernel.macs[address] = mac_of(name)
        return credential, Way(self, str(address))

    def reached(self) -> dict[str, str]:
        """What the edge's kernel has: public address → private one."""
        return {str(public): str(private) for public, private in self.kernel.mappings().items()}


class Way(httpx.AsyncBaseTransport):
    """To the edge's present daemon, from ``source``; ``down`` cuts it."""

    def __init__(self, edge: RealEdge, source: str) -> None:
        self.edge = edge
        self.source = source
        self.down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("connection refused")
        app = httpx.ASGITransport(self.edge.app, client=(self.source, 5000))
        return await app.handle_async_request(request)
