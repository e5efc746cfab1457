"""What the agent knew of its guests' addresses, for the agent that comes after it."""

import logging
from ipaddress import ip_address
from pathlib import Path

import msgspec

from zthook.model.addresses import IPAddress

log = logging.getLogger("zthook.agent")


class Memory:
    """MAC → address, in a file that lasts until the host reboots; None: nothing lasts.

    An agent that is restarted finds some addresses only after a while (a guest's agent is
    slow to answer) or never again (a lease that ended): until then its guests would be cut
    off. Like any last known address these are the last that is believed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._kept: dict[str, IPAddress] = {}

    def recall(self) -> dict[str, IPAddress]:
        """What was kept last; empty where there is nothing, or nothing that can be read."""
        if self._path is None:
            return {}
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
            self._kept = {mac: ip_address(text) for mac, text in found.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s can not be read, so addresses are found anew: %s", self._path, error)
        return dict(self._kept)

    def keep(self, found: dict[str, IPAddress]) -> None:
        """Have these recalled. Where that fails the log says so, and nothing else is hurt."""
        if self._path is None or found == self._kept:
            return
        draft = self._path.with_name(f".{self._path.name}.new")
        texts = {mac: str(address) for mac, address in found.items()}
        try:
            draft.write_bytes(msgspec.json.encode(texts))
            draft.replace(self._path)
        except OSError as error:
            log.warning("%s can not be written: %s", self._path, error)
        self._kept = dict(found)
