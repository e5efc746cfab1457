"""How a decision becomes true: commit, change the kernel, commit what follows, tell the hosts."""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator

from zthook.edge.allocation import Allocator
from zthook.edge.book import Book
from zthook.edge.lookout import Lookout
from zthook.edge.news import News
from zthook.edge.outlook import Outlook
from zthook.edge.plane import KernelSide
from zthook.edge.trail import told
from zthook.edge.twins import Twins
from zthook.errors import StoreError
from zthook.model.clock import Clock
from zthook.model.mappings import Forwarding
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, Standing


class Carrying:
    """The ledger, the kernel and the hosts' ears, moved together.

    A row is committed before the kernel changes for it and answered after; a row that
    loses its address stays LEAVING until the kernel let go. So each pass can begin where
    a crash ended the one before. ``leased`` tells whether a host's lease is live.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        outlook: Outlook,
        lookout: Lookout,
        kernel: KernelSide,
        news: News,
        twins: Twins,
        leased: Callable[[str], bool],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._outlook = outlook
        self._lookout = lookout
        self._kernel = kernel
        self._news = news
        self._twins = twins
        self._leased = leased

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Allocator]:
        """A transaction; what was decided inside is concluded, committed, and carried out."""
        allocator = self._allocator()
        try:
            with self._ledger.transaction():
                yield allocator
                self._conclude(allocator)
        except StoreError:
            self._lookout.judged = None  # what was to follow may have been lost
            raise
        self._twins.suspect(allocator.book.guests)
        self.carry_out(allocator.book.touched, allocator.book.hosts)

    def _allocator(self) -> Allocator:
        ground, now = self._lookout.ground, self._clock.now()
        return Allocator(self._ledger, ground, self._leased, now)

    def _conclude(self, allocator: Allocator) -> None:
        if self._lookout.ground is None:
            self._lookout.judged = None  # nothing is granted blindly: the next pass decides
        allocator.conclude()
        for line in told(allocator.book.changes(), self._clock.now()):
            self._ledger.note(line)

    def carry_out(self, publics: Iterable[str], hosts: Iterable[str] = ()) -> None:
        """Make the kernel as the ledger says of these addresses, and whom that concerns hear.

        ``hosts`` are those whose claims on these addresses changed.
        """
        touched, concerned = set(publics), set(hosts)
        try:
            while self._let_go(touched):
                book = self._finish(touched)
                touched |= book.touched
                concerned |= book.hosts
            self._grant(touched)
        finally:
            self.tell(touched, concerned)

    def _finish(self, publics: Iterable[str]) -> Book:
        allocator = self._allocator()
        with self._ledger.transaction():
            for row in self._leaving(publics):
                allocator.finish(row)
            self._conclude(allocator)
        return allocator.book

    def _leaving(self, publics: Iterable[str]) -> list[ClaimRow]:
        rows = (row for public in sorted(publics) for row in self._ledger.claims_on(public))
        return [row for row in rows if row.standing is Standing.LEAVING]

    def _let_go(self, publics: Iterable[str]) -> bool:
        """Withdraw what nobody holds any more; whether rows are LEAVING, and the kernel let go."""
        withdraw = []
        for public in sorted(publics):
            has = self._kernel.on(public)
            wanted = self._outlook.desired_on(public) if has else {}
            withdraw += [one for one in has if _ended(one, wanted.get(one.key))]
        return self._kernel.change(withdraw=withdraw) and bool(self._leaving(publics))

    def _grant(self, publics: Iterable[str]) -> None:
        wanted = [self._outlook.desired_on(public) for public in sorted(publics)]
        # One that only moves to another next hop takes its own place: its connections live on.
        new = [one for some in wanted for one in some.values() if not self._kernel.has(one)]
        self._kernel.change(grant=new)

    def tell(self, publics: Iterable[str], hosts: Collection[str] = ()) -> None:
        """Let every host hear what changed for it on these addresses; see ``News.tell``."""
        for public in sorted(publics):
            self._news.tell(public, self._outlook.seen(public), hosts)

    def tell_all(self) -> None:
        """Let every host hear that anything may have changed for it."""
        self._news.tell_all(host.name for host in self._ledger.hosts())

    def tell_of_twins(self) -> None:
        """Let hosts hear which guests run twice, and which no longer do."""
        guests = self._twins.look()
        self.tell({row.public for one in guests for row in self._ledger.claims_of_guest(one)})


def _ended(has: Forwarding, wanted: Forwarding | None) -> bool:
    """Whether connections by ``has`` must end, rather than go on by another next hop.

    Where it only has other ports or clients than before, the kernel sees to those that go.
    """
    return wanted is None or (has.mode, has.uplink) != (wanted.mode, wanted.uplink)
