"""The thread that decides: whose turn it is, also while a call takes long."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.edge_api.standin import until
from zthook.edge.worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    with contextlib.closing(Worker()) as made:
        yield made


def here() -> str:
    return threading.current_thread().name


async def test_a_brief_call_has_its_turn_before_those_that_wait(worker: Worker) -> None:
    held, done = threading.Event(), list[str]()
    first = asyncio.create_task(worker.run(held.wait, 10))
    await until(lambda: not worker.idle)
    second = asyncio.create_task(worker.run(done.append, "decided"))
    await asyncio.sleep(0)
    brief = asyncio.create_task(worker.run_brief(done.append, "brief"))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(first, second, brief)
    assert done == ["brief", "decided"]


async def test_brief_calls_go_on_while_a_call_has_something_done_aside(worker: Worker) -> None:
    """In the one thread, in which nothing else has its turn meanwhile."""
    held, done = threading.Event(), list[str]()

    def long() -> str:
        def look() -> str:
            held.wait(10)
            return f"looked in {here()}"

        return f"{worker.aside(look)} for {here()}"

    first = asyncio.create_task(worker.run(long))
    await until(lambda: not worker.idle)
    second = asyncio.create_task(worker.run(done.append, "decided"))
    for _ in range(3):
        assert await worker.run_brief(here) == "edge_0"
    assert done == []
    held.set()
    assert await first == "looked in edge-aside_0 for edge_0"
    await second
    assert done == ["decided"]


async def test_at_a_pause_those_that_wait_have_their_turns(worker: Worker) -> None:
    here, held, done = threading.Event(), threading.Event(), list[str]()

    def long() -> None:
        here.set()
        held.wait(10)
        worker.pause()
        done.append("went on")

    first = asyncio.create_task(worker.run(long))
    await asyncio.to_thread(here.wait, 10)
    brief = asyncio.create_task(worker.run_brief(done.append, "brief"))
    await asyncio.sleep(0)
    held.set()
    await asyncio.gather(first, brief)
    assert done == ["brief", "went on"]


async def test_each_error_goes_to_who_called(worker: Worker) -> None:
    held = threading.Event()

    def fails(what: str) -> None:
        raise RuntimeError(what)

    def long() -> None:
        def look() -> None:
            held.wait(10)
            fails("aside")

        worker.aside(look)

    first = asyncio.create_task(worker.run(long))
    await until(lambda: not worker.idle)
    with pytest.raises(RuntimeError, match="brief"):
        await worker.run_brief(fails, "brief")
    held.set()
    with pytest.raises(RuntimeError, match="aside"):
        await first
    assert await worker.run(here) == "edge_0"
    assert await worker.run_brief(here) == "edge_0"


async def test_a_brief_call_whose_caller_leaves_is_not_made(worker: Worker) -> None:
    held, done = threading.Event(), list[str]()
    first = asyncio.create_task(worker.run(held.wait, 10))
    await until(lambda: not worker.idle)
    leaves = asyncio.create_task(worker.run_brief(done.append, "of who left"))
    stays = asyncio.create_task(worker.run_brief(done.append, "of who stays"))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    held.set()
    await asyncio.gather(first, stays)
    assert done == ["of who stays"]


async def test_closed_it_finishes_what_began_and_nobody_waits_for_the_rest() -> None:
    worker, held, done = Worker(), threading.Event(), list[str]()

    def long() -> None:
        worker.aside(lambda: held.wait(10))
        done.append("finished")

    first = asyncio.create_task(worker.run(long))
    await until(lambda: not worker.idle)
    second = asyncio.create_task(worker.run(done.append, "decided"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    await until(second.cancelled)
    held.set()
    await closing
    await first
    assert done == ["finished"]
    with pytest.raises(RuntimeError):
        await worker.run_brief(here)


async def test_a_brief_call_that_never_has_its_turn_is_over_once_it_is_closed() -> None:
    worker, held = Worker(), threading.Event()
    first = asyncio.create_task(worker.run(held.wait, 10))
    await until(lambda: not worker.idle)
    brief = asyncio.create_task(worker.run_brief(here))
    last = asyncio.create_task(worker.run(here))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(worker.close))
    await until(last.cancelled)  # and so are those that were made before it
    held.set()
    await closing
    await first
    with pytest.raises(asyncio.CancelledError):
        await brief
