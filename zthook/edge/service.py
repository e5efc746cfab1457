"""The edge's one decider: every request and admin command, one at a time.

Sync; call it from one thread. A request runs: decide in the ledger's transaction, commit,
change the kernel, answer. Each crash in between is repaired by the next pass.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from msgspec.structs import replace

from zthook import __version__
from zthook.config.settings import EdgeSettings
from zthook.edge import enrolment, excerpts, reports
from zthook.edge.allocation import Allocator
from zthook.edge.excerpts import Asked
from zthook.edge.refusals import RefusedRequests
from zthook.edge.requests import Requests
from zthook.edge.views import (
    EdgeStatus,
    EventView,
    HostView,
    Invitation,
    MappingView,
    PoolUse,
    Released,
    TrafficView,
)
from zthook.errors import KernelError, NotFound, Refused, UsageError
from zthook.model.durations import Durations
from zthook.store.events import Event, Wanted
from zthook.store.rows import HostRow

log = logging.getLogger(__name__)

INVITATION_SECONDS = 24 * 3600.0
"""How long a one-time token can be used, unless told otherwise."""


class EdgeService(Requests):
    """Decides over ``ledger`` and carries it out in ``dataplane``.

    ``overlay`` tells the overlay's device as it is now, None while it is not there.
    ``turns`` are what a pass lets others do while it takes long.
    ``notify`` is called with a host's name when what the edge says of its claims changed,
    or the host was removed; it is called in the thread of the call that changed it.
    """

    def status(self) -> EdgeStatus:
        """Everything at a glance."""
        outlook = self._outlook
        return EdgeStatus(
            edge=self._edge_id,
            version=__version__,
            started=self._started,
            overlay=reports.overlay_view(outlook.device if outlook.overlay_up else None),
            hosts=self.hosts(),
            mappings=reports.mapping_counts(self._ledger, outlook),
            drift=self._passes.drift,
            kernel=self._kernel.fault,
            store=self._ledger.fault,
            twice=self._twins.faults(),
            misled=self._passes.misled,
        )

    def mappings(self) -> list[MappingView]:
        """Every claim and idle reservation, by public address and order of waiting."""
        return reports.mapping_views(self._ledger, self._outlook, self.traffic())

    def traffic(self) -> dict[tuple[str, str], TrafficView]:
        """What passed, by public and private address; nothing where the kernel does not tell."""
        try:
            counted = self._dataplane.traffic()
        except KernelError as error:
            log.warning("the kernel does not tell traffic: %s", error.message)
            counted = {}
        return reports.traffic_views(counted, self._sampling.rates(counted))

    def excerpt(
        self, asked: Asked, traffic: Mapping[tuple[str, str], TrafficView]
    ) -> excerpts.Excerpt:
        """Mappings that fit, with this traffic."""
        return excerpts.excerpt(self._ledger, self._outlook, traffic, asked)

    def troubled(self, most: int) -> list[MappingView]:
        """So many of those that conflict or are refused."""
        return excerpts.troubled(self._ledger, self._outlook, most)

    @property
    def pass_durations(self) -> Durations:
        """How long passes over the whole kernel took, since the start."""
        return self._passes.durations

    def hosts(self) -> list[HostView]:
        """Every host, by name."""
        presence = self._presence
        return reports.host_views(
            self._ledger, self._leases, presence.contacts.heard, presence.faults()
        )

    def addresses(self) -> list[str]:
        """Where hosts have spoken from, as far as it is known."""
        return [host.address for host in self._ledger.hosts() if host.address is not None]

    def pools(self) -> list[PoolUse]:
        """Every pool, in the order of edge.toml."""
        return reports.pool_uses(self._ledger, self._outlook.settings.pools)

    def events(self, wanted: Wanted) -> list[EventView]:
        """Lines of the audit trail, oldest first."""
        return [reports.event_view(row) for row in self._ledger.events(wanted)]

    def approved(self, member: str, host: str = "") -> None:
        """Note that an admin let this member into the overlay, for that host where it is said."""
        with self._ledger.transaction():
            self._note(Event.MEMBER_APPROVED, host=host, why=f"{member} is let into the overlay")

    def name_member(self, name: str, member: str) -> None:
        """Say whose node a host is, as ``add_host`` does; the rest of it stays. Raises NotFound."""
        with self._carrying.deciding() as allocator:
            known = self._known(name)
            self._ledger.put_host(self._as_member(allocator, replace(known, member=member)))

    def shut_out(self, member: str) -> None:
        """Note that an admin shut this member out of the overlay."""
        with self._ledger.transaction():
            self._note(Event.MEMBER_SHUT_OUT, why=f"{member} is let into the overlay no more")

    def note_refused(self, refused: Sequence[RefusedRequests]) -> None:
        """Keep what was refused in the audit trail."""
        with self._ledger.transaction():
            for one in refused:
                self._note(Event.REQUESTS_REFUSED, **dataclasses.asdict(one))

    def add_host(
        self,
        name: str,
        *,
        member: str | None = None,
        prefixes: Sequence[str] | None = None,
        pools: Sequence[str] | None = None,
        group: str | None = None,
        expires_seconds: float = INVITATION_SECONDS,
    ) -> Invitation:
        """Invite a host. A name that is there keeps what is left None; ``()`` and ``""`` clear.

        An earlier unused invitation of that name ends; its credential holds until this
        one is used. Raises UsageError: name, prefix or pool.
        """
        now = self._clock.now()
        secret = enrolment.new_secret()
        expires = now + expires_seconds
        with self._carrying.deciding() as allocator:
            permitted = enrolment.permitted(
                enrolment.named(self._ledger.host(name), name),
                member=member,
                prefixes=prefixes,
                pools=pools,
                group=group,
                known=self._outlook.settings.pools,
            )
            host = self._as_member(allocator, permitted)
            enrolment.invite(self._ledger, host, secret, expires=expires, now=now)
            until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(expires))
            self._note(Event.HOST_ADDED, host=name, why=f"its token is good until {until}")
            for claim in self._ledger.claims_of(name):
                allocator.judge(claim)
        return Invitation(host=name, secret=secret, expires=expires, member=host.member)

    def _as_member(self, allocator: Allocator, permitted: HostRow) -> HostRow:
        """The host by its member's MAC: come back as another he is not heard before that."""
        host = self._lookout.as_member(permitted)
        if host != permitted:
            allocator.next_hop_moved(host.name)
        return host

    def rotate_host(
        self, name: str, *, now: bool = False, expires_seconds: float = INVITATION_SECONDS
    ) -> Invitation:
        """Invite a host to take a new credential; its mappings stay.

        The one it has ends when the new one is taken, or at once: then its lease runs out
        unless that is soon. Raises NotFound, UsageError (it is being removed).
        """
        host = enrolment.named(self._known(name), name)
        secret, at = enrolment.new_secret(), self._clock.now()
        ends = "at once" if now else "when the new token is used"
        with self._ledger.transaction():
            kept = replace(host, credential=None) if now else host
            enrolment.invite(self._ledger, kept, secret, expires=at + expires_seconds, now=at)
            self._note(Event.HOST_ROTATED, host=name, why=f"its credential ends {ends}")
        if now:
            self._news.wake(name)
        log.info("the credential of %s is to be replaced, and ends %s", name, ends)
        return Invitation(
            host=name, secret=secret, expires=at + expires_seconds, member=host.member
        )

    def _known(self, name: str) -> HostRow:
        host = self._ledger.host(name)
        if host is None:
            known = ", ".join(row.name for row in self._ledger.hosts()) or "none"
            raise NotFound(f"this edge has no host {name!r}", hint=f"it has: {known}")
        return host

    def remove_host(self, name: str) -> None:
        """As ``leave``, by the admin. Raises NotFound, KernelError."""
        self._remove(self._known(name), Event.HOST_REMOVED)
        log.info("%s was removed", name)

    def release(self, public: str) -> Released:
        """End the reservation of an address, and withdraw it where its holder's host is gone.

        Raises UsageError (no address), NotFound (nothing is reserved), Refused (the holder
        is there), KernelError (as ``leave``).
        """
        try:
            address = str(ip_address(public))
        except ValueError as error:
            raise UsageError(f"not an address: {error}") from error
        holders = reports.holders(self._ledger, address)
        gone = [row for row in holders if not self._leases.live(row.host)]
        kept = self._ledger.reservation_on(address)
        idle = kept is not None and kept.key not in {(row.guest, row.asked) for row in holders}
        if not holders and kept is None:
            raise NotFound(f"nothing is reserved for {address}")
        if not gone and not idle:
            raise Refused(
                f"{address} is held by {holders[0].name} on {holders[0].host}, which is there",
                hint="stop the guest, or take the annotation away: zthook unassign",
            )
        with self._carrying.deciding() as allocator:
            allocator.book.cause = "released by an admin"
            self._note(Event.RELEASED, public=address)
            allocator.release(address)
            for name in {row.host for row in gone}:
                self._ledger.put_host(replace(self._presence.host(name), digest=""))
        if any(self._ledger.claim(row.key) is not None for row in gone):
            raise KernelError(f"the kernel has yet to let go of {address}: {self._kernel.fault}")
        return reports.released(address, gone, kept)

    def reload(self, settings: EdgeSettings) -> None:
        """Go by a changed edge.toml: pools and times.

        Raises Refused where an address in use would leave its pool (with who holds it);
        then the settings before stay in force.
        """
        lost = reports.lost(self._ledger, settings.pools)
        if lost:
            raise Refused(
                f"still in use: {', '.join(lost[:10])}{' and more' if len(lost) > 10 else ''}",
                hint="stop those guests or give them other addresses first; "
                "zthook edge release ADDRESS ends a reservation",
            )
        changed = settings.pools != self._outlook.settings.pools
        if changed:
            with self._ledger.transaction():
                self._note(Event.POOLS, why=reports.pools_said(settings.pools))
        self._outlook.settings = settings
        self._leases.seconds, self._leases.grace = settings.lease_seconds, settings.grace_seconds
        self._passes.go_by_new_settings()
        for host in self._ledger.hosts() if changed else ():
            self._news.wake(host.name)  # what it reaches through this edge is otherwise
