"""Something every 10 ms, and what of it comes back: how long a guest is away, and what is lost."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.beside import Beside
from tests.lab.commands import wait_until
from tests.lab.pulsing import STALL_SECONDS

PROGRAM = Path(__file__).with_name("pulsing.py")


@dataclass(frozen=True, slots=True)
class Beat:
    """What a pulse found: datagrams (or lines of a connection) sent and lost, in milliseconds the
    longest time without any, and "" or what broke it.
    """

    sent: int
    lost: int
    gap_ms: float
    broke: str = ""


class Pulse(Beside):
    """Runs on ``machine`` (a lab's) while inside.

    ``kind`` is "udp" (to an echo), "flows" (the same, each from another port), "icmp", "tcp"
    (lines to an echo, both ways), or "download" (only the guest sends: /drip of its page;
    ``port`` is then 80).
    """

    def __init__(self, machine: Any, kind: str, address: str, port: int = 0) -> None:
        port = port or (80 if kind == "download" else 7)
        super().__init__(machine.entering([sys.executable, PROGRAM, kind, address, port]), "came")

    @property
    def port(self) -> int:
        """From which it is sent; once anything came back."""
        return int(self.said["port"])

    def wait_moves(self, count: int = 20, deadline_seconds: float = 20) -> None:
        """Return once so many more came back."""
        self.wait_counts(count, deadline_seconds)

    def wait_sends(self, count: int, deadline_seconds: float = 20) -> None:
        """Return once so many more were sent, answered or not."""
        goal = int(self.said["sent"]) + count
        wait_until(
            lambda: self.said["sent"] >= goal,
            deadline_seconds,
            lambda: f"{goal} are sent: {self.said}",
        )

    def stop(self) -> Beat:
        """What it found, of all that was sent."""
        self.finish(STALL_SECONDS + 10)
        sent, came = int(self.said["sent"]), int(self.said["came"])
        return Beat(sent, sent - came, self.said["gap_ms"], self.said.get("broke", ""))
