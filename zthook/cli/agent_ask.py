"""How a host's commands ask the agent."""

import time
from collections.abc import Callable

import msgspec

from zthook.config.places import Places
from zthook.errors import DaemonUnreachable
from zthook.host.status import AgentStatus, MappingView
from zthook.wire.control import ask

LOOK_SECONDS = 0.1
START_HINT = "start it: systemctl start zthook-agent (or: zthook agent)"


def agent_status(places: Places) -> AgentStatus:
    """What the agent knows. Raises DaemonUnreachable, saying plainly that it does not run."""
    try:
        return msgspec.convert(ask(places.agent_socket, "status"), AgentStatus)
    except DaemonUnreachable as error:
        raise DaemonUnreachable(
            f"the agent does not run on this machine: {error.message}",
            hint=f"{START_HINT}; mappings that are there stay meanwhile",
        ) from error


def hint_agent(places: Places, *, seconds: float = 0) -> bool:
    """Have the agent look now, and wait so long at most for what it does; false where none runs."""
    try:
        ask(places.agent_socket, "apply", seconds=seconds)
    except DaemonUnreachable:
        return False
    return True


def wait_for(
    places: Places, done: Callable[[AgentStatus], bool], *, seconds: float
) -> AgentStatus | None:
    """The agent's status once ``done``, or as it is after ``seconds``; None without an agent."""
    deadline = time.monotonic() + seconds
    try:
        while not done(status := agent_status(places)) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
    except DaemonUnreachable:
        return None
    return status


def rows_of(status: AgentStatus, guest: str) -> list[MappingView]:
    """The mappings of the guest with this name or UUID."""
    return [row for row in status.mappings if guest in {row.guest, row.uuid}]
