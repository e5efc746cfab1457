"""An edge whose decisions are made in a worker's thread, as the daemon's are."""

import asyncio
import contextlib
import threading

from tests.edge.world import Edge
from tests.edge_api.standin import until
from zthook.edge.worker import Worker

P, X = "203.0.113.10", "192.168.122.50"


async def test_a_heartbeat_is_heard_while_the_edge_looks_at_everything() -> None:
    looks, held, edge = list[str](), threading.Event(), Edge()

    def takes() -> None:
        looks.append(threading.current_thread().name)
        held.wait(10)

    with contextlib.closing(Worker()) as worker:
        edge.turns = worker
        await worker.run(edge.boot)
        agent = await worker.run(edge.host, "home1")
        await worker.run(agent.claim, 1, P, X)
        edge.kernel.takes = takes
        edge.inside.flush()
        looking = asyncio.create_task(worker.run(edge.service.tick))
        await until(lambda: looks)
        edge.clock.advance(59)
        message = agent.heartbeat_request()
        heard = await worker.run_brief(edge.service.beat, "home1", message, agent.source)
        assert heard is not None
        assert heard.current
        assert not looking.done()
        edge.clock.advance(59)
        held.set()
        await looking
        assert looks == ["edge-aside_0"]
        assert edge.reached() == {P: f"{X} via {agent.source}"}
        assert edge.service.hosts()[0].lease == "live"
