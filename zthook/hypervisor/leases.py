"""Addresses that libvirt's DHCP gave away, from the files that its dnsmasq keeps."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any

from inotify_simple import Event, INotify, flags

from zthook.model.addresses import IPAddress

log = logging.getLogger(__name__)

Leases = dict[str, tuple[IPAddress, ...]]
"""MAC (lower case) → its addresses, one of a family, IPv4 first."""

SUFFIX = ".status"
MAX_BYTES = 16 * 1024 * 1024
"""Of one file; 65k leases take 12 MB."""


def read_leases(folder: Path, bridge: str, now: float | None = None) -> Leases:
    """The leases of ``bridge`` that have not ended.

    ``now`` is Unix time in seconds, by default the machine's. Of several of one family the
    one that ends last counts. Empty where there is no file, or none that can be read: then
    the log says so.
    """
    path = folder / f"{bridge}{SUFFIX}"
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        log.warning("DHCP leases of %s: %s", bridge, error)
        return {}
    return _newest(path, _rows(path, text), time.time() if now is None else now)


def _rows(path: Path, text: bytes) -> list[Any]:
    if not text.strip():
        return []  # what dnsmasq leaves when the last lease ended
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        log.warning("DHCP leases in %s can not be read: %s", path, error)
        return []
    if not isinstance(rows, list):
        log.warning("DHCP leases in %s can not be read: no list", path)
        return []
    return rows


def _newest(path: Path, rows: list[Any], now: float) -> Leases:
    found: dict[tuple[str, int], tuple[float, IPAddress]] = {}
    for row in rows:
        if _is_nobodys(row):
            continue
        try:
            mac, address, end = _lease(row)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            log.warning("a DHCP lease in %s can not be read: %r (%r)", path, row, error)
            continue
        key = mac, address.version
        if end > now and (key not in found or end > found[key][0]):
            found[key] = (end, address)
    leases: Leases = {}
    for (mac, _), (_, address) in sorted(found.items()):
        leases[mac] = (*leases.get(mac, ()), address)
    return leases


def _is_nobodys(row: Any) -> bool:
    """A DHCPv6 lease of which dnsmasq did not know the MAC.

    Its identifier may hold one, but is what the client says: the neighbour table proves more.
    """
    return isinstance(row, dict) and "iaid" in row and "mac-address" not in row


def _lease(row: dict[str, Any]) -> tuple[str, IPAddress, float]:
    # A lease without end has 0, or nothing at all (libvirt leaves a 0 out).
    end = float(row.get("expiry-time") or "inf")
    return row["mac-address"].lower(), ip_address(row["ip-address"]), end


_FOLDER = (
    flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
)
_ABOVE = flags.CREATE | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR
_ENDED = flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED | flags.UNMOUNT


class LeaseWatch:
    """Calls ``on_hint`` in the event loop when a lease file in ``folder`` changed.

    Used by ``async with``. The folder may come later, go and come back: until then the
    nearest one above it is watched.
    """

    def __init__(self, folder: Path, on_hint: Callable[[], None]) -> None:
        self._folder = folder
        self._on_hint = on_hint
        self._inotify = INotify(nonblocking=True)
        self._watched: Path | None = None
        self._descriptor: int | None = None

    async def __aenter__(self) -> None:
        self._watch()
        asyncio.get_running_loop().add_reader(self._inotify.fileno(), self._read)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._inotify.fileno())
        self._inotify.close()

    def _read(self) -> None:
        events = [event for event in self._inotify.read(timeout=0) if self._ours(event)]
        before = self._watched
        if before != self._folder or any(event.mask & _ENDED for event in events):
            self._watch()
        if self._watched != before or any(self._tells(event) for event in events):
            self._on_hint()

    def _ours(self, event: Event) -> bool:
        """Not left over from a watch that was moved elsewhere; -1 is the queue's overflow."""
        return event.wd in {self._descriptor, -1}

    def _tells(self, event: Event) -> bool:
        return bool(event.mask & (_ENDED | flags.Q_OVERFLOW)) or event.name.endswith(SUFFIX)

    def _watch(self) -> None:
        """Watch the folder, or the nearest above it that there is."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # the kernel may have removed it
                self._inotify.rm_watch(self._descriptor)
        self._descriptor = self._watched = None
        for place in self._upward():
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._descriptor = self._inotify.add_watch(
                    place, _FOLDER if place == self._folder else _ABOVE
                )
                self._watched = place
                break
        # It may have come while the one above it was looked for.
        if self._watched != self._folder and self._next_below().is_dir():
            self._watch()

    def _upward(self) -> Iterator[Path]:
        yield self._folder
        yield from self._folder.parents

    def _next_below(self) -> Path:
        places = list(self._upward())
        return places[max(places.index(self._watched) - 1, 0)] if self._watched else self._folder
