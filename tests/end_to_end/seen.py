"""What the internet's client and the screens show of a public address, and how soon."""

import time
from typing import Any

from tests.lab.commands import wait_until
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Unreached

LOOK_SECONDS = 0.3
"""How long one look of the client lasts: a page of the lab takes a tenth of it."""


class Stopwatch:
    """Seconds since it was made, which is when what is measured began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it is running."""
        return time.monotonic() - self._began

    def tell(self, what: str) -> float:
        """Print a measured figure (pytest shows it with -s); the seconds."""
        seconds = self.seconds
        print(f"\n  {what}: {seconds:.2f} s")
        return seconds


def answering(lab: Lab, public: str) -> str:
    """The name of the guest that a client of the internet finds there now, "" for none."""
    try:
        return lab.client.page(public, timeout=LOOK_SECONDS).name
    except Unreached:
        return ""


def wait_answering(lab: Lab, public: str, name: str, deadline_seconds: float = 20) -> None:
    """Return once that guest answers there; name "": once nobody does."""
    wait_until(
        lambda: answering(lab, public) == name,
        deadline_seconds,
        lambda: f"{name or 'nobody'} answers at {public}; {edge_says(lab, public)}",
    )


def edge_says(lab: Lab, public: str) -> list[tuple[str, str, str, str]]:
    """Guest, host, state and why, of each claim of an address, as `zthook edge mappings` has it."""
    rows: list[dict[str, Any]] = lab.edge.daemon.asked("mappings")
    return [
        (row["guest"], row["host"], row["state"], row["reason"])
        for row in rows
        if row["public"] == public
    ]


def edge_host(lab: Lab, name: str) -> dict[str, Any]:
    """A host as `zthook edge status` has it."""
    hosts: list[dict[str, Any]] = lab.edge.daemon.asked("hosts")
    return next(host for host in hosts if host["name"] == name)


def is_up(host: Host, part: str) -> bool:
    """Whether "edge" or "libvirt" answers the agent; not while it has yet to ask."""
    health = host_status(host)[f"{part}_health"]
    return health is not None and bool(health["up"])


def host_status(host: Host) -> dict[str, Any]:
    """What `zthook status` says, also where it exits with 1 for a fault that it names."""
    status: dict[str, Any] = host.agent.asked("status")
    return status


def why(host: Host, guest: str) -> tuple[str, str]:
    """State and reason of a guest's one mapping, as `zthook status` has them on its host."""
    (row,) = [row for row in host_status(host)["mappings"] if row["guest"] == guest]
    return row["state"], row["reason"]


def wait_why(host: Host, guest: str, state: str, reason: str, deadline_seconds: float = 10) -> None:
    """Return once `zthook status` says that state, and ``reason`` is part of why."""

    def said() -> bool:
        seen[:] = why(host, guest)
        return seen[0] == state and reason in seen[1]

    seen: list[str] = []
    wait_until(said, deadline_seconds, lambda: f"{guest} is {state} ({reason}); it is {seen}")
