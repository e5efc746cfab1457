"""`zthook edge serve`: everything of the edge in one process.

The loop speaks HTTP and the control socket; the worker's thread decides; the kernel
outlives both, so that leaving withdraws nothing.
"""

import asyncio
import contextlib
import datetime as dt
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from ipaddress import IPv4Address
from typing import Any

from zthook.config.loading import load_edge
from zthook.config.places import Places
from zthook.config.settings import EdgeSettings
from zthook.edge.admin import Admin
from zthook.edge.api import Api, make_app
from zthook.edge.changes import Changes
from zthook.edge.fast_redial import FastRedial
from zthook.edge.keys import EdgeKeys, load_keys
from zthook.edge.metrics import MOST_MAPPINGS, Seen, readings
from zthook.edge.refusals import Refusals
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.server import Listener
from zthook.edge.service import EdgeService
from zthook.edge.web.site import Site
from zthook.edge.worker import Worker
from zthook.errors import OverlayDown, StoreError, ZthookError
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.watch import Watch
from zthook.metrics.exposition import Exposition
from zthook.metrics.place import place
from zthook.metrics.readings import Readings
from zthook.model.clock import SystemClock
from zthook.model.waiting import within
from zthook.overlay import open_overlay, paths_of
from zthook.store.sqlite import SqliteLedger
from zthook.wire import notify
from zthook.wire.control_server import serve as serve_control

log = logging.getLogger("zthook.edge.daemon")

TICK_SECONDS = 0.5
GARBAGE = 50_000
"""So many new objects are looked through for cycles at a time. A look at a large edge makes
millions and no cycle: with Python's 700 a third of its time goes into looking for some.
"""
COALESCE_SECONDS = 0.25
"""However many notifications come, at most four passes a second."""


def run_edge(places: Places) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP reads edge.toml again.

    Raises ConfigError, NotEnrolled (no keys), StoreError before it serves. Ready as soon as
    the loop turns, whether the overlay is up or not.
    """
    settings = load_edge(places.edge_config)
    keys = load_keys(places.edge_keys, dt.datetime.now(dt.UTC))
    gc.set_threshold(GARBAGE)
    asyncio.run(EdgeDaemon(places, settings, keys).serve())


class EdgeDaemon:
    """One running edge. Everything but the service's calls happens on the loop."""

    def __init__(self, places: Places, settings: EdgeSettings, keys: EdgeKeys) -> None:
        self.places = places
        self.settings = settings
        self.keys = keys
        self.worker = Worker()
        self.changes = Changes()
        overlay = settings.overlay
        self.seen = SeenOverlay(open_overlay(overlay), self.hint, paths_of(overlay))
        self.redial = FastRedial(places.edge_journal, self)
        self.admin = Admin(self)
        self.exposition = Exposition(
            self._readings, lambda: place(self.settings.metrics, self.seen.device)
        )
        self._problems: dict[str, str] = {}
        self._watched = notify.watchdog_seconds() is not None
        self._hinted = asyncio.Event()
        self._look = asyncio.Event()
        self._reloading = asyncio.Event()
        self._stopping = asyncio.Event()

    async def serve(self) -> None:
        """Serve until told to stop. Raises StoreError, or what a pass failed with."""
        self.refusals = Refusals(asyncio.get_running_loop().time)
        self.web = Site(self, self.refusals)
        async with self._service() as self.service, self._watching():
            self.listener = self._listener(await self.worker.run(self.service.addresses))
            try:
                with self._signals():
                    async with serve_control(self.places.edge_socket, self.admin.commands()):
                        notify.ready()
                        log.info("edge %s serves", self.keys.edge_id)
                        await self._until_stopped(
                            self._passes(),
                            self._looks(),
                            self.redial.keep(),
                            self._reloads(),
                            self.exposition.keep(),
                            self.web.keep(),
                        )
                        notify.stopping()
            finally:  # before the store closes, also after a fault
                self.changes.close()
                await self.web.close()
                await self.listener.close()
                with self._telling("store", StoreError):
                    await self._note_refused()

    def hint(self, kind: str = "") -> None:
        """Something may have changed: pass soon, and look at the overlay where it may be that."""
        self._hinted.set()
        if kind in {"link", "address"}:
            self._look.set()

    def overlay_address(self) -> IPv4Address | None:
        """Ours on the overlay, as it was seen last."""
        device = self.seen.device
        found = (
            one for one in (device.addresses if device else ()) if isinstance(one, IPv4Address)
        )
        return next(found, None)

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, beside overlay and kernel."""
        return list(self._problems.values())

    async def reload(self) -> None:
        """Go by edge.toml as it is now. Raises ConfigError or Refused; then nothing changed."""
        settings = load_edge(self.places.edge_config)
        await self.worker.run(self.service.reload, settings)
        if settings.overlay != self.settings.overlay:
            self.seen.overlay = open_overlay(settings.overlay)
            self.seen.find_paths = paths_of(settings.overlay)
        self.settings = settings
        self._look.set()
        self._hinted.set()
        log.info("read %s again", self.places.edge_config)

    def _changed(self, host: str) -> None:
        """What the edge says of this host's claims is another than before."""
        self.changes.wake(host)
        self.web.looking.hint()

    @contextlib.asynccontextmanager
    async def _service(self) -> AsyncIterator[EdgeService]:
        loop = asyncio.get_running_loop()

        def begin() -> tuple[EdgeService, Callable[[], None]]:
            with contextlib.ExitStack() as opened:
                ledger = SqliteLedger(self.places.store)
                opened.callback(ledger.close)
                dataplane = KernelEdgeDataplane()
                opened.callback(dataplane.close)
                service = EdgeService(
                    ledger=ledger,
                    dataplane=dataplane,
                    clock=SystemClock(),
                    settings=self.settings,
                    overlay=lambda: self.seen.device,
                    edge_id=self.keys.edge_id,
                    notify=lambda host: _tell(loop, self._changed, host),
                    turns=self.worker,
                )
                service.start()
                return service, opened.pop_all().close

        try:
            await self.seen.look()
            service, end = await self.worker.run(begin)
            try:
                yield service
            finally:
                await self.worker.run(end)
        finally:
            self.worker.close()

    @contextlib.asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        watch = Watch(self.hint)
        try:
            yield
        finally:
            watch.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGTERM: self._stopping.set,
            signal.SIGINT: self._stopping.set,
            signal.SIGHUP: self._reloading.set,
        }
        for number, act in handlers.items():
            loop.add_signal_handler(number, act)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _listener(self, addresses: Sequence[str]) -> Listener:
        api = Api(
            self.service,
            self.worker,
            self.changes,
            edge_id=self.keys.edge_id,
            ca_pem=self.keys.ca_pem,
        )
        for address in addresses:
            api.strangers.welcome(address)
        app, context = make_app(api, self.refusals), self.keys.server_context()
        return Listener(app, context, api.strangers.regular)

    async def _until_stopped(self, *jobs: Coroutine[Any, Any, None]) -> None:
        """Until told to stop, or one of the endless ``jobs`` failed: then that is raised."""
        stopping = asyncio.create_task(self._stopping.wait())
        tasks = [asyncio.create_task(job) for job in jobs]
        await asyncio.wait([stopping, *tasks], return_when="FIRST_COMPLETED")
        for task in (stopping, *tasks):
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _passes(self) -> None:
        while True:
            self._hinted.clear()
            await self._follow()
            with self._telling("store", StoreError):
                await self.worker.run(self.service.tick)
                if self.refusals.due():
                    await self._note_refused()
            if self._watched:
                notify.alive()
            await asyncio.sleep(COALESCE_SECONDS)
            await within(self._hinted, TICK_SECONDS - COALESCE_SECONDS)

    async def _note_refused(self) -> None:
        await self.worker.run(self.service.note_refused, self.refusals.take())

    async def _looks(self) -> None:
        while True:
            await within(self._look, self.settings.resync_seconds)
            self._look.clear()
            await self.seen.look()

    async def _reloads(self) -> None:
        while True:
            await self._reloading.wait()
            self._reloading.clear()
            notify.reloading()
            try:
                await self.reload()
            except ZthookError as error:
                log.error("went on with the settings before: %s", error.message)  # noqa: TRY400
            notify.reloaded()

    async def _readings(self) -> Readings:
        report = await self.admin.report()
        few = sum(report.status.mappings.values()) <= MOST_MAPPINGS
        mappings = await self.worker.run(self.service.mappings) if few else []
        seen = Seen(report, mappings, self.refusals.by_status, self.service.pass_durations)
        return readings(seen)

    async def _follow(self) -> None:
        """Listen where the overlay's address is now; without one, where it was."""
        address = self.overlay_address()
        if address is not None:
            with self._telling("listening", OverlayDown):
                await self.listener.listen(address, self.settings.api_port)

    @contextlib.contextmanager
    def _telling(self, what: str, kind: type[ZthookError]) -> Iterator[None]:
        """Go on after an error of that kind: logged once, shown by status until it is over."""
        try:
            yield
        except kind as error:
            if self._problems.get(what) != error.message:
                log.error("%s (%s)", error.message, error.hint)  # noqa: TRY400
            self._problems[what] = error.message
        else:
            self._problems.pop(what, None)


def _tell(loop: asyncio.AbstractEventLoop, changed: Callable[[str], None], host: str) -> None:
    loop.call_soon_threadsafe(changed, host)
