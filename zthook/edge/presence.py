"""Hosts as their requests show them: whether one counts, who sent it, and where from."""

import logging
from ipaddress import IPv4Address

from msgspec.structs import replace

from zthook.edge import sessions
from zthook.edge.allocation import Allocator
from zthook.edge.asking import printable
from zthook.edge.contacts import Contacts
from zthook.edge.leases import Leases
from zthook.edge.lookout import Lookout
from zthook.errors import NotAuthenticated, TwoAgents
from zthook.model.clock import Clock
from zthook.store.events import Event, EventRow
from zthook.store.ledger import Ledger
from zthook.store.rows import HostRow
from zthook.wire.messages import HeartbeatRequest, ListRequest, ReserveRequest, SessionRequest

log = logging.getLogger(__name__)


class Presence:
    """Who is here. What takes an allocator is called inside its transaction, and leaves the
    row that it returns to be stored.
    """

    def __init__(self, ledger: Ledger, clock: Clock, leases: Leases, lookout: Lookout) -> None:
        self._ledger = ledger
        self._clock = clock
        self._leases = leases
        self._lookout = lookout
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
    ) -> HostRow:
        """An agent starts. Raises NotAuthenticated, TwoAgents."""
        row = self._new_session(self.host(name), request, source)
        return self._welcomed(row, source, allocator)

    def admit(
        self,
        name: str,
        request: ListRequest | ReserveRequest,
        source: IPv4Address,
        allocator: Allocator,
    ) -> HostRow:
        """A list or reservation that counts. Raises NotAuthenticated, Stale."""
        row = self.host(name)
        sessions.check_session(row, request.session)
        sessions.check_sequence(row, request.sequence, row.sequence)
        if self._renew(name, source):
            allocator.lease_began(name)
        return self._heard_from(row, source, allocator)

    def beat(self, name: str, request: HeartbeatRequest, source: IPv4Address) -> HostRow | None:
        """A heartbeat that counts: the host, if nothing has to be stored; its lease is renewed.

        None where ``welcome`` is due. Raises NotAuthenticated, Stale.
        """
        row = self.host(name)
        sessions.check_session(row, request.session)
        self.contacts.beat(row, request.session, request.sequence)
        self._look_for_impostors(row, source)
        late = request.sequence <= row.sequence
        moved = not late and self._lookout.next_hop(row, source) != row
        if not self._leases.live(name) or moved:
            return None
        self._leases.renew(name)
        self.contacts.hear(name)
        return row

    def welcome(self, name: str, source: IPv4Address, allocator: Allocator) -> HostRow:
        """The host is back after its lease, or speaks from elsewhere."""
        return self._welcomed(self.host(name), source, allocator)

    def forget(self, name: str) -> None:
        """The host is removed."""
        self._leases.forget(name)
        self.contacts.forget(name)

    def _new_session(self, row: HostRow, request: SessionRequest, source: IPv4Address) -> HostRow:
        try:
            return sessions.open_session(
                row,
                session=self._ledger.next("session"),
                instance=request.instance,
                agent=printable(request.agent),
                source=source,
                here=self._leases.live(row.name),
            )
        except TwoAgents as error:
            self.contacts.accuse(row.name, error.message, self._leases.seconds)
            raise

    def _welcomed(self, row: HostRow, source: IPv4Address, allocator: Allocator) -> HostRow:
        self._renew(row.name, source)
        allocator.lease_began(row.name)
        return self._heard_from(row, source, allocator)

    def _renew(self, name: str, source: IPv4Address) -> bool:
        """The lease; whether it began."""
        began = self._leases.renew(name)
        if began:
            self._note(Event.LEASE_BEGAN, name, source)
        return began

    def _heard_from(self, row: HostRow, source: IPv4Address, allocator: Allocator) -> HostRow:
        self._look_for_impostors(row, source)
        moved = self._lookout.next_hop(row, source)
        if moved != row:
            log.info("%s is reached by %s (%s)", row.name, moved.address, moved.mac)
            allocator.next_hop_moved(row.name)
            at = f"by {moved.address} ({moved.mac or 'its MAC is not known yet'})"
            self._note(Event.HOST_REACHED, row.name, source, at)
        return replace(moved, seen=self.contacts.hear(row.name))

    def _look_for_impostors(self, row: HostRow, source: IPv4Address) -> None:
        said = self._lookout.impostor(row, source)
        if said and self.contacts.accuse(row.name, said, self._leases.seconds):
            log.warning("%s", said)

    def _note(self, event: Event, host: str, source: IPv4Address, why: str = "") -> None:
        at = self._clock.now()
        self._ledger.note(EventRow(at=at, event=event, host=host, source=str(source), why=why))
