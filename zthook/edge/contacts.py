"""What the edge remembers of hosts that is worth no commit: gone with the daemon."""

from collections.abc import Mapping

from zthook.edge import sessions
from zthook.edge.sessions import Opened
from zthook.model.clock import Clock
from zthook.store.rows import HostRow

MOST_OPENED = 16
"""Sessions of one host that nobody has spoken in; of more the oldest are over."""


class Contacts:
    """When hosts were heard, their last heartbeats, sessions that nobody has spoken in yet, and
    what somebody should look at.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[str, tuple[int, int]] = {}
        self._heard: dict[str, float] = {}
        self._faults: dict[str, tuple[float, str]] = {}
        self._opened: dict[str, dict[int, Opened]] = {}

    @property
    def heard(self) -> Mapping[str, float]:
        """Unix time of each host's last request."""
        return self._heard

    def hear(self, host: str) -> float:
        """The host spoke now, which is told in Unix time."""
        self._heard[host] = now = self._clock.now()
        return now

    def open(self, host: str, opened: Opened) -> None:
        """The agent that asked for this session may speak in it."""
        known = self._opened.setdefault(host, {})
        known[opened.session] = opened
        for session in sorted(known)[:-MOST_OPENED]:
            del known[session]

    def opened(self, host: str, session: int) -> Opened | None:
        """The session, if it was opened since the daemon's start and not long before others."""
        return self._opened.get(host, {}).get(session)

    def beat(self, host: HostRow, session: int, sequence: int) -> None:
        """Take a heartbeat. Raises StaleMessage where a later one of its session came before."""
        known, taken = self._beats.get(host.name, (0, 0))
        if known == session:
            sessions.check_sequence(host, sequence, taken)
        self._beats[host.name] = session, sequence

    def check_last(self, host: HostRow, session: int, sequence: int) -> None:
        """Raises StaleMessage where a later heartbeat of this session was taken than this one."""
        known, taken = self._beats.get(host.name, (0, 0))
        if known == session and taken > sequence:
            sessions.check_sequence(host, sequence, taken)

    def accuse(self, host: str, fault: str, lasts: float) -> bool:
        """Something is amiss with this host's credential; whether nothing was already."""
        news = host not in self.faults(lasts)
        self._faults[host] = self._clock.boottime(), fault
        return news

    def faults(self, lasts: float) -> dict[str, str]:
        """By host: what was seen within the seconds that a fault ``lasts``."""
        since = self._clock.boottime() - lasts
        return {host: text for host, (at, text) in self._faults.items() if at > since}

    def forget(self, host: str) -> None:
        """The host is removed."""
        self._beats.pop(host, None)
        self._heard.pop(host, None)
        self._faults.pop(host, None)
        self._opened.pop(host, None)
