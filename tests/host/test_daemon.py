"""The daemon: ready without anything, enrolled while it runs, loud when a part fails."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.documents.json_schemas import check
from tests.host.edge import CREDENTIAL
from tests.host.making import PRIVATE, PUBLIC, guest
from tests.host.standins import Home, Libvirt, until
from tests.host.test_hooks import call
from zthook.config.places import Places
from zthook.config.writing import write_host
from zthook.errors import DaemonUnreachable
from zthook.host.credential import save_credential
from zthook.host.daemon import Daemon, inherited_socket
from zthook.host.hook_socket import HookCall
from zthook.model.publication import AddressRequest
from zthook.wire.control import ask


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "etc", tmp_path / "lib", tmp_path / "run")


@asynccontextmanager
async def serving(home: Home, places: Places) -> AsyncIterator[Daemon]:
    daemon = Daemon(places, home.parts)
    running = asyncio.create_task(daemon.run(places.hook_socket))
    try:
        await until(lambda: places.hook_socket.exists() or running.done())
        yield daemon
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def enrol(home: Home, places: Places) -> None:
    write_host(places.host_config, home.settings)
    save_credential(places.credential, CREDENTIAL)


async def asked(places: Places, command: str) -> dict[str, object]:
    result: dict[str, object] = await asyncio.to_thread(ask, places.agent_socket, command)
    return result


async def hook(places: Places, one: HookCall) -> bytes:
    reader, writer = await asyncio.open_unix_connection(places.hook_socket)
    words = ("zthook-hook 1", one.guest, one.operation, one.suboperation, one.extra, "")
    writer.write("\0".join(words).encode() + one.xml)
    writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_without_an_edge_it_serves_and_says_what_to_do(home: Home, places: Places) -> None:
    async with serving(home, places):
        status = await asked(places, "status")
        check(json.dumps(status), "zthook status")
        assert status["edge"] is None
        assert "zthook edge host add" in str(status["faults"])
        assert await hook(places, call("started")) == b"0"
        refused = await hook(places, call())
        assert refused.startswith(b"1this host belongs to no edge")


async def test_a_hook_that_is_earlier_than_the_agent_waits_for_it(
    home: Home, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    libvirt_opens = asyncio.Event()
    hypervisor = home._hypervisor

    @asynccontextmanager
    async def slow(*arguments: Any) -> AsyncIterator[Libvirt]:
        await libvirt_opens.wait()
        async with hypervisor(*arguments) as opened:
            yield opened

    monkeypatch.setattr(home, "_hypervisor", slow)
    enrol(home, places)
    async with serving(home, places) as daemon:
        early = asyncio.create_task(hook(places, call()))
        assert await hook(places, call("started")) == b"0"
        assert daemon.agent is None
        libvirt_opens.set()
        assert await early == b"0"
        assert home.edge.state(str(PUBLIC)) == ("home1", None)


async def test_a_hook_does_not_wait_for_ever_for_the_agent(
    home: Home, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zthook.host.daemon.OPENING_SECONDS", 0.1)
    save_credential(places.credential, CREDENTIAL)  # and no host.toml
    async with serving(home, places):
        assert (await hook(places, call())).startswith(b"1the agent is only starting")


async def test_it_is_enrolled_and_left_without_a_restart(home: Home, places: Places) -> None:
    home.libvirt.running = [guest(1, AddressRequest(PUBLIC))]
    async with serving(home, places) as daemon:
        enrol(home, places)
        await asked(places, "apply")
        await until(lambda: home.edge.state(str(PUBLIC)) == ("home1", str(PRIVATE)))
        status = await asked(places, "status")
        assert status["host"] == "home1"
        assert check(json.dumps(status), "zthook status")["mappings"]
        assert await hook(places, call()) == b"0"
        places.credential.unlink()
        await asked(places, "apply")
        await until(lambda: daemon.agent is None and home.kernel.plane is None)


async def test_a_part_that_fails_ends_the_daemon_loudly(home: Home, places: Places) -> None:
    enrol(home, places)
    home.libvirt.running = [guest(1, AddressRequest(PUBLIC))]
    home.kernel.own = 5  # type: ignore[assignment]  # what no kernel says
    with pytest.raises(BaseExceptionGroup) as failed:
        await asyncio.wait_for(Daemon(places, home.parts).run(places.hook_socket), 10)
    assert failed.group_contains(TypeError)


async def test_stopping_it_leaves_the_kernel_and_the_edge_as_they_are(
    home: Home, places: Places
) -> None:
    enrol(home, places)
    home.libvirt.running = [guest(1, AddressRequest(PUBLIC))]
    async with serving(home, places):
        await until(lambda: home.edge.state(str(PUBLIC)) == ("home1", str(PRIVATE)))
    assert home.edge.state(str(PUBLIC)) == ("home1", str(PRIVATE))
    assert home.kernel.plane is not None
    with pytest.raises(DaemonUnreachable):
        ask(places.agent_socket, "status")


TAKE_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
from zthook.host.daemon import inherited_socket
print(inherited_socket().getsockname())
"""


def test_the_hooks_socket_is_taken_from_systemd(tmp_path: Path) -> None:
    path = str(tmp_path / "hook.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        handed_over = listener.fileno()
        ran = subprocess.run(
            [sys.executable, "-c", TAKE_OVER, str(handed_over)],
            pass_fds=[handed_over],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert (ran.stdout.strip(), ran.stderr) == (path, "")


def test_a_socket_meant_for_another_process_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert inherited_socket() is None
