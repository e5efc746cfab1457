"""The real server on loopback: TLS, pinning, limits, following an address."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import IPv4Address
from pathlib import Path

import httpx
import pytest

from tests.edge_api.running import HERE, THERE, Running
from tests.edge_api.standin import Stage, keys_in, until
from zthook.edge import connection, doorway, server
from zthook.edge.keys import EdgeKeys
from zthook.errors import OverlayDown
from zthook.wire.messages import MAX_BODY
from zthook.wire.tls import pinned_context, server_name


async def test_a_pinned_client_is_served_by_the_edges_name(running: Running) -> None:
    async with running.client() as client:
        answer = await client.get("/v1/health")
    assert answer.json() == {"edge": running.keys.edge_id or ""} | {"edge": "19e1a11125cfd6f7"}
    assert "server" not in answer.headers


async def test_another_edges_ca_is_refused_by_the_client(running: Running, tmp_path: Path) -> None:
    other = keys_in(tmp_path / "other")
    async with running.client(context=pinned_context(other.ca_pem)) as client:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get("/v1/health")


async def test_another_name_under_the_same_ca_is_refused_by_the_client(running: Running) -> None:
    context = pinned_context(running.keys.ca_pem)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await client.get(
                f"https://127.0.0.1:{running.port}/v1/health",
                extensions={"sni_hostname": server_name("another")},
            )


async def test_tls_before_1_2_is_refused(running: Running) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        await asyncio.open_connection("127.0.0.1", running.port, ssl=context)


async def test_the_source_is_the_connections(running: Running) -> None:
    beat = {"session": 1, "sequence": 1}
    async with running.client() as client:
        headers = {"x-forwarded-for": "192.168.193.9", "forwarded": "for=192.168.193.9"}
        await client.post("/v1/heartbeat", json=beat, headers=headers)
    assert running.stage.service.asked == [("heartbeat", "home1", HERE)]


async def test_a_change_is_heard_through_tls(running: Running) -> None:
    async with running.client() as client:
        asked = asyncio.create_task(client.get("/v1/changes?session=0&after=1"))
        await running.stage.waiting("home1")
        running.stage.changed("home1")
        assert (await asyncio.wait_for(asked, 5)).json() == {"generation": 2}


async def test_a_client_that_leaves_is_waited_for_no_longer(running: Running) -> None:
    async with running.client() as client:
        asked = asyncio.create_task(client.get("/v1/changes?session=0&after=1"))
        await running.stage.waiting("home1")
        asked.cancel()
        await asyncio.wait({asked})
    await until(lambda: not running.stage.changes._waiting)


def test_the_socket_names_its_protocol() -> None:
    """asyncio turns Nagle's delay (40 ms a request) off only where the number says TCP."""
    with server.bind(HERE, 0) as link:
        assert link.proto == socket.IPPROTO_TCP


async def test_a_body_of_ten_megabytes_is_cut_off(running: Running) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += 65536
            yield b" " * 65536

    async with running.client() as client:
        try:
            answer = await client.put(
                "/v1/claims", content=body(), headers={"content-type": "application/json"}
            )
        except httpx.TransportError:
            pass  # the edge closed while we were still speaking: just as good
        else:
            assert answer.status_code == 413
        assert sent < MAX_BODY + 16 * 1024 * 1024
        assert (await client.get("/v1/health")).status_code == 200


async def test_a_connection_that_asks_nothing_is_closed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    context = pinned_context(running.keys.ca_pem)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        running.port,
        ssl=context,
        server_hostname=server_name(running.keys.edge_id),
    )
    writer.write(b"GET /v1/health HTTP/1.1\r\nx-slow: ")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(_read_or_raise(reader), 5)
    writer.transport.abort()


async def _read_or_raise(reader: asyncio.StreamReader) -> None:
    if not await reader.read():
        raise ConnectionError("closed")


async def test_one_source_can_not_take_all_connections(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorway, "MOST_OF_ONE_SOURCE", 2)
    async with running.client() as one, running.client() as two, running.client() as three:
        await one.get("/v1/health")
        await two.get("/v1/health")
        with pytest.raises(httpx.TransportError):
            await three.get("/v1/health")
        assert (await one.get("/v1/health")).status_code == 200


async def test_a_header_without_end_is_refused(running: Running) -> None:
    async with running.client() as client:
        answer = await client.get("/v1/health", headers={"x-long": "x" * 100_000})
    assert answer.status_code == 400


async def test_it_follows_its_address_and_leaves_the_old_one(running: Running) -> None:
    async with running.client() as client:
        asked = asyncio.create_task(client.get("/v1/changes?session=0&after=1"))
        await running.stage.waiting("home1")
        moving = asyncio.create_task(running.listener.listen(THERE, running.port))
        async with running.client(THERE) as other:
            await until(lambda: running.listener.place == (THERE, running.port))
            assert (await other.get("/v1/health")).status_code == 200
        running.stage.changed("home1")
        assert (await asked).status_code == 200, "what was asked before is answered"
        await moving
    async with running.client() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/v1/health")


async def test_the_same_place_again_cuts_nobody_off(running: Running) -> None:
    async with running.client() as client:
        asked = asyncio.create_task(client.get("/v1/changes?session=0&after=1"))
        await running.stage.waiting("home1")
        await running.listener.listen(HERE, running.port)
        running.stage.changed("home1")
        assert (await asked).status_code == 200


async def test_an_address_that_is_not_there_yet_can_be_listened_on(
    stage: Stage, keys: EdgeKeys
) -> None:
    made = Running(stage, keys)
    await made.listener.listen(IPv4Address("192.0.2.77"), made.port)
    assert made.listener.place == (IPv4Address("192.0.2.77"), made.port)
    await made.listener.close()


async def test_a_taken_port_is_named_and_the_place_before_stays(running: Running) -> None:
    with socket.socket() as taken:
        taken.bind((str(THERE), 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OverlayDown, match=f"can not listen on {THERE}:{port}: Address already"):
            await running.listener.listen(THERE, port)
    async with running.client() as client:
        assert (await client.get("/v1/health")).status_code == 200


async def test_who_is_told_to_end_while_it_leaves_can_still_leave(running: Running) -> None:
    async with running.client() as client:
        await client.post("/v1/session", json={"agent": "0.1.0", "instance": "one"})
        asking = asyncio.create_task(client.get("/v1/changes?session=1&after=1"))
        await running.stage.waiting("home1")
        leaving = asyncio.create_task(running.listener.close())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        running.stage.changes.close()
        await running.listener.close()
        assert (await asking).status_code == 200
