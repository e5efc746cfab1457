"""What is written in one turn of the loop goes as one."""

import asyncio
from typing import Any

import pytest

from zthook.edge.gathering import MOST_BYTES, Gathering


class Sink(asyncio.Transport):
    """Keeps what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("close")

    def is_closing(self) -> bool:
        return "close" in self.done

    def abort(self) -> None:
        self.done.append("abort")


async def test_head_and_body_go_as_one() -> None:
    sink = Sink()
    gathering = Gathering(sink, asyncio.get_running_loop())
    for piece in (b"head ", b"body"):
        gathering.write(piece)
    assert sink.done == []
    await asyncio.sleep(0)
    assert sink.done == [b"head body"]
    gathering.write(b"next")
    await asyncio.sleep(0)
    assert sink.done == [b"head body", b"next"]


async def test_not_much_is_kept_back() -> None:
    sink = Sink()
    gathering = Gathering(sink, asyncio.get_running_loop())
    gathering.write(bytes(MOST_BYTES))
    assert sink.done == []
    gathering.write(b"!")
    assert sink.done == [bytes(MOST_BYTES) + b"!"]


@pytest.mark.parametrize(("end", "left"), [("close", [b"last"]), ("abort", [])])
async def test_what_was_written_goes_before_the_end(end: str, left: list[bytes]) -> None:
    sink = Sink()
    gathering = Gathering(sink, asyncio.get_running_loop())
    gathering.write(b"last")
    getattr(gathering, end)()
    await asyncio.sleep(0)
    assert sink.done == [*left, end]


async def test_after_the_end_nothing_is_written() -> None:
    sink = Sink()
    gathering = Gathering(sink, asyncio.get_running_loop())
    gathering.close()
    gathering.write(b"late")
    await asyncio.sleep(0)
    assert sink.done == ["close"]
