"""A flow of datagrams that goes on whether they are answered or not.

As a program, `udp_flow.py ADDRESS`, it prints a JSON object after each; stdlib only then.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

ECHO = 7
PAUSE = 0.02


class UdpFlow:
    """Runs on ``machine`` (a lab's) toward the echo at ``address`` while inside.

    From ``port``; ``sent`` and ``answered`` count datagrams.
    """

    def __init__(self, machine: Any, address: str) -> None:
        self.port = self.sent = self.answered = 0
        command = machine.entering([sys.executable, __file__, address])
        self._child = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join()
        assert self._child.stdout is not None
        self._child.stdout.close()

    def wait_moves(self, count: int = 5) -> None:
        """Return once so many more datagrams were answered."""
        from tests.lab.commands import wait_until

        goal = self.answered + count
        wait_until(lambda: self.answered >= goal, 20, lambda: f"{self.answered} of {goal} answers")

    def wait_sends(self, count: int) -> None:
        """Return once so many more datagrams were sent, answered or not."""
        from tests.lab.commands import wait_until

        goal = self.sent + count
        wait_until(lambda: self.sent >= goal, 20, lambda: f"{self.sent} of {goal} datagrams")

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            said = json.loads(line)
            self.port, self.sent, self.answered = said["port"], said["sent"], said["answered"]


def _main(address: str) -> None:
    sent = answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect((address, ECHO))
        peer.settimeout(PAUSE)
        while True:
            sent += 1
            try:
                peer.send(b"%d" % sent)
                answered += bool(peer.recv(100))
                time.sleep(PAUSE)
            except TimeoutError:
                pass  # not answered: the next one
            except OSError:
                time.sleep(PAUSE)  # a router said that it is unreachable
            port = peer.getsockname()[1]
            print(json.dumps({"port": port, "sent": sent, "answered": answered}), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
