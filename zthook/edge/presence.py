"""Hosts as their requests show them: whether one counts, who sent it, and where from."""

import logging
from collections.abc import Callable
from ipaddress import IPv4Address

from msgspec.structs import replace

from zthook.edge import sessions
from zthook.edge.allocation import Allocator
from zthook.edge.asking import printable
from zthook.edge.contacts import Contacts
from zthook.edge.leases import Leases
from zthook.edge.lookout import Lookout
from zthook.edge.sessions import Opened
from zthook.errors import NotAuthenticated, TwoAgents
from zthook.model.clock import Clock
from zthook.store.events import Event, EventRow
from zthook.store.ledger import Ledger
from zthook.store.rows import HostRow
from zthook.wire.messages import HeartbeatRequest, ListRequest, ReserveRequest, SessionRequest

log = logging.getLogger(__name__)


class Presence:
    """Who is here. What takes an allocator is called inside its transaction, and leaves the
    row that it returns to be stored. ``fenced`` is called with a host's name when its agent
    was superseded by another.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        leases: Leases,
        lookout: Lookout,
        fenced: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._leases = leases
        self._lookout = lookout
        self._fenced = fenced
        self.contacts = Contacts(clock)

    def host(self, name: str) -> HostRow:
        """Raises NotAuthenticated where it is one no more."""
        host = self._ledger.host(name)
        if host is None or host.leaving:
            raise NotAuthenticated(
                f"{name} was removed from this edge", hint="zthook leave, then zthook join TOKEN"
            )
        return host

    def faults(self) -> dict[str, str]:
        """By host; a fault counts for one lease's time after it was seen."""
        return self.contacts.faults(self._leases.seconds)

    def open_session(
        self, name: str, request: SessionRequest, source: IPv4Address, allocator: Allocator
    ) -> tuple[HostRow, Opened]:
        """An agent starts: what it may speak in. Raises NotAuthenticated, TwoAgents."""
        row = self.host(name)
        try:
            here = self._leases.live(name)
            sessions.check_alone(row, request.instance, source, here=here)
        except TwoAgents as error:
            self.contacts.accuse(name, error.message, self._leases.seconds)
            raise
        session = self._ledger.next("session")
        opened = Opened(session, request.instance, printable(request.agent))
        self.contacts.open(name, opened)
        row = self._welcomed(row, request.overlay_mac, source, allocator)
        return row, opened

    def in_session(self, name: str, session: int) -> HostRow:
        """The host as whoever speaks in this session makes it.

        Raises NotAuthenticated, StaleSession.
        """
        row = self.host(name)
        opened = self.contacts.opened(name, session) if session > row.session else None
        if opened is not None:
            return sessions.begin(row, opened)
        sessions.check_session(row, session)
        return row

    def admit(
        self,
        name: str,
        request: ListRequest | ReserveRequest,
        source: IPv4Address,
        allocator: Allocator,
    ) -> HostRow:
        """A list or reservation that counts. Raises NotAuthenticated, Stale."""
        row = self._speaking(name, request.session)
        sessions.check_sequence(row, request.sequence, row.sequence)
        if self._renew(name, source, allocator):
            allocator.lease_began(name)
        return self._heard_from(row, source, allocator)

    def beat(self, name: str, request: HeartbeatRequest, source: IPv4Address) -> HostRow | None:
        """A heartbeat that counts: the host, if nothing has to be stored. A live lease is renewed.

        None where ``welcome`` is due. Raises NotAuthenticated, Stale.
        """
        row = self.in_session(name, request.session)
        self.contacts.beat(row, request.session, request.sequence)
        return self._beaten(row, request, source)

    def beaten(self, name: str, request: HeartbeatRequest, source: IPv4Address) -> HostRow | None:
        """As ``beat``, of one that was found to count, some time ago perhaps. Raises
        NotAuthenticated, Stale where a later one was heard since.
        """
        row = self.in_session(name, request.session)
        self.contacts.check_last(row, request.session, request.sequence)
        return self._beaten(row, request, source)

    def _beaten(
        self, row: HostRow, request: HeartbeatRequest, source: IPv4Address
    ) -> HostRow | None:
        name = row.name
        told = replace(row, own_mac=request.overlay_mac)
        found = self._lookout.mac_of(source)
        self._look_for_impostors(told, source, found)
        late = request.sequence <= row.sequence
        moved = not late and self._lookout.next_hop(told, source, found) != row
        begins = row.session != self.host(name).session
        if begins or not self._leases.live(name):
            return None
        self._leases.renew(name)  # also where the rest has to wait: its lease does not end then
        self.contacts.hear(name)
        return None if moved else row

    def welcome(
        self, name: str, request: HeartbeatRequest, source: IPv4Address, allocator: Allocator
    ) -> HostRow:
        """The host is back after its lease, speaks from elsewhere or in another session, or has
        another MAC.
        """
        row = self._speaking(name, request.session)
        return self._welcomed(row, request.overlay_mac, source, allocator)

    def forget(self, name: str) -> None:
        """The host is removed."""
        self._leases.forget(name)
        self.contacts.forget(name)

    def _speaking(self, name: str, session: int) -> HostRow:
        before, row = self.host(name), self.in_session(name, session)
        if before.instance != row.instance:
            self._fenced(name)
        return row

    def _welcomed(
        self, row: HostRow, own_mac: str, source: IPv4Address, allocator: Allocator
    ) -> HostRow:
        self._renew(row.name, source, allocator)
        allocator.lease_began(row.name)
        if own_mac != row.own_mac:
            allocator.next_hop_moved(row.name)
        return self._heard_from(replace(row, own_mac=own_mac), source, allocator)

    def _renew(self, name: str, source: IPv4Address, allocator: Allocator) -> bool:
        """The lease; whether it began: then its host need not be asked for any more."""
        began = self._leases.renew(name)
        if began:
            self._note(Event.LEASE_BEGAN, name, source)
            allocator.next_hop_moved(name)
        return began

    def _heard_from(self, row: HostRow, source: IPv4Address, allocator: Allocator) -> HostRow:
        found = self._lookout.mac_of(source)
        self._look_for_impostors(row, source, found)
        moved = self._lookout.next_hop(row, source, found)
        if moved != row:
            log.info("%s is reached by %s (%s)", row.name, moved.address, moved.mac)
            allocator.next_hop_moved(row.name)
            at = f"by {moved.address} ({moved.mac or 'its MAC is not known yet'})"
            self._note(Event.HOST_REACHED, row.name, source, at)
        return replace(moved, seen=self.contacts.hear(row.name))

    def _look_for_impostors(self, row: HostRow, source: IPv4Address, found: str | None) -> None:
        said = self._lookout.impostor(row, source, found)
        if said and self.contacts.accuse(row.name, said, self._leases.seconds):
            log.warning("%s", said)

    def _note(self, event: Event, host: str, source: IPv4Address, why: str = "") -> None:
        at = self._clock.now()
        self._ledger.note(EventRow(at=at, event=event, host=host, source=str(source), why=why))
