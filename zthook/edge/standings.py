"""Claims from standing to standing: held, let go, waiting, refused; and what that opens."""

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from zthook.edge.book import Book
from zthook.edge.grounds import Ground
from zthook.edge.reservations import Reservations
from zthook.edge.verdicts import Verdicts
from zthook.model.publication import Mode
from zthook.store.ledger import Ledger
from zthook.store.rows import OCCUPYING, ClaimRow, Content, Standing


class Standings:
    """Moves rows, and notes what is to be decided anew because of it.

    ``ground`` is None while it is not known what the edge must keep: nothing is judged then.
    """

    def __init__(
        self, ledger: Ledger, ground: Ground | None, leased: Callable[[str], bool], now: float
    ) -> None:
        known = ground or Ground(pools=(), protected={}, connected=())
        self.book = Book(ledger, now)
        self.verdicts = Verdicts(ledger, known, leased)
        self.reservations = Reservations(ledger, known, now)
        self._blind = ground is None
        self._ledger = ledger
        self._leased = leased
        # Ordered sets: what is to be decided anew.
        self._open: dict[str, None] = {}
        self._freed: dict[str, None] = {}
        self._autos_due = False

    # What is to be decided anew.

    def open(self, public: str) -> None:
        """Something changed on this address, or ("") among those without one."""
        if public:
            self._open[public] = None
        else:
            self._autos_due = True

    def free(self, row: ClaimRow) -> None:
        """The row's private address may be another's now."""
        if row.private is not None and row.mode == Mode.NAT:
            self._freed[row.private] = None

    # Rows from standing to standing.

    def retire(
        self, row: ClaimRow, after: Standing | None, reason: str = "", then: Content | None = None
    ) -> None:
        """It holds no more; what becomes of it follows when the kernel has let go."""
        self.free(row)
        leaving = replace(row, standing=Standing.LEAVING, after=after, reason=reason, then=then)
        self.book.put(leaving)
        self.open(row.public)

    def finish(self, row: ClaimRow) -> None:
        """The kernel let go of a LEAVING row: it becomes what it was to become after."""
        self.open(row.public)
        if row.after is None:
            self.book.drop(row)
            return
        claimed = row.saying(row.then) if row.then is not None else row
        place = self.book.next_place()
        ended = replace(claimed, standing=row.after, after=None, then=None, place=place)
        self.book.put(self.addressed(ended))
        if ended.standing is Standing.REFUSED:
            self.judge(ended)

    def wait(self, row: ClaimRow, why: str) -> None:
        """Queue it, or refuse it where ``why`` says so."""
        if why:
            self.book.put(replace(row, standing=Standing.REFUSED, reason=why, heir=False))
            return
        if row.standing is Standing.REFUSED:
            row = replace(row, place=self.book.next_place(), standing=Standing.WAITING, reason="")
        self.book.put(row)
        self.open(row.public)

    def judge(self, row: ClaimRow) -> None:
        """Decide anew whether the claim can be granted at all: pools or prefixes changed."""
        if self._blind:
            return
        row = self.addressed(row)
        why = self.verdicts.on_row(row)
        if row.standing is Standing.HOLDING and why:
            self.retire(row, Standing.REFUSED, why)
        elif row.standing in (Standing.WAITING, Standing.REFUSED):
            self.wait(row, why)

    def judge_all(self, rows: Iterable[ClaimRow]) -> None:
        """The same of many, mostly of such as hold what they may; none is changed before the
        last of them came.
        """
        if self._blind:
            return
        self.verdicts.shared = self._ledger.shared_privates()
        doubtful = [row for row in rows if self._is_doubtful(row)]
        self.verdicts.shared = None
        for row in doubtful:
            self.judge(row)

    def _is_doubtful(self, row: ClaimRow) -> bool:
        if row.standing is Standing.HOLDING:
            return bool(self.verdicts.on_row(row))
        return row.standing is not Standing.LEAVING

    def addressed(self, row: ClaimRow) -> ClaimRow:
        """The row with the address that is kept for its ``auto``; any other is as it was."""
        if self._blind or not row.automatic or row.standing in OCCUPYING:
            return row
        return replace(row, public=self.reservations.addressed(row))

    def users(self, row: ClaimRow) -> list[ClaimRow]:
        """Who else holds a mapping to this private address: another guest, or another host."""
        if row.private is None or row.mode == Mode.ROUTED:
            return []
        return [
            other
            for other in self._ledger.claims_using(row.private)
            if other.standing is Standing.HOLDING
            and other.mode == Mode.NAT
            and other.public != row.public
            and (other.guest, other.host) != (row.guest, row.host)
        ]
