"""The stream: what is so, what changes, to so many at a time, and no more than they ask for."""

import asyncio
from typing import Any, get_args

import msgspec
import pytest

from tests.documents.json_schemas import check
from tests.edge.world import OVERLAY, Agent, Edge
from tests.edge_web.stage import Stage, listening
from zthook.edge.excerpts import Asked, excerpt
from zthook.edge.views import State, TrafficView
from zthook.edge.web import looking, site, stream
from zthook.edge.web.looking import Looking
from zthook.edge.web.traces import MOST_TRACED, POINTS, Traces
from zthook.errors import KernelError, TooManyRequests
from zthook.wire.messages import ClaimMessage

NASTY = "<img src=x onerror=alert(1)>\u2028\n\nevent: ended"


async def enrolled(stage: Stage, name: str = "home1") -> Agent:
    return await stage.do(lambda: stage.world.host(name))


def names(last: dict[str, Any]) -> list[str]:
    return [one["guest"] for one in last.get("mappings", {}).get("mappings", [])]


class TestWhatIsTold:
    async def test_it_is_what_the_commands_print(self, stage: Stage, token: str) -> None:
        agent = await enrolled(stage)
        await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
        async with stage.client(token) as client, listening(client) as heard:
            last = await heard.until(lambda last: "alive" in last and "traffic" in last)
        encoded = msgspec.json.encode
        check(encoded(last["status"]["report"]), "zthook edge status")
        check(encoded(last["mappings"]["mappings"]), "zthook edge mappings")
        check(encoded(last["events"]), "zthook edge log")
        assert last["status"]["report"]["status"]["hosts"][0]["name"] == "home1"
        assert last["events"][0]["event"] == "granted"

    async def test_a_mapping_comes_and_goes_as_its_guest_does(
        self, stage: Stage, token: str
    ) -> None:
        agent = await enrolled(stage)
        async with stage.client(token) as client, listening(client) as heard:
            last = await heard.until(lambda last: "mappings" in last)
            assert names(last) == []
            await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
            last = await heard.until(names)
            assert last["mappings"]["mappings"][0]["state"] == "active"
            await stage.do(lambda: agent.unclaim(1, "203.0.113.10"))
            await heard.until(lambda last: not names(last))

    async def test_what_is_as_before_is_not_told_again(self, stage: Stage, token: str) -> None:
        await enrolled(stage)
        async with stage.client(token) as client, listening(client) as heard:
            for looks in range(1, 5):
                await heard.until(lambda _, looks=looks: heard.kinds.count("alive") >= looks)
                await stage.do(lambda: None)
            for kind in ("status", "mappings", "events", "history"):
                assert heard.kinds.count(kind) == 1, kind

    async def test_a_name_is_a_text_and_never_a_line_of_the_stream(
        self, stage: Stage, token: str
    ) -> None:
        agent = await enrolled(stage)
        message = ClaimMessage(
            guest="6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11", name=NASTY, public="203.0.113.10"
        )
        agent.claims[message.guest, message.public] = message
        await stage.do(agent.list)
        async with stage.client(token) as client, listening(client) as heard:
            last = await heard.until(names)
            (name,) = names(last)
            assert "<img src=x onerror=alert(1)>" in name
            await stage.do(lambda: None)
            await heard.until(lambda _: heard.kinds.count("alive") >= 2)
            assert "ended" not in heard.kinds

    async def test_who_can_not_be_asked_is_said_and_what_was_stays(
        self, stage: Stage, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await enrolled(stage)
        async with stage.client(token) as client, listening(client) as heard:
            await heard.until(lambda last: "mappings" in last)

            def fails(*_: object) -> None:
                raise KernelError("no buffer space")

            monkeypatch.setattr(stage.service, "excerpt", fails)
            await stage.do(lambda: None)
            last = await heard.until(lambda last: last["alive"]["fault"])
            assert last["alive"]["fault"] == "no buffer space"
            monkeypatch.setattr(stage.service, "excerpt", 5)
            await stage.do(lambda: None)
            await heard.until(lambda last: "log has the details" in last["alive"]["fault"])
            monkeypatch.undo()
            await stage.do(lambda: None)
            await heard.until(lambda last: not last["alive"]["fault"])


class TestBounds:
    async def test_so_many_of_one_login(self, stage: Stage, token: str) -> None:
        async with stage.client(token) as client:
            streams = [listening(client) for _ in range(looking.MOST_OF_ONE)]
            heard = [await one.__aenter__() for one in streams]
            for one in heard:
                await one.until(lambda last: "alive" in last)
            refused = await client.get("/live")
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "10"
            for one in streams:
                await one.__aexit__(None, None, None)
            await stage.nobody_watches()
            async with listening(client):
                pass

    async def test_so_many_of_all(self) -> None:
        watched = Looking(lambda _: asyncio.sleep(0))  # type: ignore[arg-type,return-value]
        held = [watched.watching(f"login{one}", Asked()) for one in range(looking.MOST_WATCHERS)]
        for one in held:
            one.__enter__()
        with pytest.raises(TooManyRequests), watched.watching("another", Asked()):
            pass

    async def test_nobody_looks_while_nobody_watches(self, stage: Stage, token: str) -> None:
        looks = 0
        real = stage.service.status

        def counted() -> Any:
            nonlocal looks
            looks += 1
            return real()

        stage.service.status = counted  # type: ignore[method-assign]
        for _ in range(3):
            await stage.do(lambda: None)
        async with stage.client(token) as client:
            assert looks == 0
            async with listening(client) as heard:
                await heard.until(lambda last: "status" in last)
        assert looks > 0
        await stage.nobody_watches()
        assert stage.web.looking.seen is None, "what was seen then is not told later"

    async def test_a_dear_look_comes_the_rarer(self) -> None:
        loop = asyncio.get_running_loop()

        async def look(_: object) -> Any:
            loop.slow()  # type: ignore[attr-defined]

        watched = Looking(look)
        time = loop.time
        lag = 0.0

        def slow() -> None:
            nonlocal lag
            lag += 0.5

        loop.slow = slow  # type: ignore[attr-defined]
        loop.time = lambda: time() + lag  # type: ignore[method-assign]
        try:
            with watched.watching("one", Asked()) as watcher:
                keeping = asyncio.create_task(watched.keep())
                await watcher.news.wait()
                await asyncio.sleep(0)
                assert watched.pause == pytest.approx(0.5 * looking.SHARE, rel=0.1)
                keeping.cancel()
        finally:
            del loop.time, loop.slow  # type: ignore[attr-defined]

    def test_of_many_hosts_those_with_which_something_is_amiss_come_first(self) -> None:
        from tests.cli_edge.test_screens import a_host, a_report

        usual = [a_host(name=f"host{number:04}") for number in range(1000)]
        amiss = [a_host(name="zz", fault="two agents"), a_host(name="yy", lease="ended")]
        part = stream._status(a_report(hosts=[*usual, *amiss]), Asked())
        shown = [one.name for one in part.report.status.hosts]
        assert shown[:3] == ["zz", "yy", "host0000"]
        assert (len(shown), part.hosts, part.fit) == (stream.MOST_HOSTS, 1002, 1002)
        found = stream._status(a_report(hosts=usual), Asked(text="host0999"))
        assert ([one.name for one in found.report.status.hosts], found.fit) == (["host0999"], 1)

    async def test_with_very_many_mappings_no_traffic_is_listed(
        self, stage: Stage, token: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(site, "MOST_MAPPINGS", 0)
        agent = await enrolled(stage)
        await stage.do(lambda: agent.claim(1, "203.0.113.10", "192.168.1.50"))
        monkeypatch.setattr(stage.service, "traffic", 5)
        async with stage.client(token) as client, listening(client) as heard:
            last = await heard.until(lambda last: "traffic" in last)
            assert last["traffic"] == {"all": None, "each": [None], "counted": False}


class TestExcerpts:
    """A page of what fits, as the same views in the same order as all of them."""

    @staticmethod
    def world() -> Edge:
        edge = Edge()
        first, second = edge.host("home1"), edge.host("home2")
        for number in range(1, 6):
            public = f"203.0.113.{9 + number}"
            first.claim(number, public, f"192.168.1.{number}")
        second.claim(7, "203.0.113.10", "192.168.2.7")
        second.claim(8, "auto/tw/0", "192.168.2.8")
        second.claim(9, "192.0.2.1", "192.168.2.9")
        second.unclaim(8, "auto/tw/0")
        return edge

    @staticmethod
    def taken(edge: Edge, **asked: Any) -> list[tuple[str | None, str]]:
        found = edge.service.excerpt(Asked(**asked), {})
        return [(one.public, one.guest) for one in found.mappings]

    def test_without_a_question_it_is_all_of_them(self) -> None:
        edge = self.world()
        found = edge.service.excerpt(Asked(), edge.service.traffic())
        assert found.mappings == edge.service.mappings()
        assert found.found == len(found.mappings) == 8

    @pytest.mark.parametrize(
        ("asked", "count"),
        [
            ({"text": "web3"}, 1),
            ({"text": "203.0.113.10"}, 2),
            ({"text": "192.168.1."}, 5),
            ({"text": "home2"}, 3),
            ({"state": "conflict"}, 1),
            ({"state": "refused"}, 1),
            ({"state": "reserved"}, 1),
            ({"state": "active", "text": "home1"}, 5),
            ({"state": "pending"}, 0),
            ({"text": "nobody"}, 0),
        ],
    )
    def test_what_fits(self, asked: dict[str, Any], count: int) -> None:
        edge = self.world()
        assert edge.service.excerpt(Asked(**asked), {}).found == count

    @pytest.mark.parametrize("trouble", ["none", "kernel", "overlay"])
    def test_every_state_has_just_those_that_are_seen_in_it(self, trouble: str) -> None:
        edge = self.world()
        if trouble == "kernel":
            agent = edge.host("home3")
            agent.claim(20, "198.51.100.2", "192.168.3.1")
            edge.kernel.refuse = True
            agent.unclaim(20, "198.51.100.2")
        elif trouble == "overlay":
            edge.overlay = None
            edge.advance(3)
        everything, traffic = edge.service.mappings(), edge.service.traffic()
        assert (trouble == "kernel") == ("withdrawn" in {one.state for one in everything})
        for state in get_args(State):
            expected = [one for one in everything if one.state == state]
            assert edge.service.excerpt(Asked(state=state), traffic).mappings == expected, state

    def test_pages(self) -> None:
        edge = self.world()
        everything = self.taken(edge)
        pages = [self.taken(edge, first=first, most=3) for first in (0, 3, 6)]
        assert [one for page in pages for one in page] == everything
        last = edge.service.excerpt(Asked(first=300, most=3), {})
        assert (last.first, len(last.mappings), last.found) == (6, 2, 8)
        assert edge.service.excerpt(Asked(text="nobody", first=50), {}).first == 0

    def test_what_troubles(self) -> None:
        edge = self.world()
        assert {one.state for one in edge.service.troubled(9)} == {"conflict", "refused"}
        assert len(edge.service.troubled(1)) == 1

    def test_an_edge_without_mappings(self) -> None:
        edge = Edge()
        found = excerpt(edge.ledger, edge.service._outlook, {}, Asked())
        assert (found.mappings, found.found, found.first) == ([], 0, 0)
        assert OVERLAY.name


class TestTraces:
    @staticmethod
    def passing(rate: float | None, many: int = 1) -> dict[tuple[str, str], TrafficView]:
        usual = {"bytes_in": 1, "packets_in": 1, "bytes_out": 1, "packets_out": 1}
        return {
            (f"203.0.113.{one}", "192.168.1.1"): TrafficView(
                **usual, rate_in=rate and rate + one, rate_out=rate
            )
            for one in range(many)
        }

    def test_a_look_without_rates_has_no_point_and_none_comes_too_soon(self) -> None:
        traces = Traces()
        traces.note(100.0, self.passing(None))
        traces.note(101.0, {})
        assert traces.points() == []
        traces.note(102.0, self.passing(5.0))
        traces.note(102.4, self.passing(6.0))
        assert [(one.at, one.rate_in, one.rate_out) for one in traces.points()] == [(102.0, 5, 5)]

    def test_they_are_so_long_and_of_so_many(self) -> None:
        traces = Traces()
        for moment in range(POINTS + 5):
            traces.note(float(moment), self.passing(1.0, MOST_TRACED + 7))
        assert len(traces.points()) == POINTS
        assert {len(one.each) for one in traces._moments} == {MOST_TRACED}
