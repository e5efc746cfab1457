"""Tries to reach the edge: spaced out, and ended by a poke; heartbeats that go on."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.edge import CREDENTIAL, EdgeTransport, FakeEdge
from tests.host.making import PUBLIC, uuid
from tests.host.standins import until
from zthook.errors import TooManyRequests
from zthook.host import edge_link
from zthook.host.backoff import Backoff
from zthook.host.edge_client import EdgeClient
from zthook.host.edge_http import EdgeHttp
from zthook.host.edge_link import EdgeLink
from zthook.model.clock import SystemClock
from zthook.wire.messages import ClaimMessage, SessionReply

LONG = 3600.0


class Reached:
    """A client, its edge, and a link whose pauses last an hour."""

    def __init__(self) -> None:
        self.edge = FakeEdge()
        self.way = EdgeTransport(self.edge)
        self.client = EdgeClient(CREDENTIAL, SystemClock(), transport=self.way)
        self.hints = 0
        backoff = Backoff(first=LONG, cap=LONG, chance=random.Random(1))  # noqa: S311
        self.link = EdgeLink(self.client, self.hint, SystemClock(), backoff)

    def hint(self) -> None:
        self.hints += 1

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.link.follow())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def reached() -> Reached:
    return Reached()


async def test_a_poke_ends_the_pause(reached: Reached) -> None:
    reached.way.down = True
    async with reached.following():
        await until(lambda: reached.client.pulse.health.up is False)
        reached.way.down = False
        reached.link.poke()
        await until(lambda: reached.client.ready and reached.hints)


async def test_an_edge_that_wants_us_to_wait_is_given_that_time(reached: Reached) -> None:
    reached.link._backoff = Backoff(first=0.01, cap=0.01, chance=random.Random(1))  # noqa: S311
    reached.way.busy = 1
    began = asyncio.get_running_loop().time()
    async with reached.following():
        await until(lambda: reached.client.ready)
    assert asyncio.get_running_loop().time() - began >= 1
    assert reached.edge.events.count("POST /v1/session") == 2


async def test_an_edge_whose_disk_was_full_is_asked_again_before_long(
    reached: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_link, "UNABLE_SECONDS", 0.01, raising=False)
    reached.edge.full = True
    async with reached.following():
        await until(lambda: reached.edge.events.count("POST /v1/session") >= 2)
        reached.edge.full = False
        await until(lambda: reached.client.ready)


async def test_to_be_told_to_wait_is_an_error_with_the_time_and_the_edge_is_there(
    reached: Reached,
) -> None:
    reached.way.busy = 1
    with pytest.raises(TooManyRequests) as caught:
        await reached.client.greet()
    assert caught.value.seconds == 1
    assert reached.client.pulse.health.up
    assert not reached.client.lost.is_set()


@pytest.mark.parametrize(("said", "seconds"), [("7", 7), ("86400", 60), ("soon", 1), ("", 1)])
async def test_how_long_is_read_within_reason(said: str, seconds: float) -> None:
    body = b'{"error":"too_many","message":"wait"}'
    answer = httpx.Response(429, content=body, headers={"retry-after": said})
    http = EdgeHttp(CREDENTIAL, httpx.MockTransport(lambda _: answer))
    with pytest.raises(TooManyRequests) as caught:
        await http.send("POST", "heartbeat", SessionReply)
    assert caught.value.seconds == seconds
    await http.close()


async def test_another_requests_failure_ends_the_listening(reached: Reached) -> None:
    async with reached.following():
        await until(lambda: "GET /v1/changes" in reached.edge.events)
        reached.client.lost.set()  # as a request does that no answer came to
        await until(lambda: not [t for t in asyncio.all_tasks() if "_listen()" in repr(t)])
        reached.link.poke()
        await until(lambda: reached.edge.events.count("GET /v1/changes") == 2)


async def test_news_hint_once_for_each(reached: Reached) -> None:
    async with reached.following():
        await until(lambda: "GET /v1/changes" in reached.edge.events)
        before = reached.hints
        reached.edge.sides["home1"].generation += 1
        reached.edge.news.set()
        await until(lambda: reached.hints == before + 1)
        await until(lambda: reached.edge.events.count("GET /v1/changes") == 2)
        assert reached.hints == before + 1


async def test_heartbeats_renew_and_find_out_what_the_edge_lacks(
    reached: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = reached.edge.open_session

    def quick(host: str, request: object) -> SessionReply:
        reply = original(host, request)  # type: ignore[arg-type]
        return SessionReply(
            **{name: getattr(reply, name) for name in reply.__struct_fields__}
            | {"lease_seconds": 0.03}
        )

    monkeypatch.setattr(reached.edge, "open_session", quick)
    await reached.client.greet()
    await reached.client.list_claims(lambda: [CLAIM])
    reached.edge.sides["home1"].digest = "of another list"
    beating = asyncio.create_task(reached.link.beat())
    await until(lambda: reached.client.list_due and reached.hints)
    assert reached.edge.events.count("POST /v1/heartbeat") >= 1
    beating.cancel()


CLAIM = ClaimMessage(guest=str(uuid(1)), name="web1", public=str(PUBLIC))


@given(seed=st.integers(), tries=st.integers(1, 60))
def test_pauses_stay_between_first_and_cap_and_begin_small_again(seed: int, tries: int) -> None:
    backoff = Backoff(first=0.1, cap=5.0, chance=random.Random(seed))  # noqa: S311
    assert all(0.1 <= backoff.next() <= 5.0 for _ in range(tries))
    backoff.reset()
    assert backoff.next() <= 0.3
