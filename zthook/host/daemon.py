"""The host's daemon: sockets first, then an agent as soon as this host belongs to an edge.

It is ready once its sockets listen: neither libvirt, overlay nor edge have to be there.
A task that fails ends the process with the reason; systemd starts it again, and nothing
is withdrawn by that.
"""

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from zthook import __version__
from zthook.annotation import read_domain
from zthook.config.loading import load_host
from zthook.config.places import Places
from zthook.config.settings import HostSettings
from zthook.errors import AnnotationError, NotEnrolled, Refused
from zthook.host.agent import Agent
from zthook.host.credential import JOIN_HINT, Credential, load_credential
from zthook.host.hook_socket import ALLOW, HookAnswer, HookCall, serve_hooks
from zthook.host.opening import Parts, clear_kernel, open_agent
from zthook.host.status import AgentStatus
from zthook.model.waiting import within
from zthook.wire import notify
from zthook.wire.control_server import Handler, serve

log = logging.getLogger("zthook.agent")

ENROLMENT_SECONDS = 1.0
"""Between two looks whether this host was enrolled, or left its edge."""
OPENING_SECONDS = 3.0
"""How long a hook waits for an agent that is being opened, less than a second as a rule."""
FIRST_FD = 3
"""Where systemd hands over sockets (sd_listen_fds)."""

NO_EDGE = f"this host belongs to no edge: {JOIN_HINT}"
NOT_READY = "the agent is only starting: try again in a moment (without host.toml it waits for it)"


class Daemon:
    """Answers at its sockets from start to end; ``agent`` is None while there is no edge."""

    def __init__(self, places: Places, parts: Parts) -> None:
        self.agent: Agent | None = None
        self._places = places
        self._parts = parts
        self._poked = asyncio.Event()
        self._opened = asyncio.Event()

    async def run(self, hooks: socket.socket | Path) -> None:
        """Serve until cancelled. ``hooks`` is where libvirt's hook calls."""
        commands: dict[str, Handler] = {"status": self._status, "apply": self._apply}
        async with (
            serve(self._places.agent_socket, commands),
            serve_hooks(hooks, self._on_hook),
            asyncio.TaskGroup() as tasks,
        ):
            notify.ready()
            tasks.create_task(_stay_alive())
            tasks.create_task(self._follow_enrolment())

    async def _follow_enrolment(self) -> None:
        while True:
            settings, credential = await self._enrolled()
            log.info("this host is %s at the edge %s", credential.host, credential.where)
            async with open_agent(settings, credential, self._parts, self._places) as agent:
                self.agent = agent
                self._opened.set()
                try:
                    await self._run_until_changed(agent, credential)
                finally:
                    self.agent = None
                    self._opened.clear()
            if self._credential() is None:
                log.info("this host left the edge %s", credential.where)
                await clear_kernel(settings, self._parts)

    async def _run_until_changed(self, agent: Agent, credential: Credential) -> None:
        running = asyncio.create_task(agent.run())
        try:
            while not running.done() and self._credential() == credential:
                await self._pause(running)
            if running.done():
                await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _pause(self, *watched: asyncio.Task[None]) -> None:
        poked = asyncio.create_task(self._poked.wait())
        await asyncio.wait(
            {poked, *watched}, timeout=ENROLMENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        poked.cancel()
        self._poked.clear()

    async def _enrolled(self) -> tuple[HostSettings, Credential]:
        while True:
            credential = self._credential()
            if credential is not None:
                with suppress(NotEnrolled):
                    return load_host(self._places.host_config), credential
            await self._pause()

    def _credential(self) -> Credential | None:
        try:
            return load_credential(self._places.credential)
        except NotEnrolled:
            return None

    async def _status(self, _arguments: dict[str, Any]) -> AgentStatus:
        if self.agent is None:
            return AgentStatus(
                version=__version__,
                host=None,
                edge=None,
                faults=[NO_EDGE if self._credential() is None else NOT_READY],
            )
        return await self.agent.status()

    async def _apply(self, arguments: dict[str, Any]) -> None:
        """Look now: something changed that no event tells of.

        With ``seconds`` return once that has come about, or so much later.
        """
        self._poked.set()
        if self.agent is not None:
            self.agent.hint()
            await self.agent.look(float(arguments.get("seconds", 0)))

    async def _on_hook(self, call: HookCall) -> HookAnswer:
        enrolled = self._credential() is not None
        if call.decides and enrolled:
            await within(self._opened, OPENING_SECONDS)
        if self.agent is not None:
            return await self.agent.hooks(call)
        if call.decides and _required(call.xml):
            return HookAnswer(allow=False, reason=NOT_READY if enrolled else NO_EDGE)
        return ALLOW


def _required(xml: bytes) -> bool:
    """Whether the guest insists on an address, or may; the hook itself looks once more."""
    try:
        return read_domain(xml).required
    except AnnotationError:
        return True


async def _stay_alive() -> None:
    seconds = notify.watchdog_seconds()
    while seconds is not None:
        notify.alive()
        await asyncio.sleep(seconds / 3)


def inherited_socket() -> socket.socket | None:
    """The hook's socket as systemd hands it over, None where it does not."""
    ours = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not ours or not count.isdigit() or int(count) < 1:
        return None
    return socket.socket(fileno=FIRST_FD)


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """Two agents in one place would take each other's sockets: raises Refused to the second."""
    handle = os.open(places.runtime / "agent.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Refused(
                f"an agent runs here already (it has {places.runtime})",
                hint="systemctl status zthook-agent; a second host on this machine has folders "
                "of its own (ZTHOOK_CONFIG_DIR, ZTHOOK_STATE_DIR, ZTHOOK_RUNTIME_DIR)",
            ) from error
        yield
    finally:
        os.close(handle)


async def run_agent(places: Places, parts: Parts) -> None:
    """Run the daemon until SIGTERM or SIGINT; stopping it withdraws nothing.

    Raises Refused where one runs already in these places.
    """
    running = asyncio.current_task()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        if running is not None:
            running.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    places.runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        with _alone(places):
            await Daemon(places, parts).run(inherited_socket() or places.hook_socket)
    except asyncio.CancelledError:
        if not stopped.is_set():
            raise
        notify.stopping()
        log.info("stopped; every mapping stays as it is")
    except BaseExceptionGroup as group:
        raise _cause(group) from group


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What made a task group end: what the first of its tasks raised."""
    first = group.exceptions[0]
    return _cause(first) if isinstance(first, BaseExceptionGroup) else first
