"""What the edge does by itself: the looks at the kernel, leases that end, what is overdue."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from msgspec.structs import replace

from zthook.edge.allocation import Allocator
from zthook.edge.carrying import Carrying
from zthook.edge.leases import Leases
from zthook.edge.lookout import Lookout
from zthook.edge.outlook import Outlook
from zthook.edge.plane import KernelSide
from zthook.edge.turns import Turns
from zthook.edge.views import DriftView
from zthook.errors import KernelError
from zthook.model.clock import Clock
from zthook.model.durations import Durations
from zthook.model.mappings import EdgePlane, OverlayDevice
from zthook.store.events import Event, EventRow
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, Standing

if TYPE_CHECKING:
    from zthook.kernel.edge.dataplane import EdgeDataplane

log = logging.getLogger(__name__)

SHARE = 100.0
"""An unconditional pass waits this many times the CPU time of a look before it that found nothing
to do, so that large edges stay awake; what a change took says little about the next look. Not the
time that went by: that also grows with what others do on the machine.
"""
SHOWN_REPAIRS = 20
"""Lines of the last repair that status shows."""


class Passes:
    """Makes passes when they are due; ``drift`` is what they had to put right, ``misled`` what they
    could not: of which uplinks the way is not known; ``durations`` how long whole ones took.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        dataplane: "EdgeDataplane",
        clock: Clock,
        outlook: Outlook,
        lookout: Lookout,
        kernel: KernelSide,
        leases: Leases,
        carrying: Carrying,
        overlay: Callable[[], OverlayDevice | None],
        turns: Turns,
    ) -> None:
        self.drift = DriftView()
        self.durations = Durations()
        self.misled: list[str] = []
        self._ledger = ledger
        self._dataplane = dataplane
        self._clock = clock
        self._outlook = outlook
        self._lookout = lookout
        self._kernel = kernel
        self._leases = leases
        self._carrying = carrying
        self._find_overlay = overlay
        self._turns = turns
        self._spent = 0.0
        """CPU seconds of the pass that is made now, in whichever thread."""
        self._next_pass = self._not_before = clock.boottime()
        self._amiss = True
        self._mended = False

    def tick(self) -> None:
        """What is due: a pass where the kernel may be otherwise, then leases that ended.

        In this order, as the kernel can be mended also while the store can not be written.
        """
        self._see_overlay()
        now = self._clock.boottime()
        # Kept until a pass: the kernel tells only once what it tells, and it may be too soon.
        self._amiss = self._amiss or bool(self._kernel.fault) or self._drifted()
        if now >= self._next_pass or (self._amiss and now >= self._not_before):
            self.whole()
        elif self._lookout.judged is None and now >= self._not_before:
            self._judge()
        self._end_leases()
        self._carrying.tell_of_twins()

    def _see_overlay(self) -> None:
        if self._outlook.see_overlay(self._find_overlay()):
            log.info("the overlay is %s", "up" if self._outlook.overlay_up else "down")
            self._amiss = True
            self._carrying.tell_all()

    def _drifted(self) -> bool:
        try:
            return self._dataplane.drifted()
        except KernelError as error:
            log.warning("the kernel does not say whether it changed: %s", error.message)
            return True

    def _end_leases(self) -> None:
        ended, over = self._leases.ended(), self._leases.grace_over()
        if not ended and not over:
            return
        with self._carrying.deciding() as allocator:
            for name in ended:
                log.warning("the lease of %s ended: its addresses are claimable", name)
                at = self._clock.now()
                self._ledger.note(EventRow(at=at, event=Event.LEASE_ENDED, host=name))
                allocator.lease_ended(name)
            for name in over:
                self._end_grace(allocator, name)
        self._leases.told(ended, over)

    def _end_grace(self, allocator: Allocator, name: str) -> None:
        rows = self._ledger.claims_of(name)
        if rows:
            log.warning("%s is away for too long: its addresses are withdrawn", name)
        allocator.book.cause = "its host is away, and its grace is over"
        for row in rows:
            allocator.drop(row)
        host = self._ledger.host(name)
        if host is not None and host.digest:
            self._ledger.put_host(replace(host, digest=""))

    # The whole.

    def go_by_new_settings(self) -> None:
        """A full pass; nothing is granted by the pools of before."""
        self._lookout.ground = None
        self.whole()

    def whole(self) -> None:
        """One full pass over the kernel and, where pools or own addresses changed, all claims."""
        if self.adopt():
            self._judge()

    def adopt(self) -> bool:
        """The same, but for the claims: they are judged by the next ``tick``. Whether it did."""
        began, self._spent = self._clock.boottime(), 0.0
        with self._spending():
            self._see_overlay()
        self._amiss = False
        repairs = self._apply()
        with self._spending():
            adopted = repairs is not None and self._lookout.looked()
            if adopted:
                self._learn_neighbours()
                leaving = {row.public for row in self._ledger.claims(Standing.LEAVING)}
                self._carrying.carry_out(leaving)
                self.forget_removed()
        ended, spent = self._clock.boottime(), self._spent
        self.durations.note(ended - began)
        self._not_before = ended + spent
        # Only the first of several: of repairs without an end none is without a distance.
        distance = spent if repairs and not self._mended else SHARE * spent
        self._mended = bool(repairs)
        self._next_pass = ended + max(self._outlook.settings.resync_seconds, distance)
        return adopted

    def _apply(self) -> list[str] | None:
        """What was put right; None where the kernel refuses."""
        with self._spending():
            plane = self._outlook.plane()
        self._turns.pause()
        fault, knew = self._kernel.fault, not self._kernel.blind
        changing, repairs = self._turns.aside(lambda: self._look_and_mend(plane))
        self._turns.pause()
        with self._spending():
            self._tell(repairs, expected=not fault and not changing)
            if self._kernel.fault != fault or (knew and self._kernel.blind):
                self._carrying.tell_all()
            elif repairs is not None:
                self._carrying.tell(changing)
        return repairs

    def _tell(self, repairs: list[str] | None, *, expected: bool) -> None:
        """In the log and in status. ``expected``: nothing was to be done."""
        for line in repairs or ():
            log.info("the kernel: %s", line)
        self._tell_of_misled()
        if repairs and expected:
            self.drift = DriftView(
                repaired=self.drift.repaired + len(repairs),
                last=repairs[:SHOWN_REPAIRS],
                last_at=self._clock.now(),
            )

    def _look_and_mend(self, plane: EdgePlane) -> tuple[set[str], list[str] | None]:
        """For which addresses we changed our mind, and the repairs; None where it refuses.

        The long part of a pass, and nothing of it is what a heartbeat has to do with.
        """
        with self._spending():
            return self._kernel.other_than(plane.forwardings), self._kernel.apply(plane)

    @contextlib.contextmanager
    def _spending(self) -> Iterator[None]:
        before = self._clock.spent()
        try:
            yield
        finally:
            self._spent += self._clock.spent() - before

    def _tell_of_misled(self) -> None:
        """Once, of what no pass puts right."""
        before, self.misled = self.misled, list(self._dataplane.misled())
        for line in self.misled:
            if line not in before:
                log.warning("%s", line)

    def _judge(self) -> None:
        """Where the ground is another than the one by which claims were judged last."""
        before = self._clock.spent()
        try:
            self._judge_where_due()
        finally:  # also where the store is full, and it is tried again
            again = self._clock.boottime() + self._clock.spent() - before
            self._not_before = max(self._not_before, again)

    def _judge_where_due(self) -> None:
        judged, ground = self._lookout.judged, self._lookout.ground
        if judged != ground:
            self._judge_these(self._ledger.each_claim())
        elif judged is not None and ground is not None and judged.served != ground.served:
            self._judge_these(self._kept_from_ports())
        self._lookout.judged = ground

    def _judge_these(self, rows: Iterable[ClaimRow]) -> None:
        with self._carrying.deciding() as allocator:
            allocator.judge_all(rows)

    def _kept_from_ports(self) -> list[ClaimRow]:
        """Who may have been kept from an address by what the edge itself served there."""
        waiting = [*self._ledger.claims(Standing.REFUSED), *self._ledger.claims_on("")]
        return [row for row in waiting if row.ports]

    def _learn_neighbours(self) -> None:
        for host in self._ledger.hosts():
            if host.address is not None and host.mac is None:
                at = IPv4Address(host.address)
                known = self._lookout.next_hop(host, at, self._lookout.mac_of(at))
                if known != host:
                    with self._carrying.deciding() as allocator:
                        self._ledger.put_host(known)
                        allocator.next_hop_moved(host.name)

    def forget_removed(self) -> None:
        """Drop the hosts that were removed, once the kernel has let go of all they held."""
        gone = [
            host.name
            for host in self._ledger.hosts()
            if host.leaving and not self._ledger.claims_of(host.name)
        ]
        if gone:
            with self._ledger.transaction():
                for name in gone:
                    self._ledger.drop_host(name)
