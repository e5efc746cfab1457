"""Who asks too much, too fast or too slowly: cut off, and in nobody else's way."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request

from tests.edge_api.running import Running
from tests.edge_api.standin import HOME1, HOME2, Stage, until
from zthook.edge import api, asked, callers, connection, doorway, strangers
from zthook.wire.messages import ErrorReply

GUEST = "6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11"
BEAT = {"session": 1, "sequence": 1}
SESSION = {"agent": "0.1.0", "instance": "one"}


def turned_away(answer: httpx.Response) -> int:
    """Check that this is that answer; the seconds that it wants us to wait."""
    assert (answer.status_code, answer.json()["error"]) == (429, "too_many"), answer.text
    seconds = int(answer.headers["retry-after"])
    assert seconds > 0
    return seconds


class TestRates:
    """How often somebody may ask. The clock is the stage's."""

    async def test_a_host_may_so_often_and_again_when_it_was_told(self, stage: Stage) -> None:
        async with stage.client() as client:
            for _ in range(int(callers.BURST)):
                answer = await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)
                assert answer.status_code == 200
                stage.time += 0.001
            while answer.is_success:
                answer = await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)
            seconds = turned_away(answer)
            done = len(stage.service.asked)
            assert done < callers.BURST * 1.1
            other = await client.post("/v1/heartbeat", json=BEAT, headers=HOME2)
            assert other.status_code == 200, "nobody else waits for it"
            stage.time += seconds
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success

    async def test_a_large_body_counts_as_many_requests(self, stage: Stage) -> None:
        claim = {"guest": GUEST, "name": "x" * 200, "public": "203.0.113.10"}
        large = {"session": 1, "sequence": 1, "claims": [claim] * 10_000}
        async with stage.client() as client:
            sent = 0
            while (await client.put("/v1/claims", json=large, headers=HOME1)).is_success:
                sent += 1
            assert 1 <= sent <= 3
            turned_away(await client.post("/v1/heartbeat", json=BEAT, headers=HOME1))

    async def test_so_many_requests_at_once(self, stage: Stage) -> None:
        path = "/v1/changes?session=0&after=1"
        async with stage.client() as client:
            waiting = [
                asyncio.create_task(client.get(path, headers=HOME1))
                for _ in range(callers.MOST_UNDER_WAY)
            ]
            await until(lambda: len(stage.changes._waiting["home1"]) == callers.MOST_UNDER_WAY)
            turned_away(await client.get(path, headers=HOME1))
            stage.changed("home1")
            answers = await asyncio.gather(*waiting)
            assert {one.status_code for one in answers} == {200}
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success

    @pytest.mark.parametrize(
        ("path", "headers"),
        [
            ("/v1/changes?session=0&after=1", {"authorization": "Bearer guessed"}),
            ("/v1/changes?session=0&after=1", {}),
            ("/v1/health", {}),
            ("/v1/openapi.json", {}),
            ("/no/such/thing", {}),
        ],
    )
    async def test_strangers_reach_nothing_once_they_asked_enough(
        self, stage: Stage, path: str, headers: dict[str, str]
    ) -> None:
        async with stage.client("10.147.0.66") as stranger, stage.client("10.147.0.11") as host:
            assert (await host.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            before = stage.service.looked_up
            answers = [await stranger.get(path, headers=headers) for _ in range(200)]
            assert stage.service.looked_up - before <= strangers.BURST
            turned_away(answers[-1])
            assert answers[-1].headers["connection"] == "close"
            assert (await host.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success

    async def test_strangers_together_reach_nothing_once_they_asked_enough(
        self, stage: Stage
    ) -> None:
        """However many addresses they have; from where hosts have spoken nobody waits for them."""
        stage.strangers.welcome("10.147.0.12")
        before = stage.service.looked_up
        most = int(strangers.TOGETHER_BURST)
        for number in range(most + 20):
            async with stage.client(f"10.147.1.{number % 250}") as stranger:
                answer = await stranger.get("/v1/changes", headers={"authorization": "Bearer no"})
        turned_away(answer)
        assert stage.service.looked_up - before <= most
        async with stage.client("10.147.0.12") as host:
            assert (await host.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
        async with stage.client("10.147.0.13") as newcomer:
            turned_away(await newcomer.post("/v1/heartbeat", json=BEAT, headers=HOME2))
            stage.time += 1
            assert (await newcomer.post("/v1/heartbeat", json=BEAT, headers=HOME2)).is_success

    async def test_a_host_behind_the_same_router_as_a_stranger_is_served(
        self, stage: Stage
    ) -> None:
        async with stage.client("10.147.0.66") as client:
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            for _ in range(200):
                await client.get("/v1/changes", headers={"authorization": "Bearer guessed"})
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            turned_away(await client.post("/v1/heartbeat", json=BEAT, headers=HOME2))
            stage.time += 1
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME2)).is_success

    async def test_who_is_known_is_looked_up_once_a_request(self, stage: Stage) -> None:
        async with stage.client() as client:
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            before = stage.service.looked_up
            for _ in range(3):
                assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            assert stage.service.looked_up == before + 3

    async def test_a_removed_hosts_credential_is_a_strangers(self, stage: Stage) -> None:
        async with stage.client("10.147.0.11") as client:
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            stage.service.leave("home1")
            before = stage.service.looked_up
            for _ in range(200):
                answer = await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)
            turned_away(answer)
            assert stage.service.looked_up - before <= strangers.BURST + 1

    async def test_an_edge_with_too_much_to_do_says_so_at_once(self, stage: Stage) -> None:
        """Heartbeats are heard for longer than what is decided, as leases hang on them."""
        async with stage.client() as client:
            stage.worker._calls._takes = 0.6  # as after many slow ones
            held = stage.service.hold()
            waiting = [
                asyncio.create_task(client.post("/v1/session", json=SESSION, headers=HOME1))
                for _ in range(5)
            ]
            await until(lambda: stage.worker.queue_seconds > api.LONGEST_QUEUE)
            turned_away(await client.post("/v1/session", json=SESSION, headers=HOME2))
            stage.service.newcomers = {"home2"}
            beat = asyncio.create_task(client.post("/v1/heartbeat", json=BEAT, headers=HOME2))
            held.set()
            assert {one.status_code for one in await asyncio.gather(*waiting, beat)} == {200}
            stage.worker._calls._takes = 0.0
            assert (await client.post("/v1/session", json=SESSION, headers=HOME2)).is_success

    async def test_with_far_too_much_to_do_also_to_a_host_that_comes_back(
        self, stage: Stage
    ) -> None:
        """What its lease's beginning leads to is no brief call."""
        worker, held = stage.worker, threading.Event()
        async with stage.client() as client:
            worker._calls._takes = 1.0
            waiting = [
                asyncio.create_task(worker.run(worker.aside, lambda: held.wait(10)))
                for _ in range(5)
            ]
            await until(lambda: worker.queue_seconds > api.LONGEST_BEAT)
            stage.service.newcomers = {"home2"}
            turned_away(await client.post("/v1/heartbeat", json=BEAT, headers=HOME2))
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            held.set()
            await asyncio.gather(*waiting)

    async def test_of_too_many_heartbeats_the_last_are_told_so(self, stage: Stage) -> None:
        async with stage.client() as client:
            assert (await client.post("/v1/heartbeat", json=BEAT, headers=HOME1)).is_success
            stage.worker._brief_calls._takes = 1.0  # as after many slow ones
            held = stage.service.hold()
            waiting = [
                asyncio.create_task(client.post("/v1/heartbeat", json=BEAT, headers=HOME1))
                for _ in range(5)
            ]
            await until(lambda: stage.worker.brief_queue_seconds > api.LONGEST_BEAT)
            turned_away(await client.post("/v1/heartbeat", json=BEAT, headers=HOME2))
            held.set()
            assert {one.status_code for one in await asyncio.gather(*waiting)} == {200}

    async def test_one_long_pass_does_not_make_it_say_so_for_minutes(self, stage: Stage) -> None:
        await stage.worker.run(time.sleep, 0.5)
        assert stage.worker._calls._takes < 0.03
        async with stage.client() as client:
            asked = (client.post("/v1/session", json=SESSION, headers=HOME1) for _ in range(6))
            assert {one.status_code for one in await asyncio.gather(*asked)} == {200}

    @pytest.mark.parametrize(
        ("path", "message"), [("heartbeat", BEAT), ("session", SESSION)], ids=["beat", "session"]
    )
    async def test_what_nobody_waits_for_any_more_is_not_decided(
        self, running: Running, path: str, message: dict[str, object]
    ) -> None:
        service, held = running.stage.service, running.stage.service.hold()
        async with running.client() as one, running.client() as other:
            first = asyncio.create_task(one.post(f"/v1/{path}", json=message, headers=HOME1))
            worker = running.stage.worker
            await until(lambda: not worker.idle and service.looked_up == 2)
            with pytest.raises(httpx.ReadTimeout):
                await other.post(f"/v1/{path}", json=message, headers=HOME2, timeout=0.2)
            there = running.listener._serving[0].server_state.connections  # type: ignore[index]
            await until(lambda: len(there) == 1)
            held.set()
            assert (await first).is_success
            assert (await one.get("/v1/health")).is_success
        assert [host for _, host, _ in service.asked] == ["home1"]

    async def test_also_where_only_the_decision_is_waited_for(self) -> None:
        decided: list[str] = []

        async def decide() -> None:
            await asyncio.sleep(0.1)
            decided.append("decided")

        async def leaves() -> dict[str, str]:
            return {"type": "http.disconnect"}

        with pytest.raises(ClientDisconnect):
            await api._unless_left(Request({"type": "http"}, leaves), decide())
        await asyncio.sleep(0.2)
        assert decided == []

    async def test_what_it_remembers_of_sources_is_bounded(self, stage: Stage) -> None:
        seen = strangers.Strangers(lambda: 0.0)
        for number in range(20_000):
            seen.wait(f"10.{number // 250}.{number % 250}.1", f"Bearer {number}")
            seen.met(f"10.0.0.{number}", f"Bearer {number}", "home1")
        assert len(seen._rates._left) <= 4096
        assert len(seen._known) <= 4096
        assert len(seen._regulars) <= 4096


def cut(link: socket.socket) -> bool:
    """Whether the other side ended it, within five seconds."""
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True


class TestConnections:
    """Real sockets on loopback."""

    async def test_a_handshake_that_does_not_come_is_cut(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doorway, "HANDSHAKE_SECONDS", 0.1)
        with running.knock() as silent, running.knock() as halfway:
            halfway.send(b"\x16\x03\x01\x02\x00\x01")
            assert await asyncio.to_thread(cut, silent)
            assert await asyncio.to_thread(cut, halfway)

    async def test_what_is_no_tls_is_cut_and_harms_nobody(self, running: Running) -> None:
        with running.knock() as link:
            link.send(b"GET / HTTP/1.1\r\n\r\n")
            await asyncio.to_thread(cut, link)
        async with running.client() as client:
            assert (await client.get("/v1/health")).is_success

    async def test_of_many_half_open_ones_the_oldest_go_and_an_honest_one_gets_in(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doorway, "MOST_HANDSHAKES", 3)
        links = [running.knock(f"127.0.0.{number}") for number in range(10, 14)]
        try:
            assert await asyncio.to_thread(cut, links[0])
            async with running.client() as client:
                assert (await client.get("/v1/health")).is_success
        finally:
            for link in links:
                link.close()

    async def test_strangers_together_are_bounded_and_hosts_come_in_all_the_same(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        doors = running.listener._serving[0].servers[0]  # type: ignore[index]
        monkeypatch.setattr(doors._strangers, "_burst", 3)  # type: ignore[attr-defined]
        monkeypatch.setattr(doors._strangers, "_per_second", 0.001)  # type: ignore[attr-defined]
        monkeypatch.setattr(doorway, "MOST_CONNECTIONS", 3)
        monkeypatch.setattr(doorway, "MOST_HANDSHAKES", 3)
        running.stage.strangers.welcome("127.0.0.1")
        links = [running.knock(f"127.0.0.{number}") for number in range(20, 24)]
        try:
            assert await asyncio.to_thread(cut, links[3])
            async with running.client() as client:
                assert (await client.post("/v1/heartbeat", json=BEAT)).is_success
            assert await asyncio.to_thread(cut, links[0]), "a stranger's goes, not the host's"
        finally:
            for link in links:
                link.close()

    async def test_one_source_can_not_fill_the_house(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doorway, "MOST_OF_ONE_SOURCE", 2)
        links = [running.knock("127.0.0.66") for _ in range(3)]
        try:
            assert await asyncio.to_thread(cut, links[2])
            async with running.client() as client:
                assert (await client.get("/v1/health")).is_success
            links[0].close()
            await until(lambda: _enters(running, "127.0.0.66"))
        finally:
            for link in links:
                link.close()

    async def test_all_together_are_bounded(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doorway, "MOST_CONNECTIONS", 2)
        _, one = await running.raw("127.0.0.10")
        _, two = await running.raw("127.0.0.11")
        with running.knock("127.0.0.12") as third:
            assert await asyncio.to_thread(cut, third)
        for writer in (one, two):
            writer.transport.abort()

    async def test_one_source_can_not_begin_them_without_end(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        doors = running.listener._serving[0].servers[0]  # type: ignore[index]
        monkeypatch.setattr(doors._rates, "_burst", 3)  # type: ignore[attr-defined]
        monkeypatch.setattr(doors._rates, "_per_second", 0.001)  # type: ignore[attr-defined]
        for _ in range(3):
            _, writer = await running.raw("127.0.0.66")
            writer.transport.abort()
        with running.knock("127.0.0.66") as link:
            assert await asyncio.to_thread(cut, link)
        async with running.client() as client:
            assert (await client.get("/v1/health")).is_success

    @pytest.mark.parametrize("begun", [b"GET /v1/health HTTP/1.1\r\nx-slow: ", b"\r\n"])
    async def test_every_head_has_its_time_not_only_the_first(
        self, running: Running, monkeypatch: pytest.MonkeyPatch, begun: bytes
    ) -> None:
        """Empty lines before it too, or somebody could stay for ever with one now and then."""
        monkeypatch.setattr(connection, "HEAD_SECONDS", 0.2)
        reader, writer = await running.raw()
        writer.write(b"GET /v1/health HTTP/1.1\r\nhost: edge\r\n\r\n")
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.write(begun)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), connection.STRANGERS_KEPT_SECONDS - 1)
        writer.transport.abort()

    async def test_a_head_without_end(self, running: Running) -> None:
        reader, writer = await running.raw()
        writer.write(b"GET /v1/health HTTP/1.1\r\nhost: edge\r\n")
        with contextlib.suppress(ConnectionError):
            for number in range(connection.HEAD_BYTES // 1000 + 2):
                writer.write(b"x-%d: %s\r\n" % (number, b"x" * 1000))
                await writer.drain()
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400")
        assert answer.endswith(b"this request's head is too long")
        writer.close()

    async def test_what_follows_a_body_is_not_kept(self, running: Running) -> None:
        """Lines after a body in pieces would be more headers, without end."""
        reader, writer = await running.raw()
        body = b'{"session":1,"sequence":1}'
        writer.write(
            b"POST /v1/heartbeat HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
            + b"%x\r\n%s\r\n0\r\n" % (len(body), body)
            + b"authorization: Bearer credential-home1\r\n\r\n"
        )
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 401")
        writer.transport.abort()

    async def test_who_wants_another_protocol_is_answered_in_this_one(
        self, running: Running
    ) -> None:
        reader, writer = await running.raw()
        writer.write(
            b"GET /v1/health HTTP/1.1\r\nhost: edge\r\nconnection: upgrade\r\n"
            b"upgrade: websocket\r\n\r\n"
        )
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.transport.abort()

    async def test_two_requests_that_do_not_wait_for_answers(self, running: Running) -> None:
        reader, writer = await running.raw()
        writer.write(b"GET /v1/health HTTP/1.1\r\nhost: edge\r\n\r\n" * 2)
        for _ in range(2):
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.transport.abort()

    async def test_many_requests_that_do_not_wait_for_answers(self, running: Running) -> None:
        reader, writer = await running.raw()
        writer.write(b"GET /v1/health HTTP/1.1\r\nhost: edge\r\n\r\n" * 100)
        heard = b""
        with contextlib.suppress(ConnectionError):
            heard = await asyncio.wait_for(reader.read(1), 5)
        assert heard == b"", "none is answered"
        writer.transport.abort()

    async def test_a_request_that_is_whole_has_all_the_time_that_its_answer_takes(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
        async with running.client() as client:
            asking = asyncio.create_task(client.get("/v1/changes?session=0&after=1"))
            await running.stage.waiting("home1")
            await asyncio.sleep(0.2)  # four times as long as a head may take
            running.stage.changed("home1")
            assert (await asking).is_success

    async def test_a_body_that_does_not_come(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(asked, "BODY_SECONDS", 0.1)
        reader, writer = await running.raw()
        writer.write(
            b"PUT /v1/claims HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer credential-home1\r\ncontent-length: 1000\r\n\r\n{"
        )
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 408")
        writer.transport.abort()

    async def test_of_a_body_that_is_not_wanted_little_is_read(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "UNREAD_SECONDS", 0.2)
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            while sent < 512 * 1024 * 1024:
                sent += 65536
                yield b" " * 65536

        async with running.client() as client:
            with pytest.raises(httpx.TransportError):
                await client.put(
                    "/v1/claims",
                    content=body(),
                    headers={"authorization": "Bearer guessed", "content-type": "application/json"},
                )
        assert sent < 64 * 1024 * 1024

    async def test_an_answer_that_is_not_taken(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "TAKING_SECONDS", 0.2)
        claim = f'{{"guest":"{GUEST}","name":"web1","public":"203.0.113.10"}}'
        body = f'{{"session":1,"sequence":1,"claims":[{",".join([claim] * 10_000)}]}}'.encode()
        left = asyncio.Event()
        monkeypatch.setattr(connection.BoundedConnection, "lost", lambda _: left.set())
        door = running.listener._serving[0].servers[0]  # type: ignore[index]
        door._link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # type: ignore[attr-defined]
        _, writer = await running.raw()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(
            b"PUT /v1/claims HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer credential-home1\r\n"
            + f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await asyncio.wait_for(left.wait(), 10)
        writer.transport.abort()

    async def test_a_stranger_is_not_kept_for_long(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "STRANGERS_KEPT_SECONDS", 0.1)
        reader, writer = await running.raw()
        writer.write(b"GET /v1/health HTTP/1.1\r\nhost: edge\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 200")
        writer.close()


def _enters(running: Running, source: str) -> bool:
    """Whether a connection from there is not ended at once."""
    with running.knock(source) as link:
        link.settimeout(0.1)
        try:
            return link.recv(1) != b""
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False


def test_the_answer_says_how_long_in_words_too() -> None:
    error = strangers.too_many(2.3)
    assert (error.message, error.seconds) == ("too many requests: wait 3 s", 2.3)
    assert ErrorReply(error="too_many", message=error.message)
