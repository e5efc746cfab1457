"""The edge in a storm: its service on a real kernel and a store on disk, dying and coming back."""

import asyncio
import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.faults import six
from tests.faults.deaths import Fate, MortalLedger
from tests.faults.ground import OVERLAY, UPLINK, Place
from zthook.config.settings import EdgeSettings, OverlaySettings
from zthook.edge.api import Api, make_app
from zthook.edge.changes import Changes
from zthook.edge.refusals import Refusals
from zthook.edge.service import EdgeService
from zthook.edge.worker import Worker
from zthook.errors import OverlayDown, StoreError
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.edge.fake import Crash
from zthook.kernel.edge.kernel import EdgeKernel
from zthook.kernel.edge.linux import LinuxEdgeKernel
from zthook.model.addresses import AddressRange, Pool
from zthook.model.clock import SystemClock
from zthook.model.mappings import OverlayDevice
from zthook.overlay.interface import InterfaceOverlay
from zthook.store.sqlite import SqliteLedger

T = TypeVar("T")

LEASE, GRACE = 3.0, 6.0
"""Seconds: so that leases end in a storm."""
SETTINGS = EdgeSettings(
    OverlaySettings("interface", interface=OVERLAY),
    lease_seconds=LEASE,
    grace_seconds=GRACE,
    resync_seconds=1.0,
    pools=(
        Pool("hk", (AddressRange.parse("203.0.113.10-203.0.113.17"),), UPLINK),
        Pool("auto", (AddressRange.parse("203.0.113.40-203.0.113.59"),), UPLINK),
        Pool("six", (AddressRange.parse("2001:db8:113::10-2001:db8:113::1f"),), UPLINK),
        Pool("far6", (AddressRange.parse("2001:db8:200::/64"),), UPLINK),
        Pool("auto6", (AddressRange.parse("2001:db8:113::40-2001:db8:113::4f"),), UPLINK),
    ),
)
TICK_SECONDS = 0.2
CHANGES = (
    "commit",
    "end_connections",
    "end_strangers",
    "forgive",
    "end_leftovers",
    "set_routes",
    "remove_routes",
    "set_proxy",
    "remove_proxy",
    "set_pinned",
    "remove_pinned",
    "add_rules",
    "remove_rules",
    "set",
    "open_firewalls",
)
"""The calls of EdgeKernel before which the daemon may end."""


class JumpyClock:
    """The machine's clocks; ``ahead`` is how wrong somebody set the time of day."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._real = SystemClock()

    def boottime(self) -> float:
        return self._real.boottime()

    def now(self) -> float:
        return self._real.now() + self.ahead

    def spent(self) -> float:
        return self._real.spent()


class _MortalKernel:
    """Hands every call on to a kernel; before one that changes it the daemon may end."""

    def __init__(self, kernel: EdgeKernel, fate: Fate) -> None:
        self._kernel = kernel
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        if name in CHANGES:
            self._fate.moment(f"before {name}")
        return getattr(self._kernel, name)


class StormyEdge:
    """``up`` while its daemon runs. ``ledger`` is the store as the daemon has it.

    ``forgot``: its table was flushed, and its daemon ended before it was there again, so that
    nothing tells the next one that this machine was no router.
    """

    def __init__(self, place: Place, folder: Path) -> None:
        self.forgot = False
        self.place = place
        self.clock = JumpyClock()
        self.fate = Fate()
        self.up = False
        self.overlay = InterfaceOverlay(OVERLAY)
        self._store = folder / "edge.sqlite"
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the daemon, with whatever store and kernel there are."""
        self._see_what_is_known()
        self.fate.end_at(None)
        self.place.run(self._start())

    def _see_what_is_known(self) -> None:
        """AssertionError where it is forgotten though nobody took the table away."""
        router = six.setting(self.place, "all/forwarding") == "1"
        forgot = router and "ipv6" not in six.elements(self.place, "zthook", "closed6")
        table = self.place.namespace.run("nft", "list", "table", "inet", "zthook", check=False)
        excused = self.forgot or table.returncode != 0
        assert excused or not forgot, "the daemon ended and left an open router"
        self.forgot = forgot

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self.worker, self.changes = Worker(), Changes()
        await self.worker.run(self._open, loop)
        api = Api(self.service, self.worker, self.changes, edge_id="edge-1", ca_pem="")
        self.app = make_app(api, Refusals(loop.time))
        self.up = True
        self._ticking = asyncio.create_task(self._tick())

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        changes = self.changes
        self.kernel = LinuxEdgeKernel()
        self.dataplane = KernelEdgeDataplane(_MortalKernel(self.kernel, self.fate))
        self.sqlite = SqliteLedger(self._store)
        self.ledger = MortalLedger(self.sqlite, self.fate)
        self.service = EdgeService(
            ledger=self.ledger.as_ledger,
            dataplane=self.dataplane,
            clock=self.clock,
            settings=SETTINGS,
            overlay=self._device,
            edge_id="edge-1",
            notify=lambda host: _wake(loop, changes, host),
            turns=self.worker,
        )
        self.service.start()

    def _device(self) -> OverlayDevice | None:
        try:
            return self.overlay.observe()
        except OverlayDown:
            return None

    async def _tick(self) -> None:
        while self.up:
            with contextlib.suppress(StoreError):
                try:
                    await self.worker.run(self.service.tick)
                except Crash:
                    self._die()
                    return
            await asyncio.sleep(TICK_SECONDS)

    def _die(self) -> None:
        """Nobody hears of it any more."""
        self.up = False
        self.fate.ended = True
        self.changes.close()

    def kill(self) -> None:
        """Where it stands, if it has not died already; what was open is closed, nothing else."""
        self.place.run(self._end())

    async def _end(self) -> None:
        self._die()
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        with contextlib.suppress(RuntimeError):  # the worker has ended already
            await self.worker.run(self._close)
        self.worker.close()

    def _close(self) -> None:
        self.dataplane.close()
        self.sqlite.close()

    def within(self, act: Callable[[], T]) -> T:
        """Called in the one thread that decides."""
        return self.place.run(self.worker.run(act))

    def store_refuses(self, how: str) -> None:
        """``full`` or ``read-only``, or ``""``: the store is as it should be. By SQLite itself."""

        def set_it() -> None:
            link = self.sqlite._link
            (pages,) = link.execute("PRAGMA page_count").fetchone()
            link.execute(f"PRAGMA max_page_count = {pages if how == 'full' else 1 << 30}")
            link.execute(f"PRAGMA query_only = {'ON' if how == 'read-only' else 'OFF'}")

        self.within(set_it)

    async def answer(self, request: httpx.Request, source: IPv4Address) -> httpx.Response:
        """What the daemon answers; ConnectError while there is none. Called on its own loop."""
        if not self.up:
            raise httpx.ConnectError("connection refused")
        way = httpx.ASGITransport(self.app, client=(str(source), 5000))
        try:
            response = await way.handle_async_request(request)
            content = await response.aread()
        except (Crash, RuntimeError) as error:  # a worker that is closed takes no more calls
            self._die()
            raise httpx.ReadError("connection reset") from error
        return httpx.Response(response.status_code, content=content)


def _wake(loop: asyncio.AbstractEventLoop, changes: Changes, host: str) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(changes.wake, host)
