"""The page's part of the daemon: where it is served, by whom it is seen, what it shows."""

import asyncio
import logging
import time
from collections.abc import Collection
from typing import Protocol

from zthook.config.places import Places
from zthook.config.settings import EdgeSettings
from zthook.edge.admin_views import EdgeReport, WebView
from zthook.edge.excerpts import Asked
from zthook.edge.keys import EdgeKeys
from zthook.edge.metrics import MOST_MAPPINGS
from zthook.edge.refusals import Refusals
from zthook.edge.seen_overlay import SeenOverlay
from zthook.edge.server import Listener
from zthook.edge.service import EdgeService
from zthook.edge.web.app import Page, make_page
from zthook.edge.web.logins import Logins
from zthook.edge.web.looking import Looking, Seen
from zthook.edge.web.token import PageToken
from zthook.edge.web.traces import Traces
from zthook.edge.worker import Worker
from zthook.metrics.place import Place, Port, place
from zthook.model.clock import Clock, SystemClock
from zthook.store.events import Wanted

log = logging.getLogger("zthook.edge.web")

AGAIN_SECONDS = 2.0
"""Between two looks at where to listen, and between tries where somebody else has the port."""
MOST_CONNECTIONS = 256
EVENTS = 50
TROUBLED = 12


class Reports(Protocol):
    """Who tells how the edge is: ``edge.admin.Admin``."""

    async def report(self) -> EdgeReport: ...


class Edge(Protocol):
    """What of the daemon the page is about."""

    worker: Worker
    service: EdgeService
    seen: SeenOverlay
    places: Places
    settings: EdgeSettings
    keys: EdgeKeys

    @property
    def admin(self) -> Reports: ...


class Site:
    """``fault`` says why the page is not served though it should be."""

    def __init__(self, edge: Edge, refusals: Refusals, clock: Clock | None = None) -> None:
        self.fault = ""
        self.looking = Looking(self._look)
        self._edge = edge
        self._clock = clock or SystemClock()
        self._token = PageToken(edge.places.web_token)
        self._logins = Logins(time.monotonic)
        self._traces = Traces()
        self._at: Place | None = None
        page = Page(self._token, self._logins, self.looking)
        self._listener = Listener(
            make_page(page, refusals),
            edge.keys.server_context(),
            self._logins.regular,
            MOST_CONNECTIONS,
        )

    async def keep(self) -> None:
        """Serve until cancelled, wherever it is to be. What fails is tried again."""
        looking = asyncio.create_task(self.looking.keep())
        try:
            while True:
                wanted = place(self._edge.settings.web, self._edge.seen.device)
                if wanted != self._at or (wanted is not None and not self._listener.alive):
                    await self._move(wanted)
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            looking.cancel()

    async def _move(self, wanted: Place | None) -> None:
        await self.close()
        self._at, fault = None, ""
        if isinstance(wanted, Port):
            try:
                await self._listener.serve(wanted.bound())
            except OSError as error:
                fault = f"the web page can not be served at {wanted}: {error.strerror or error}"
            else:
                self._at = wanted
                log.info("the web page is served at %s", wanted)
        if fault and fault != self.fault:
            log.error("%s", fault)
        self.fault = fault

    async def close(self) -> None:
        """Let go of everybody, and leave."""
        self.looking.dismiss()
        await self._listener.close()

    def view(self, token: str = "") -> WebView:
        """What ``zthook edge web`` tells."""
        at = self._at
        return WebView(
            wanted=str(self._edge.settings.web) if self._edge.settings.web else None,
            url=f"https://{at.shown}/" if isinstance(at, Port) else None,
            certificate_sha256=self._edge.keys.certificate_sha256,
            token=token,
            token_made=self._token.made,
            logged_in=len(self._logins),
            watching=len(self.looking),
            why=self.fault or ("" if at else self._why_not()),
        )

    def renew(self) -> WebView:
        """A new token: the one before is good for nothing, and who logged in with it is out.

        Raises StoreError.
        """
        token = self._token.renew()
        self._logins.end_all()
        self.looking.wake()
        log.info("the web page has a new token, and everybody is logged out")
        return self.view(token)

    def _why_not(self) -> str:
        if self._edge.settings.web is None:
            return "it is off: nothing is set as [web] listen in edge.toml"
        down = self._edge.seen.why
        return f"the overlay is down: {down}" if down else "it is about to be"

    async def _look(self, wanted: Collection[Asked]) -> Seen:
        """Several turns of the thread that decides, so that it is nowhere long."""
        edge, service, run = self._edge, self._edge.service, self._edge.worker.run
        report = await edge.admin.report()
        few = sum(report.status.mappings.values()) <= MOST_MAPPINGS
        traffic = await run(service.traffic) if few else {}
        found = {asked: await run(service.excerpt, asked, traffic) for asked in wanted}
        at = self._clock.now()
        self._traces.note(at, traffic)
        return Seen(
            at=at,
            report=report,
            excerpts=found,
            troubled=await run(service.troubled, TROUBLED),
            events=(await run(service.events, Wanted(most=EVENTS)))[::-1],
            points=self._traces.points(),
            traces={
                asked: [self._traces.of(one) for one in excerpt.mappings]
                for asked, excerpt in found.items()
            },
            counted=few,
        )
