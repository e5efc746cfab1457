"""The agent's end of the hook's socket: what it takes, what it answers, what it survives."""

import asyncio
import concurrent.futures
import contextlib
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.hook.conftest import ANNOTATED, REQUIRED, InstalledHook, guest_xml
from zthook.errors import EdgeUnreachable
from zthook.host import hook_socket
from zthook.host.hook_socket import ALLOW, HookAnswer, HookCall, parse_request, serve_hooks

OnHook = Callable[[HookCall], Awaitable[HookAnswer]]
HEAD = b"zthook-hook 1\0web1\0prepare\0begin\0-\0"


class Recorder:
    """A handler that notes its calls and answers as told."""

    def __init__(self, answer: HookAnswer | Exception = ALLOW) -> None:
        self.calls: list[HookCall] = []
        self.came = asyncio.Event()
        self._answer = answer

    async def __call__(self, call: HookCall) -> HookAnswer:
        self.calls.append(call)
        self.came.set()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def exchange(path: Path, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    for part in parts:
        writer.write(part)
    writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionResetError):  # closed with something of ours unread
        while part := await asyncio.wait_for(reader.read(4096), 10):
            answer += part
    writer.close()
    return answer


def make_patient(hook: InstalledHook) -> None:
    text = hook.path.read_text().replace("required_seconds=1.5", "required_seconds=30")
    hook.path.write_text(text)


async def test_the_real_hook_and_the_real_socket_understand_each_other(
    hook: InstalledHook,
) -> None:
    handler = Recorder(HookAnswer(allow=False, reason="203.0.113.10 is held by db1"))
    make_patient(hook)
    async with serve_hooks(hook.socket, handler):
        outcome = await asyncio.to_thread(hook, "prepare", REQUIRED)
    assert handler.calls == [HookCall("web1", "prepare", "begin", "-", REQUIRED)]
    assert outcome.status == 1
    assert "203.0.113.10 is held by db1." in outcome.stderr


async def test_the_real_hook_with_the_largest_xml(hook: InstalledHook) -> None:
    handler = Recorder()
    make_patient(hook)
    xml = guest_xml('public="203.0.113.10" required="yes"', rest=f"<!--{'x' * 10_000_000}-->")
    async with serve_hooks(hook.socket, handler):
        outcome = await asyncio.to_thread(hook, "prepare", xml)
    assert outcome.harmless
    assert [call.xml for call in handler.calls] == [xml]


async def test_many_real_hooks_wait_at_once(hook: InstalledHook) -> None:
    """Each waits until all have come: one that was held up by another would end this."""
    count = 12
    waiting = asyncio.Barrier(count)

    async def together(call: HookCall) -> HookAnswer:
        async with asyncio.timeout(10), waiting:
            return HookAnswer(allow=True)

    make_patient(hook)
    async with serve_hooks(hook.socket, together):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(pool, hook, "prepare", REQUIRED) for _ in range(count)]
            outcomes = await asyncio.gather(*calls)
    assert all(outcome.harmless for outcome in outcomes)


async def test_a_call_that_decides_nothing_is_answered_before_the_handler_runs(
    tmp_path: Path,
) -> None:
    release = asyncio.Event()

    async def hung(call: HookCall) -> HookAnswer:
        await release.wait()
        return HookAnswer(allow=True)

    async with serve_hooks(tmp_path / "hook.sock", hung):
        assert await exchange(tmp_path / "hook.sock", HEAD, ANNOTATED) == b"0"
        assert not release.is_set()
        release.set()


async def test_a_silent_client_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "hook.sock"
    async with serve_hooks(path, Recorder()):
        silent = [await asyncio.open_unix_connection(path) for _ in range(50)]
        for _, writer in silent[:25]:
            writer.write(b"zthook-hook 1\0web1")
        assert await exchange(path, HEAD, REQUIRED) == b"0"
        for _, writer in silent:
            writer.close()


async def test_a_client_that_never_ends_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_socket, "READ_SECONDS", 0.1)
    handler = Recorder()
    async with serve_hooks(tmp_path / "hook.sock", handler):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "hook.sock")
        writer.write(HEAD)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.startswith(b"1")
    assert handler.calls == []


async def test_a_request_without_end_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_socket, "MAX_REQUEST", 100_000)
    handler = Recorder()
    async with serve_hooks(tmp_path / "hook.sock", handler):
        assert b"larger than" in await exchange(tmp_path / "hook.sock", HEAD, b"x" * 150_000)
        assert await exchange(tmp_path / "hook.sock", HEAD, REQUIRED) == b"0"
    assert len(handler.calls) == 1


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"\0\0\0\0\0", b"zthook-hook 2\0a\0b\0c\0d\0", b"zthook-hook 1\0web1", b"\xff" * 50],
)
async def test_what_is_no_request_is_turned_away(tmp_path: Path, request_bytes: bytes) -> None:
    with pytest.raises(ValueError, match="begins with"):
        parse_request(request_bytes)
    handler = Recorder()
    async with serve_hooks(tmp_path / "hook.sock", handler):
        assert (await exchange(tmp_path / "hook.sock", request_bytes)).startswith(b"1")
    assert handler.calls == []


def test_a_request_keeps_its_bytes() -> None:
    assert parse_request(b"zthook-hook 1\0w\xc3\xa4\0stopped\0end\0shutdown\0\0x\0") == HookCall(
        "wä", "stopped", "end", "shutdown", b"\0x\0"
    )


FAULTS = [
    EdgeUnreachable("the edge is away", hint="look at the overlay"),
    RuntimeError("a fault of ours"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=["expected", "unexpected"])
async def test_a_handler_that_fails_refuses_only_who_insists(
    tmp_path: Path, fault: Exception
) -> None:
    handler = Recorder(fault)
    async with serve_hooks(tmp_path / "hook.sock", handler):
        refused = await exchange(tmp_path / "hook.sock", HEAD, REQUIRED)
        allowed = await exchange(tmp_path / "hook.sock", HEAD, ANNOTATED)
        started = await exchange(
            tmp_path / "hook.sock", b"zthook-hook 1\0web1\0started\0begin\0-\0", REQUIRED
        )
    assert refused.startswith(b"1")
    assert str(fault).encode() in refused
    assert (allowed, started) == (b"0", b"0")
    assert len(handler.calls) == 3


async def test_another_user_s_call_is_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_socket, "peer_uid", lambda _: 1234)
    handler = Recorder()
    async with serve_hooks(tmp_path / "hook.sock", handler):
        assert b"user id 1234" in await exchange(tmp_path / "hook.sock", HEAD, REQUIRED)
    assert handler.calls == []


async def test_a_path_is_for_root_alone_and_taken_over_from_a_dead_agent(tmp_path: Path) -> None:
    path = tmp_path / "run" / "hook.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serve_hooks(path, Recorder()):
        assert path.stat().st_mode & 0o777 == 0o600
        assert await exchange(path, HEAD, REQUIRED) == b"0"
    assert not path.exists()


async def test_an_inherited_socket_stays_and_keeps_who_knocks_meanwhile(tmp_path: Path) -> None:
    """Socket activation: calls that come while no agent runs wait for the next one."""
    path = tmp_path / "hook.sock"
    handler = Recorder()
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        early = asyncio.create_task(exchange(path, HEAD, REQUIRED))
        await asyncio.sleep(0)
        async with serve_hooks(given.dup(), handler):
            assert await asyncio.wait_for(early, 10) == b"0"
        late = asyncio.create_task(exchange(path, HEAD, REQUIRED))
        await asyncio.sleep(0)
        async with serve_hooks(given.dup(), handler):
            assert await asyncio.wait_for(late, 10) == b"0"
    assert path.exists()
    assert len(handler.calls) == 2


async def test_leaving_ends_what_still_waits(tmp_path: Path) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hung(call: HookCall) -> HookAnswer:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serve_hooks(tmp_path / "hook.sock", hung):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "hook.sock")
        writer.write(HEAD + REQUIRED)
        writer.write_eof()
        await asyncio.wait_for(began.wait(), 10)
    assert ended.is_set()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_a_hook_that_left_is_no_fault(tmp_path: Path) -> None:
    handler = Recorder()
    with socket.socket(socket.AF_UNIX) as gone:
        async with serve_hooks(tmp_path / "hook.sock", handler):
            gone.connect(str(tmp_path / "hook.sock"))
            gone.sendall(HEAD + REQUIRED)
            gone.close()
            await asyncio.wait_for(handler.came.wait(), 10)
            assert await exchange(tmp_path / "hook.sock", HEAD, REQUIRED) == b"0"
