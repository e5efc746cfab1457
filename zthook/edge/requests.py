"""What hosts ask of the edge, and the daemon's start and passes."""

import logging
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from zthook import __version__
from zthook.config.settings import EdgeSettings
from zthook.edge import enrolment, reports, sessions
from zthook.edge.asking import MAX_EPOCH, MOST_RAISED, printable, read_claims
from zthook.edge.carrying import Carrying
from zthook.edge.grounds import may_use, private_prefixes
from zthook.edge.leases import Leases
from zthook.edge.lookout import Lookout
from zthook.edge.looks import Looks
from zthook.edge.news import News
from zthook.edge.outlook import Outlook
from zthook.edge.passes import Passes
from zthook.edge.plane import KernelSide
from zthook.edge.presence import Presence
from zthook.edge.turns import Turns
from zthook.edge.twins import Twins
from zthook.errors import KernelError, NotAuthenticated, UsageError
from zthook.kernel.traffic import Sampling
from zthook.model.addresses import IPAddress
from zthook.model.clock import Clock
from zthook.model.mappings import Claim, OverlayDevice
from zthook.store.events import Event, EventRow
from zthook.store.ledger import Ledger
from zthook.store.rows import HostRow
from zthook.wire.messages import (
    ClaimsReply,
    EnrolReply,
    HeartbeatReply,
    HeartbeatRequest,
    ListRequest,
    ReserveRequest,
    SessionReply,
    SessionRequest,
    claims_digest,
)

if TYPE_CHECKING:
    from zthook.kernel.edge.dataplane import EdgeDataplane

log = logging.getLogger(__name__)

CHANGES_BITS = 20
"""Generations begin at the second of the start, this many bits up: a million changes a second."""


class Requests:
    """The part of ``EdgeService`` that hosts speak to; see there."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        dataplane: "EdgeDataplane",
        clock: Clock,
        settings: EdgeSettings,
        overlay: Callable[[], OverlayDevice | None],
        edge_id: str,
        notify: Callable[[str], None],
        turns: Turns,
    ) -> None:
        self._ledger = ledger
        self._dataplane = dataplane
        self._clock = clock
        self._edge_id = edge_id
        self._started = clock.now()
        self._leases = Leases(clock, settings.lease_seconds, settings.grace_seconds)
        self._kernel = KernelSide(dataplane)
        self._sampling = Sampling[tuple[IPAddress, IPAddress]](clock)
        self._twins = Twins(ledger, clock, self._leases.live)
        self._outlook = Outlook(ledger, self._kernel, self._twins, settings, self._leases.live)
        self._lookout = Lookout(dataplane, self._outlook, self._kernel)
        self._news = News(notify)
        self._presence = Presence(ledger, clock, self._leases, self._lookout, self._news.nudge)
        self._looks = Looks()
        self._carrying = Carrying(
            ledger=ledger,
            clock=clock,
            outlook=self._outlook,
            lookout=self._lookout,
            kernel=self._kernel,
            news=self._news,
            twins=self._twins,
            leased=self._leases.live,
        )
        self._passes = Passes(
            ledger=ledger,
            dataplane=dataplane,
            clock=clock,
            outlook=self._outlook,
            lookout=self._lookout,
            kernel=self._kernel,
            leases=self._leases,
            carrying=self._carrying,
            overlay=overlay,
            turns=turns,
        )

    def start(self) -> None:
        """Give every stored host one lease, adopt the kernel. Call once, before anything else.

        What is claimed is judged anew by the first ``tick``. Raises StoreError. A kernel that
        refuses is no error here: ``tick`` tries again.
        """
        for host in self._ledger.hosts():
            self._leases.renew(host.name)
        with self._ledger.transaction():
            # Above all of an earlier daemon's, also where the store is an old backup.
            self._ledger.raise_to("start", int(self._clock.now()))
            start = self._ledger.next("start") << CHANGES_BITS
            self._news.begin(start)
            self._looks.begin(start)
            pools = reports.pools_said(self._outlook.settings.pools)
            self._note(Event.STARTED, why=f"zthook {__version__}; pools: {pools}")
        self._passes.adopt()
        self._twins.begin()
        self._carrying.tell_all()

    def tick(self) -> None:
        """One pass: leases, grace, drift, resync. Call about twice a second; cheap when idle.

        Raises StoreError; what the kernel refuses is shown by ``status`` and tried again.
        """
        self._passes.tick()

    # The API's requests. All of them raise StoreError when the store can not be written:
    # then nothing was done.

    def authenticate(self, credential: str) -> str:
        """The name of the host that has this credential. Raises NotAuthenticated."""
        host = self._ledger.host_with(enrolment.hashed(credential))
        if host is None:
            raise NotAuthenticated(
                "this edge does not know the credential",
                hint="was the host removed, or enrolled anew? zthook leave, then zthook join TOKEN",
            )
        return host.name

    def enrol(self, secret: str, hostname: str, source: str = "", known: str = "") -> EnrolReply:
        """Spend a one-time secret; ``known`` is the credential the machine has here already.

        Raises TokenError: unknown, used, expired, or another host's than ``known``.
        """
        credential = enrolment.new_secret()
        now = self._clock.now()
        with self._ledger.transaction():
            host = enrolment.enrol(
                self._ledger, secret, credential, printable(hostname), known=known, now=now
            )
            said = f"the machine calls itself {host.hostname!r}"
            self._note(Event.HOST_ENROLLED, host=host.name, source=source, why=said)
        self._news.wake(host.name)  # who waits with the credential before hears that it ended
        log.info("%s enrolled from the machine that calls itself %r", host.name, hostname)
        return EnrolReply(host=host.name, credential=credential)

    def open_session(self, host: str, request: SessionRequest, source: IPv4Address) -> SessionReply:
        """A session that counts from the first message in it: then earlier ones are over.

        Raises TwoAgents.
        """
        if request.highest_epoch > MAX_EPOCH:
            raise UsageError(f"no edge granted the epoch {request.highest_epoch}")
        with self._carrying.deciding() as allocator:
            row, opened = self._presence.open_session(host, request, source, allocator)
            self._ledger.put_host(row)
            self._ledger.raise_to("epoch", min(request.highest_epoch, MOST_RAISED))
        ground = self._lookout.ground
        connected = ground.connected if ground is not None else ()
        return SessionReply(
            session=opened.session,
            host=host,
            edge=self._edge_id,
            lease_seconds=self._leases.seconds,
            prefixes=[str(prefix) for prefix in private_prefixes(row, connected)],
            pools=reports.pool_views(may_use(row, self._outlook.settings.pools)),
            generation=self._news.generation(host),
            overlay_mac=self._outlook.overlay_mac,
            version=__version__,
            moment=self._looks.moment,
        )

    def list_claims(self, host: str, request: ListRequest, source: IPv4Address) -> ClaimsReply:
        """Take everything the host claims; what it held and left out is withdrawn.

        Raises StaleSession, StaleMessage, UsageError (not an address; a claim twice),
        KernelError (what the edge must not give away can not be looked up).
        """
        claims = read_claims(request.claims)
        self._lookout.see_ground(claims)
        with self._carrying.deciding() as allocator:
            row = self._presence.admit(host, request, source, allocator)
            self._looks.says(host)
            older = self._looks.older_than(request.heard)
            allocator.take_list(row, claims, (request.session, request.sequence), older)
            digest = "" if allocator.incomplete else claims_digest(request.claims)
            self._ledger.put_host(replace(row, sequence=request.sequence, digest=digest))
        answer = self._answer(host, claims)
        if allocator.doubted:
            self._news.wake(host)  # after the answer: it looks again, knowing what that says
        return answer

    def reserve(self, host: str, request: ReserveRequest, source: IPv4Address) -> ClaimsReply:
        """Take claims of one guest beside the others. Raises as ``list_claims``."""
        claims = read_claims(request.claims)
        stamp = (request.session, request.sequence)
        self._lookout.see_ground(claims)
        with self._carrying.deciding() as allocator:
            row = self._presence.admit(host, request, source, allocator)
            self._looks.says(host)
            for claim in claims:
                kept = self._ledger.claim((host, str(claim.guest), claim.asked))
                if kept is not None and kept.session == request.session:
                    sessions.check_sequence(row, request.sequence, kept.sequence)
            allocator.take_reservation(row, claims, stamp)
            # No list says this yet; whether one ever will, the next one tells.
            self._ledger.put_host(replace(row, digest=""))
        return self._answer(host, claims)

    def beat(
        self, host: str, request: HeartbeatRequest, source: IPv4Address
    ) -> HeartbeatReply | None:
        """Renew the lease, where nothing is to be stored or changed for it: brief, and possible
        whenever a pass pauses. None where ``welcome`` has to follow. Raises NotAuthenticated,
        StaleSession, StaleMessage.
        """
        row = self._presence.beat(host, request, source)
        return None if row is None else self._beaten(host, row, request)

    def welcome(self, host: str, request: HeartbeatRequest, source: IPv4Address) -> HeartbeatReply:
        """The rest of a heartbeat, however much later. Raises what ``beat`` does."""
        row = self._presence.beaten(host, request, source)
        if row is None:
            with self._carrying.deciding() as allocator:
                row = self._presence.welcome(host, request, source, allocator)
                self._ledger.put_host(row)
        return self._beaten(host, row, request)

    def _beaten(self, host: str, row: HostRow, request: HeartbeatRequest) -> HeartbeatReply:
        current = bool(row.digest) and row.digest == request.digest
        return HeartbeatReply(
            generation=self._news.generation(host),
            current=current,
            fault=self._presence.faults().get(host, ""),
            overlay_mac=self._outlook.overlay_mac,
            moment=self._looks.moment,
        )

    def generation(self, host: str, session: int) -> int:
        """The number that rises whenever what we say of this host's claims changes.

        Raises NotAuthenticated (the host was removed), StaleSession.
        """
        self._presence.in_session(host, session)
        return self._news.generation(host)

    def leave(self, host: str) -> None:
        """Withdraw all of the host's mappings and forget it.

        Raises KernelError where the kernel has yet to let go of some; the host is out all
        the same, and ``tick`` finishes it.
        """
        self._remove(self._presence.host(host), Event.HOST_LEFT)
        log.info("%s left", host)

    def _note(self, event: Event, **what: Any) -> None:
        """Inside a transaction: a line of the audit trail."""
        self._ledger.note(EventRow(at=self._clock.now(), event=event, **what))

    def _answer(self, host: str, claims: Sequence[Claim]) -> ClaimsReply:
        mappings = self._outlook.replies(host, claims)
        return ClaimsReply(
            generation=self._news.generation(host),
            mappings=mappings,
            pools=reports.pool_views(self._outlook.settings.pools),
            moment=self._looks.moment,
        )

    def _remove(self, row: HostRow, event: Event) -> None:
        with self._carrying.deciding() as allocator:
            left = event is Event.HOST_LEFT
            allocator.book.cause = "its host left" if left else "its host was removed"
            self._note(event, host=row.name)
            for claim in self._ledger.claims_of(row.name):
                allocator.drop(claim)
            for invitation in self._ledger.invitations():
                if invitation.host == row.name:
                    self._ledger.drop_invitation(invitation.secret)
            self._ledger.put_host(replace(row, credential=None, leaving=True))
        self._presence.forget(row.name)
        self._looks.forget(row.name)
        self._news.wake(row.name)
        self._passes.forget_removed()
        if self._ledger.host(row.name) is not None:
            raise KernelError(
                f"{row.name} is out, but the kernel still has mappings of it: {self._kernel.fault}",
                hint="the edge goes on trying; zthook edge status shows when it is done",
            )
