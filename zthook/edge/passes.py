"""How a decision becomes true: commit, change the kernel, commit what follows, tell the hosts."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING

from msgspec.structs import replace

from zthook.edge.allocation import Allocator
from zthook.edge.grounds import Ground
from zthook.edge.leases import Leases
from zthook.edge.news import News
from zthook.edge.outlook import Outlook
from zthook.edge.plane import KernelSide
from zthook.edge.views import DriftView
from zthook.errors import KernelError, StoreError
from zthook.model.addresses import IPAddress, pool_of
from zthook.model.clock import Clock
from zthook.model.mappings import Auto, Claim, Forwarding, OverlayDevice
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, HostRow, Standing

if TYPE_CHECKING:
    from zthook.kernel.edge import EdgeDataplane

log = logging.getLogger(__name__)

SHARE = 20.0
"""An unconditional pass waits this many times its own duration, so that large edges stay awake."""
SHOWN_REPAIRS = 20
"""Lines of the last repair that status shows."""


class Passes:
    """The ledger, the kernel, the leases and the hosts' ears, moved together.

    A row is committed before the kernel changes for it and answered after; a row that
    loses its address stays LEAVING until the kernel let go. So each pass can begin where
    a crash ended the one before.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        dataplane: "EdgeDataplane",
        clock: Clock,
        outlook: Outlook,
        kernel: KernelSide,
        leases: Leases,
        news: News,
        overlay: Callable[[], OverlayDevice | None],
    ) -> None:
        self.drift = DriftView()
        self._ledger = ledger
        self._dataplane = dataplane
        self._clock = clock
        self._outlook = outlook
        self._kernel = kernel
        self._leases = leases
        self._news = news
        self._find_overlay = overlay
        self._ground: Ground | None = None
        self._judged: Ground | None = None
        self._next_pass = self._not_before = clock.boottime()
        self._amiss = True

    def see_ground(self, claims: Iterable[Claim]) -> None:
        """Know what the edge must not give away, now that these are asked for.

        Raises KernelError. A look walks all processes (for logins): too much for every
        request, so usually the last pass's counts. But at one of this machine's own
        addresses, which nobody has yet, somebody may have logged in since.
        """
        publics = (one.public for one in claims)
        named = (one for one in publics if not isinstance(one, Auto))
        if self._ground is None or any(map(self._may_be_in_use, named)):
            self._look()
            if self._ground != self._judged:
                self._judged = None  # also where it is as before by the next pass

    def _may_be_in_use(self, public: IPAddress) -> bool:
        pool = pool_of(public, self.ground.pools)
        if pool is None or str(public) in self._kernel.has:
            return False
        return ip_network(pool.arrival(public)) in self.ground.connected

    def _look(self) -> None:
        self._ground = Ground(
            pools=self._outlook.settings.pools,
            protected=self._dataplane.protected(),
            connected=self._dataplane.connected(),
        )

    @property
    def ground(self) -> Ground:
        """As it was seen last."""
        return self._ground or Ground(pools=(), protected={}, connected=())

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Allocator]:
        """A transaction; what was decided inside is concluded, committed, and carried out."""
        allocator = self._allocator()
        try:
            with self._ledger.transaction():
                yield allocator
                self._conclude(allocator)
        except StoreError:
            self._judged = None  # what was to follow may have been lost: the next pass finds it
            raise
        self.carry_out(allocator.touched)

    def _allocator(self) -> Allocator:
        return Allocator(self._ledger, self.ground, self._leases.live, self._clock.now())

    def _conclude(self, allocator: Allocator) -> None:
        if self._ground is not None:
            allocator.conclude()
        else:
            self._judged = None  # nothing is granted blindly: the next pass decides

    def carry_out(self, publics: Iterable[str]) -> None:
        """Make the kernel as the ledger says of these addresses, and whom that concerns hear."""
        touched = set(publics)
        try:
            while self._let_go(touched):
                touched |= self._finish(touched)
            self._grant(touched)
        finally:
            self.tell(touched)

    def _finish(self, publics: Iterable[str]) -> set[str]:
        allocator = self._allocator()
        with self._ledger.transaction():
            for row in self._leaving(publics):
                allocator.finish(row)
            self._conclude(allocator)
        return allocator.touched

    def _leaving(self, publics: Iterable[str]) -> list[ClaimRow]:
        rows = (row for public in sorted(publics) for row in self._ledger.claims_on(public))
        return [row for row in rows if row.standing is Standing.LEAVING]

    def _let_go(self, publics: Iterable[str]) -> bool:
        """Withdraw what nobody holds any more; whether rows are LEAVING, and the kernel let go."""
        withdraw = []
        for public in sorted(publics):
            has = self._kernel.has.get(public)
            if has is not None and _ended(has, self._outlook.desired_on(public)):
                withdraw.append(has)
        return self._kernel.change(withdraw=withdraw) and bool(self._leaving(publics))

    def _grant(self, publics: Iterable[str]) -> None:
        wanted = {public: self._outlook.desired_on(public) for public in sorted(publics)}
        # One that only moves to another next hop takes its own place: its connections live on.
        new = [one for public, one in wanted.items() if one and self._kernel.has.get(public) != one]
        self._kernel.change(grant=new)

    def tell(self, publics: Iterable[str]) -> None:
        """Let every host hear what changed for it on these addresses."""
        for public in sorted(publics):
            self._news.tell(public, self._outlook.seen(public))

    # Time.

    def tick(self) -> None:
        """What is due: a pass where the kernel may be otherwise, then leases that ended.

        In this order, as the kernel can be mended also while the store can not be written.
        """
        self._see_overlay()
        now = self._clock.boottime()
        amiss = self._amiss or bool(self._kernel.fault) or self._drifted()
        if now >= self._next_pass or (amiss and now >= self._not_before):
            self.whole()
        self._end_leases()

    def _see_overlay(self) -> None:
        if self._outlook.see_overlay(self._find_overlay()):
            log.info("the overlay is %s", "up" if self._outlook.overlay_up else "down")
            self._amiss = True
            self.tell_all()

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
        with self.deciding() as allocator:
            for name in ended:
                log.warning("the lease of %s ended: its addresses are claimable", name)
                allocator.lease_ended(name)
            for name in over:
                self._end_grace(allocator, name)
        self._leases.told(ended, over)

    def _end_grace(self, allocator: Allocator, name: str) -> None:
        rows = self._ledger.claims_of(name)
        if rows:
            log.warning("%s is away for too long: its addresses are withdrawn", name)
        for row in rows:
            allocator.drop(row)
        host = self._ledger.host(name)
        if host is not None and host.digest:
            self._ledger.put_host(replace(host, digest=""))

    # The whole.

    def go_by_new_settings(self) -> None:
        """A full pass; nothing is granted by the pools of before."""
        self._ground = None
        self.whole()

    def whole(self) -> None:
        """One full pass over the kernel and, where pools or own addresses changed, all claims."""
        began = self._clock.boottime()
        self._see_overlay()
        self._amiss = False
        if self._apply() and self._looked():
            self._learn_neighbours()
            self.carry_out({row.public for row in self._ledger.claims(Standing.LEAVING)})
            self._judge_all()
            self.forget_removed()
        took = self._clock.boottime() - began
        self._not_before = began + 2 * took
        self._next_pass = began + took + max(self._outlook.settings.resync_seconds, SHARE * took)

    def _apply(self) -> bool:
        plane = self._outlook.plane()
        before, fault = dict(self._kernel.has), self._kernel.fault
        expected = not fault and frozenset(before.values()) == plane.forwardings
        repairs = self._kernel.apply(plane)
        for line in repairs or ():
            log.info("the kernel: %s", line)
        if repairs and expected:
            self.drift = DriftView(
                repaired=self.drift.repaired + len(repairs),
                last=repairs[:SHOWN_REPAIRS],
                last_at=self._clock.now(),
            )
        if self._kernel.fault != fault:
            self.tell_all()
        self.tell(_different(before, self._kernel.has))
        return repairs is not None

    def _looked(self) -> bool:
        try:
            self._look()
        except KernelError as error:
            log.warning("the edge's own addresses can not be seen: %s", error.message)
            return False
        return True

    def _judge_all(self) -> None:
        if self._judged == self._ground:
            return
        with self.deciding() as allocator:
            for row in self._ledger.claims():
                allocator.judge(row)
        self._judged = self._ground

    def _learn_neighbours(self) -> None:
        for host in self._ledger.hosts():
            if host.address is not None and host.mac is None:
                mac = self.mac_of(IPv4Address(host.address))
                if mac is not None:
                    with self.deciding() as allocator:
                        self._ledger.put_host(replace(host, mac=mac))
                        allocator.next_hop_moved(host.name)

    def mac_of(self, address: IPv4Address) -> str | None:
        """The overlay neighbour's MAC, None where the kernel does not know it now."""
        try:
            return self._dataplane.mac_of(address)
        except KernelError as error:
            log.warning("the neighbour entry of %s can not be seen: %s", address, error.message)
            return None

    def next_hop(self, host: HostRow, source: IPv4Address) -> HostRow:
        """The host as ``source`` shows where it is reached.

        What it had stays until the neighbour is known: a mapping without it would end.
        """
        mac = self.mac_of(source)
        if mac is None and host.mac is not None:
            return host
        return replace(host, address=str(source), mac=mac)

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

    def tell_all(self) -> None:
        """As ``tell``, of every address that anybody claims."""
        self.tell({row.public for row in self._ledger.claims()})


def _ended(has: Forwarding, wanted: Forwarding | None) -> bool:
    """Whether connections by ``has`` must end, rather than go on by another next hop."""
    if wanted is None:
        return True
    return (has.private, has.arrives_as, has.uplink) != (
        wanted.private,
        wanted.arrives_as,
        wanted.uplink,
    )


def _different(before: dict[str, Forwarding], after: dict[str, Forwarding]) -> set[str]:
    keys = before.keys() | after.keys()
    return {public for public in keys if before.get(public) != after.get(public)}
