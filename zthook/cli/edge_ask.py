"""How the edge's commands ask its daemon."""

from typing import Any, TypeVar

import msgspec

from zthook.config.places import Places
from zthook.errors import DaemonUnreachable, NotEnrolled
from zthook.wire.control import ask

T = TypeVar("T")


def ask_edge(command: str, *, deadline: float = 30.0, **arguments: Any) -> Any:
    """Ask the edge's daemon of this machine; plain JSON values come back.

    Raises NotEnrolled where this machine is no edge, DaemonUnreachable where it does not
    run, and what the daemon answers with.
    """
    places = Places.from_environment()
    try:
        return ask(places.edge_socket, command, deadline=deadline, **arguments)
    except DaemonUnreachable as error:
        if not places.edge_config.exists():
            raise NotEnrolled(
                f"this machine is no edge: {places.edge_config} is not there",
                hint="zthook edge init",
            ) from error
        raise DaemonUnreachable(
            f"the edge's daemon does not answer: {error.message}",
            hint="start it: systemctl start zthook-edge (or: zthook edge serve)",
        ) from error


def ask_edge_for(kind: type[T], command: str, **arguments: Any) -> T:
    """As :func:`ask_edge`, with the answer as ``kind``."""
    return msgspec.convert(ask_edge(command, **arguments), kind)
