"""Loops that wait for an event end when they are told to."""

import asyncio

from zthook.model.waiting import within


async def test_it_tells_whether_the_event_was_set() -> None:
    event = asyncio.Event()
    assert not await within(event, 0.001)
    asyncio.get_running_loop().call_soon(event.set)
    assert await within(event, 10)
    assert await within(event, 0)


async def test_a_cancellation_in_the_moment_of_the_event_is_not_lost() -> None:
    for turns in range(5):
        event = asyncio.Event()

        async def loop(event: asyncio.Event = event) -> None:
            while True:
                await within(event, 10)
                event.clear()

        task = asyncio.create_task(loop())
        await asyncio.sleep(0.001)
        event.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=5)
        assert done, turns
