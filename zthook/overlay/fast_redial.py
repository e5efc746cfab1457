"""Has this machine's zerotier-one set up so that a redial heals at once, and says how far it is.

It is never restarted by us, though part of the settings waits for that: a restart takes the
overlay away for a moment.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zthook.model.redial import Redial
from zthook.overlay.own_settings import OwnSettings
from zthook.overlay.redial import (
    EDGES_PORTS,
    HOSTS_PORTS,
    Enrolled,
    Reach,
    Sightings,
    bonds_for,
    chose_ports,
    differing,
    foreign_members,
    in_force,
    is_frozen,
    leaves,
    notes,
    reach_of,
    settled_before,
)
from zthook.overlay.zerotier_api import NodeView, PeerView

LOAD_SECONDS = 25.0
"""The daemon looks every ten seconds whether local.conf changed, and makes bonds with the next
keepalive.
"""
LATE_SECONDS = 15.0
MOST_TRIES = 3
"""It compares whole seconds, and so may miss a change."""


class HostRedial:
    """A host's part: one UDP port, so that the edge has one path to it."""

    def __init__(self, home: Path, path: Path) -> None:
        self._own = OwnSettings(home, path)

    def look(self) -> Redial:
        """Set it up where it is not. Raises OverlayDown, StoreError."""
        own = self._own
        own.read()
        chose = chose_ports(own.settings)
        own.want(leaves({}, () if chose else HOSTS_PORTS))
        waits = not chose and own.api.node().settings.secondary_port != 0
        return Redial(wanted=True, restart=waits, notes=notes(chose_ports=chose))

    def put_back(self) -> None:
        """It is not wanted any more. Raises OverlayDown, StoreError."""
        self._own.put_back()


@dataclass(frozen=True, slots=True)
class _Seen:
    """One look of an edge at its daemon."""

    node: NodeView
    peers: Mapping[str, PeerView]

    @property
    def frozen(self) -> bool:
        return is_frozen(self.peers.values())

    @property
    def more_ports(self) -> bool:
        """Whether the daemon speaks from more than one."""
        settings = self.node.settings
        return settings.secondary_port != 0 or settings.tertiary_port != 0

    def heard(self, now: float) -> dict[str, PeerView]:
        """Those that have a path: the others have no bond, whatever there is to be."""
        return {
            member: peer
            for member, peer in self.peers.items()
            if reach_of(peer, now, live=False) is not None
        }

    def bond(self, member: str) -> str:
        return in_force(self.peers.get(member))


class EdgeRedial:
    """An edge's part: the bond with each host that is good for it, and one UDP port."""

    def __init__(
        self,
        home: Path,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._own = OwnSettings(home, path)
        self._now = now
        self._steady = steady
        self._sightings: Sightings | None = None
        self._written: list[float] = []
        self._late_since: float | None = None

    def look(self, hosts: Sequence[Enrolled]) -> Redial:
        """Set up what is not. Raises OverlayDown, StoreError."""
        own, api = self._own, self._own.api
        own.read()
        seen = _Seen(api.node(), {one.address: one for one in api.peers()})
        foreign = foreign_members(own.settings, own.journal, hosts)
        chose = chose_ports(own.settings)
        reached = self._reached(hosts, seen, spare=seen.more_ports and not chose)
        # What is written while bonds are in use counts from the next start on, with one port.
        one_port = not seen.more_ports or (self._has_loaded(seen) and not chose)
        bonds = bonds_for(reached, foreign, one_port=one_port)
        late = bool(differing(bonds, seen.heard(self._now())))
        closed = EDGES_PORTS if bonds and not chose else ()
        self._write(leaves(bonds, closed), late=late, seen=seen)
        lingering = any(
            seen.bond(one.member) and one.member not in {*bonds, *foreign} for one in hosts
        )
        # Not before the file has what is to be read then.
        two_ports = bool(closed) and seen.more_ports and self._has_loaded(seen)
        too_late = self._is_too_late(late, seen)
        return Redial(
            wanted=True,
            restart=too_late or lingering or two_ports,
            hosts={one.name: seen.bond(one.member) for one in hosts},
            notes=notes(hosts, reached, foreign, chose_ports=chose),
        )

    def put_back(self) -> None:
        """It is not wanted any more. Raises OverlayDown, StoreError."""
        self._own.put_back()

    def _reached(self, hosts: Sequence[Enrolled], seen: _Seen, *, spare: bool) -> dict[str, Reach]:
        sightings = self._sightings or Sightings(settled_before(self._own.settings))
        self._sightings = sightings
        sightings.forget_but({one.member for one in hosts})
        for one in hosts:
            peer = seen.peers.get(one.member)
            reach = reach_of(peer, self._now(), live=one.live, spare=spare)
            sightings.see(one.member, reach, self._steady())
        return sightings.settled

    def _is_too_late(self, late: bool, seen: _Seen) -> bool:
        """Whether only a restart brings the bonds that are ``late``. One that comes back has
        its bond some seconds later.
        """
        if not late:
            self._late_since = None
            return False
        self._late_since = self._late_since if self._late_since is not None else self._steady()
        waited = self._steady() - self._late_since >= LATE_SECONDS
        return waited and self._has_loaded(seen)

    def _has_loaded(self, seen: _Seen) -> bool:
        """Whether the daemon has read what it will before it is restarted."""
        return seen.frozen or len(self._written) >= MOST_TRIES

    def _write(self, wanted: Mapping[tuple[str, ...], object], *, late: bool, seen: _Seen) -> None:
        """Once more where the daemon has missed it, as it may while it uses no bond at all."""
        now = self._steady()
        if not late:
            self._written.clear()
        missed = late and not seen.frozen and len(self._written) < MOST_TRIES
        due = bool(self._written) and now - self._written[-1] >= LOAD_SECONDS
        if self._own.want(wanted, again=missed and due):
            self._written.append(now)
