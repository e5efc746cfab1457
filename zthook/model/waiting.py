"""Waiting for an event, but not for ever."""

import asyncio


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Whether ``event`` is set now or in the next ``seconds``.

    Not by ``asyncio.wait_for``: before Python 3.12 it swallows a cancellation that comes in
    the moment in which the event is set, and a loop around it then never ends.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
