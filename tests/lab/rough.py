"""A machine's stretch of the overlay on which frames are overtaken, doubled and lost."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.lab.namespace import Namespace
from tests.lab.process import Process

RELAY = Path(__file__).with_name("relay.py")


@dataclass(frozen=True, slots=True)
class Shares:
    """Of frames, from 0 to 1: see relay.py. The same ``seed`` decides the same again."""

    late: float = 0.0
    doubled: float = 0.0
    lost: float = 0.0
    seed: int = 1


class Rough:
    """Between ``plug``, a port of the ``hub``'s bridge ``overlay``, and that bridge, until end().

    A plug that is made anew meanwhile is back in the bridge.
    """

    def __init__(self, hub: Namespace, plug: str, log: Path, mtu: int, shares: Shares) -> None:
        self._hub = hub
        self._plug = plug
        self._bridge, near, far = f"{plug}-b", f"{plug}-n", f"{plug}-f"
        chances = (shares.seed, shares.late, shares.doubled, shares.lost)
        words = (sys.executable, RELAY, near, far, *chances)
        self._process = Process(f"the relay at {plug}", hub.entering(words), log)
        self._process.wait_logged("ready")
        hub.ip(
            f"link add {self._bridge} mtu {mtu} type bridge",
            f"link set {self._bridge} up",
            f"link set {near} mtu {mtu} master {self._bridge} up",
            f"link set {far} mtu {mtu} master overlay up",
            f"link set {plug} master {self._bridge}",
        )

    def end(self) -> dict[str, int]:
        """What it did: frames that came, and how many were late, overtaken, doubled, lost."""
        self._hub.ip(f"link set {self._plug} master overlay", f"link del {self._bridge}")
        self._process.stop()
        did: dict[str, int] = json.loads(self._process.log_text().splitlines()[-1])
        return did

    def close(self) -> None:
        """End its process, whatever becomes of the plug."""
        self._process.kill()
