"""What the agent knew, for the agent that comes after it."""

import logging
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from zthook.config.places import Places
from zthook.host.answers import Answers, Names
from zthook.model.addresses import AddressRange, IPAddress
from zthook.wire.messages import MappingReply

log = logging.getLogger("zthook.agent")
T = TypeVar("T")

Addresses = dict[str, tuple[IPAddress, ...]]
"""What was found last for each interface, by its MAC: one of a family."""


class Told(msgspec.Struct, frozen=True):
    """What ``edge`` (its id) said last of claims, pools and its MAC; guests' names by UUID."""

    edge: str = ""
    answers: list[MappingReply] = []
    names: dict[str, str] = {}
    pools: list[str] = []
    mac: str = ""

    @classmethod
    def of(
        cls,
        edge: str,
        answers: Answers,
        names: Names,
        pools: Iterable[AddressRange],
        mac: str,
    ) -> "Told":
        """As it is kept."""
        return cls(
            edge,
            list(answers.values()),
            {str(guest): name for guest, name in names.items()},
            [str(one) for one in pools],
            mac,
        )


class _File(Generic[T]):
    """A value in a file that lasts until the host reboots; None: nothing lasts."""

    def __init__(
        self, path: Path | None, nothing: T, read: Callable[[bytes], T], write: Callable[[T], bytes]
    ) -> None:
        self._path = path
        self._kept = self._nothing = nothing
        self._read = read
        self._write = write

    def recall(self) -> T:
        """What was kept last; nothing where there is none, or none that can be read."""
        if self._path is None:
            return self._nothing
        try:
            self._kept = self._read(self._path.read_bytes())
        except FileNotFoundError:
            return self._nothing
        except (OSError, ValueError) as error:
            log.warning("%s can not be read, so all is found anew: %s", self._path, error)
        return self._kept

    def keep(self, value: T) -> None:
        """Have this recalled. Where that fails the log says so, and nothing else is hurt."""
        if self._path is None or value == self._kept:
            return
        draft = self._path.with_name(f".{self._path.name}.new")
        try:
            draft.write_bytes(self._write(value))
            draft.replace(self._path)
        except OSError as error:
            log.warning("%s can not be written: %s", self._path, error)
        self._kept = value


class Memory:
    """Two files in ``places``; None: nothing lasts.

    An agent that is restarted finds some addresses only after a while (a guest's agent is
    slow to answer) or never again (a lease that ended): until then its guests would be cut
    off. Like any last known address these are the last that is believed. What the edge said
    last counts until it speaks again, so that the rules stay as they are meanwhile.
    """

    def __init__(self, places: Places | None) -> None:
        self.addresses: _File[Addresses] = _File(
            places.addresses if places else None, {}, _read_addresses, _write_addresses
        )
        self.told: _File[Told] = _File(
            places.told if places else None,
            Told(),
            msgspec.json.Decoder(Told).decode,
            msgspec.json.encode,
        )


def _read_addresses(content: bytes) -> Addresses:
    found = msgspec.json.decode(content, type=dict[str, str | list[str]])
    return {
        mac: tuple(ip_address(one) for one in ([said] if isinstance(said, str) else said))
        for mac, said in found.items()
    }


def _write_addresses(value: Addresses) -> bytes:
    return msgspec.json.encode({mac: [str(one) for one in some] for mac, some in value.items()})
