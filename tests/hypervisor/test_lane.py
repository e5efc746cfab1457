"""A thread for calls that hang: others do not wait behind them, nor do threads pile up."""

import asyncio
import gc
import threading
from functools import partial

import pytest

from tests.hypervisor.domains import until
from zthook.errors import HypervisorUnavailable
from zthook.hypervisor.lane import Lane


async def test_calls_run_in_order_in_one_thread_of_their_own() -> None:
    lane = Lane("test")
    ran: list[tuple[int, int]] = []

    def call(number: int) -> int:
        ran.append((number, threading.get_ident()))
        return number * 2

    results = [lane.call(partial(call, number), 5) for number in range(10)]
    assert await asyncio.gather(*results) == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert [number for number, _ in ran] == list(range(10))
    assert len({thread for _, thread in ran}) == 1
    assert ran[0][1] != threading.get_ident()
    lane.close()


async def test_an_error_is_raised_to_its_own_caller() -> None:
    lane = Lane("test")

    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await lane.call(fail, 5)
    assert await lane.call(lambda: 7, 5) == 7
    lane.close()


async def test_an_error_whose_caller_was_cancelled_is_nobodys_complaint() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    lane, begun, release = Lane("test"), threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        release.wait(10)
        raise KeyError("late")

    asked = asyncio.create_task(lane.call(fail, 60))
    await asyncio.to_thread(begun.wait, 10)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    release.set()
    assert await lane.call(lambda: 7, 5) == 7
    del asked
    gc.collect()
    assert complaints == []
    lane.close()


async def test_while_a_call_hangs_the_next_fail_at_once_and_never_run() -> None:
    recovered = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_recovery() -> None:
        loop.call_soon_threadsafe(recovered.set)

    lane = Lane("libvirt", on_recovery)
    release = threading.Event()
    before = threading.active_count()
    with pytest.raises(HypervisorUnavailable, match="no answer within"):
        await lane.call(release.wait, 0.05)
    for _ in range(100):
        with pytest.raises(HypervisorUnavailable, match="an earlier question"):
            await lane.call(lambda: pytest.fail("it ran"), 60)
    assert threading.active_count() == before
    assert not recovered.is_set()
    release.set()
    await asyncio.wait_for(recovered.wait(), 10)
    assert await lane.call(lambda: 7, 5) == 7
    lane.close()


async def test_a_call_in_line_behind_a_hung_one_is_given_up_and_never_runs() -> None:
    lane = Lane("test")
    release = threading.Event()
    ran: list[int] = []
    late = [lane.call(release.wait, 0.1), lane.call(lambda: ran.append(1), 0.1)]
    results = await asyncio.gather(*late, return_exceptions=True)
    assert all(isinstance(result, HypervisorUnavailable) for result in results)
    release.set()

    async def works() -> bool:
        try:
            return await lane.call(lambda: True, 5)
        except HypervisorUnavailable:
            return False

    await until(works, "the lane works again")
    assert ran == []
    lane.close()


async def test_a_closed_lane_s_thread_ends() -> None:
    lane = Lane("test-of-closing")
    await lane.call(lambda: None, 5)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "test-of-closing"]
    lane.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


def test_a_hung_call_does_not_keep_the_process_from_ending() -> None:
    assert Lane("daemon") is not None
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "daemon"]
    assert thread.daemon
