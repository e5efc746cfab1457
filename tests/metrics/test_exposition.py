"""Metrics over HTTP, as Prometheus and others ask for them."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.documents.test_monitoring import PROCESS
from tests.host.standins import until
from zthook.errors import StoreError
from zthook.metrics import exposition
from zthook.metrics.exposition import MOST_ASKERS, Exposition, Read
from zthook.metrics.place import Place, Port
from zthook.metrics.readings import Metric, Readings
from zthook.model.durations import BOUNDS, Durations

HOSTS = Metric("zthook_test_hosts", "gauge", "Hosts.", ("state",))
REPAIRS = Metric("zthook_test_repairs_total", "counter", "Repairs.")
PASSES = Metric("zthook_test_pass_duration_seconds", "histogram", "Passes.")


async def read() -> Readings:
    passes = Durations()
    for seconds in (0.0005, 0.03, 0.03, 99.0):
        passes.note(seconds)
    made = Readings()
    made.set(HOSTS, 2, 'a "quoted"\nline')
    made.set(HOSTS, None, "unknown")
    made.set(REPAIRS, 7)
    made.time(PASSES, passes)
    return made


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@asynccontextmanager
async def serving(place: Place, read: Read = read) -> AsyncIterator[Exposition]:
    made = Exposition(read, lambda: place)
    task = asyncio.create_task(made.keep())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(
    place: Place, path: str = "/metrics", method: str = "GET", **more: Any
) -> httpx.Response:
    """Ask until somebody listens there."""
    if isinstance(place, Port):
        way, host = httpx.AsyncHTTPTransport(), str(place)
    else:
        way, host = httpx.AsyncHTTPTransport(uds=str(place)), "localhost"
    async with httpx.AsyncClient(transport=way) as client, asyncio.timeout(20):
        while True:
            try:
                return await client.request(method, f"http://{host}{path}", **more)
            except httpx.ConnectError:
                await asyncio.sleep(0.01)


def samples(text: str) -> dict[str, float]:
    return {
        f"{one.name}{sorted(one.labels.items()) or ''}": one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.fixture(params=["IPv4", "IPv6", "socket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "socket":
        return tmp_path / "metrics.sock"
    here = IPv4Address("127.0.0.1") if request.param == "IPv4" else IPv6Address("::1")
    return Port(here, free_port())


async def test_what_is_read_is_told(place: Place) -> None:
    async with serving(place):
        answer = await ask(place)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    told = samples(answer.text)
    assert told["""zthook_test_hosts[('state', 'a "quoted"\\nline')]"""] == 2
    assert told["zthook_test_repairs_total"] == 7
    assert told["zthook_test_pass_duration_seconds_sum"] == pytest.approx(99.0605)
    buckets = {
        bound: told[f"zthook_test_pass_duration_seconds_bucket[('le', '{bound}')]"]
        for bound in (BOUNDS[0], 0.025, 0.05, BOUNDS[-1], "+Inf")
    }
    assert buckets == {BOUNDS[0]: 1, 0.025: 1, 0.05: 3, BOUNDS[-1]: 3, "+Inf": 4}
    assert told["process_resident_memory_bytes"] > 0
    assert "unknown" not in answer.text


async def test_openmetrics_where_it_is_asked_for(place: Place) -> None:
    async with serving(place):
        accept = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
        answer = await ask(place, headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    names = {one.name for one in openmetrics.text_string_to_metric_families(answer.text)}
    assert {"zthook_test_hosts", "zthook_test_repairs"} <= names


async def test_it_answers_for_nothing_else(place: Place) -> None:
    async with serving(place):
        assert (await ask(place, "/")).status_code == 404
        assert (await ask(place, method="POST")).status_code == 405
        head = await ask(place, method="HEAD")
        assert (head.status_code, head.content) == (200, b"")


async def test_what_can_not_be_read_is_said(place: Place) -> None:
    async def fail() -> Readings:
        raise StoreError("the store is damaged")

    async with serving(place, fail):
        answer = await ask(place)
    assert (answer.status_code, answer.text) == (503, "the store is damaged\n")


async def test_a_socket_is_taken_over_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with serving(path):
        assert (await ask(path)).status_code == 200
        assert path.stat().st_mode & 0o777 == 0o666
    assert not path.exists()


async def test_a_port_that_is_taken_is_said_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exposition, "AGAIN_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as other:
        place = Port(IPv4Address("127.0.0.1"), other.getsockname()[1])
        async with serving(place) as made:
            await until(lambda: made.fault)
            assert made.fault == f"metrics can not be served at {place}: Address already in use"
            other.close()
            assert (await ask(place)).status_code == 200
            assert made.fault == ""


async def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("ours")
    async with serving(path) as made:
        await until(lambda: made.fault)
        assert "already in use" in made.fault
    assert path.read_text() == "ours"


async def test_it_follows_where_it_is_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "AGAIN_SECONDS", 0.01)
    places: list[Place | None] = [None, tmp_path / "nowhere" / "a.sock", tmp_path / "b.sock"]
    made = Exposition(read, lambda: places[0])
    task = asyncio.create_task(made.keep())
    places.pop(0)
    await until(lambda: made.fault)
    places.insert(0, None)
    await until(lambda: not made.fault)
    del places[:2]
    assert (await ask(tmp_path / "b.sock")).status_code == 200
    places.insert(0, tmp_path / "c.sock")
    assert (await ask(tmp_path / "c.sock")).status_code == 200
    assert not (tmp_path / "b.sock").exists()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_asks_nothing_keeps_nobody_else_out_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "ASK_SECONDS", 0.2)
    path = tmp_path / "metrics.sock"
    async with serving(path):
        assert (await ask(path)).status_code == 200
        silent = [await asyncio.open_unix_connection(path) for _ in range(MOST_ASKERS)]
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b"", "one too many"
        writer.close()
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()
        assert (await ask(path)).status_code == 200


@pytest.mark.parametrize("sent", [b"\r\n\r\n", b"GET\r\n\r\n", b"x" * 10_000, b"GET /metrics"])
async def test_what_is_no_request(tmp_path: Path, sent: bytes) -> None:
    path = tmp_path / "metrics.sock"
    async with serving(path):
        assert (await ask(path)).status_code == 200
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(sent)
        writer.write_eof()
        answer = await reader.read()
        assert answer[:12] in (b"", b"HTTP/1.1 405")
        writer.close()
        assert (await ask(path)).status_code == 200


def test_nobody_pays_for_metrics_that_are_off() -> None:
    look = "import sys, zthook.edge.daemon, zthook.host.daemon; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True, text=True)
    loaded = done.stdout.split()
    assert "zthook.metrics.exposition" in loaded
    assert "prometheus_client" not in loaded


def test_the_page_lists_what_a_process_takes() -> None:
    body, _ = exposition.written(Readings(), "")
    names = {
        one.name
        for family in text_string_to_metric_families(body.decode())
        for one in family.samples
    }
    assert names == PROCESS
