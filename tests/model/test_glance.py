"""A question that hangs holds up nobody, and is asked once."""

import asyncio
import threading

import pytest

from zthook.errors import OverlayDown
from zthook.model.glance import Glance


async def test_an_answer_that_comes_at_once() -> None:
    assert await Glance(lambda one: one + 1, seconds=30).look(1) == 2


async def test_an_error_of_ours_is_no_answer() -> None:
    def down() -> int:
        raise OverlayDown("it is down")

    assert await Glance(down, seconds=30).look() is None


async def test_any_other_error_is_a_fault() -> None:
    def broken() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Glance(broken, seconds=30).look()


async def test_while_one_hangs_no_other_begins_and_it_is_asked_anew_after_that() -> None:
    asked: list[int] = []
    hangs = threading.Event()

    def question(number: int) -> int:
        asked.append(number)
        hangs.wait(30)
        if number == 1:
            raise OverlayDown("too late for anybody")
        return number

    glance = Glance(question, seconds=0.01)
    assert [await glance.look(1), await glance.look(2)] == [None, None]
    assert asked == [1]
    hangs.set()
    found = None
    async with asyncio.timeout(30):
        while found is None:
            found = await glance.look(3)
    assert (found, asked[:2]) == (3, [1, 3])
