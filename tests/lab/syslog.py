"""What a machine's programs say to /dev/log."""

import socket
import threading
from contextlib import suppress
from pathlib import Path


class Syslog:
    """A log socket at ``path``; what comes is kept in ``log``, one message a line."""

    def __init__(self, path: Path, log: Path) -> None:
        self._log = log
        self._log.touch()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        path.chmod(0o666)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def text(self) -> str:
        """All messages so far."""
        return self._log.read_text(errors="replace")

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()

    def _read(self) -> None:
        with self._log.open("a", errors="replace") as log:
            while message := self._socket.recv(65536):
                log.write(message.decode(errors="replace").rstrip("\n\0") + "\n")
                log.flush()
