"""Serves metrics to Prometheus: HTTP to this machine or the overlay, GET /metrics and no more.

prometheus-client writes the formats; it is imported once metrics are served.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from http import HTTPStatus
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from zthook.errors import ZthookError
from zthook.metrics.place import Place
from zthook.metrics.readings import Readings
from zthook.model.durations import BOUNDS

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

log = logging.getLogger("zthook.metrics")

PATH = "/metrics"
AGAIN_SECONDS = 2.0
"""Between two looks at where to listen, and between tries where somebody else has the port."""
ASK_SECONDS = 5.0
"""How long an asker may take to say what it wants."""
MOST_BYTES = 8192
MOST_ASKERS = 8
"""At a time; Prometheus is one."""

Read = Callable[[], Awaitable[Readings]]


class Exposition:
    """``read`` is asked at each scrape, ``where`` now and then for where to serve: with None
    nothing is. ``fault`` says why nothing is served though it should be.
    """

    def __init__(self, read: Read, where: Callable[[], Place | None]) -> None:
        self.fault = ""
        self._read = read
        self._where = where
        self._one_by_one = asyncio.Lock()
        self._askers = 0

    async def keep(self) -> None:
        """Serve until cancelled, wherever it is to be. What fails is tried again."""
        while True:
            fault = ""
            if (place := self._where()) is not None:
                try:
                    await self._serve(place)
                    continue  # at another place
                except OSError as error:
                    fault = f"metrics can not be served at {place}: {error.strerror or error}"
            if fault and fault != self.fault:
                log.error("%s", fault)
            self.fault = fault
            await asyncio.sleep(AGAIN_SECONDS)

    async def _serve(self, place: Place) -> None:
        async with _listening(place, self._converse):
            log.info("metrics are served at %s", place)
            self.fault = ""
            while self._where() == place:  # noqa: ASYNC110  nobody tells when it changes
                await asyncio.sleep(AGAIN_SECONDS)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._askers += 1
        try:
            if self._askers <= MOST_ASKERS:
                async with asyncio.timeout(ASK_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._answer(head.decode("latin-1")))
                async with asyncio.timeout(ASK_SECONDS):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass  # the asker went away, or never came to the point
        finally:
            self._askers -= 1
            writer.close()

    async def _answer(self, head: str) -> bytes:
        request, *fields = head.split("\r\n")
        words = request.split(" ")
        if len(words) != 3 or words[0] not in {"GET", "HEAD"}:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, b"", "text/plain")
        if words[1].partition("?")[0] != PATH:
            return _response(HTTPStatus.NOT_FOUND, f"{PATH}\n".encode(), "text/plain")
        accepted = [one.partition(":")[2] for one in fields if one.lower().startswith("accept:")]
        async with self._one_by_one:
            try:
                readings = await self._read()
            except ZthookError as error:
                why = f"{error.message}\n".encode()
                return _response(HTTPStatus.SERVICE_UNAVAILABLE, why, "text/plain")
            body, kind = await asyncio.to_thread(written, readings, ",".join(accepted))
        return _response(HTTPStatus.OK, body if words[0] == "GET" else b"", kind)


@contextlib.asynccontextmanager
async def _listening(
    place: Place,
    converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[None]:
    """Raises OSError where it can not be listened there."""
    if isinstance(place, Path):
        # This takes away a socket that was left there, and nothing else.
        server = await asyncio.start_unix_server(converse, place, limit=MOST_BYTES)
    else:
        server = await asyncio.start_server(converse, sock=place.bound(), limit=MOST_BYTES)
    try:
        if isinstance(place, Path):
            # As on loopback, who is on this machine may read; its folder can be narrower.
            place.chmod(0o666)
        yield
    finally:
        server.close()
        if isinstance(place, Path):
            place.unlink(missing_ok=True)


def _response(status: HTTPStatus, body: bytes, kind: str) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def written(readings: Readings, accepted: str) -> tuple[bytes, str]:
    """The readings, and what this process takes, in the format that is ``accepted``; its name."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(readings))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accepted)
    return encode(registry), kind


class _Collected:
    """Readings as prometheus-client wants to collect them."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings

    def collect(self) -> Iterable["Family"]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for metric, values in self._readings.values.items():
            kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            family = kind(metric.name, metric.help, labels=metric.labels)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family
        for metric, taken in self._readings.durations.items():
            bounds = [*map(str, BOUNDS), "+Inf"]
            buckets = list(zip(bounds, accumulate(taken.counts), strict=True))
            histogram = HistogramMetricFamily(metric.name, metric.help)
            histogram.add_metric([], buckets, taken.seconds)
            yield histogram
