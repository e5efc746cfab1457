"""Addresses for those who leave it to the edge, kept for each guest until they are released."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from zthook.edge.asking import read_auto
from zthook.edge.grounds import Ground, may_use, served_objection
from zthook.model.addresses import IPAddress, Pool, pool_of
from zthook.model.mappings import Auto
from zthook.model.publication import PortRange
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, HostRow, ReservationRow, Standing

Wish = tuple[tuple[str, ...], int | None, tuple[str, ...]]
"""Pools by name, family of the private address where it is known, ports."""


_KINDS = {None: "address", 4: "IPv4 address", 6: "IPv6 address"}


class Reservations:
    """Reads and makes them; ``now`` is Unix time. Use it inside one of the ledger's transactions.

    What is free is looked up once, and again after ``look_again``.
    """

    def __init__(self, ledger: Ledger, ground: Ground, now: float) -> None:
        self._ledger = ledger
        self._ground = ground
        self._now = now
        self.look_again()

    def look_again(self) -> None:
        """Addresses may have become free."""
        self._taken: set[str] | None = None
        self._free: dict[Wish, Iterator[str]] = {}
        self._spent: dict[Wish, str] = {}

    def addressed(self, row: ClaimRow) -> str:
        """The address that is kept for this ``auto``, "" for none.

        One that is of no pool (or not of the one that is asked for) any more is given up.
        """
        kept = self._ledger.reservation((row.guest, row.asked))
        if kept is None:
            return ""
        pool = pool_of(ip_address(kept.public), self._ground.pools)
        if pool is not None and kept.pool in ("", pool.name):
            return kept.public
        self._ledger.drop_reservation(kept.key)
        return ""

    def is_for_another(self, row: ClaimRow) -> bool:
        """Whether the row's address is kept for another guest."""
        kept = self._ledger.reservation_on(row.public)
        return kept is not None and kept.guest != row.guest

    def reserve(self, row: ClaimRow, host: HostRow) -> str:
        """Choose an address for this ``auto`` and keep it for its guest; "" where none is left."""
        auto = read_auto(row.asked)
        wish, pools = self._wish(row, auto, host)
        if wish not in self._free:
            self._free[wish] = self._choices(pools, wish)
        found = next(self._free[wish], "")
        if found:
            self._all_taken().add(found)
            self._ledger.put_reservation(
                ReservationRow(
                    guest=row.guest,
                    pool=auto.pool,
                    nth=auto.nth,
                    public=found,
                    name=row.name,
                    host=row.host,
                    since=self._now,
                )
            )
        return found

    def why_none(self, row: ClaimRow, host: HostRow) -> str:
        """What to say to an ``auto`` that can have no address now."""
        auto = read_auto(row.asked)
        wish, pools = self._wish(row, auto, host)
        if wish not in self._spent:
            held = {one.public for one in self._ledger.claims(Standing.HOLDING)}
            kept = [one for one in self._ledger.reservations() if one.public not in held]
            self._spent[wish] = "; ".join(_spent(pool, wish[1], held, kept) for pool in pools)
        return self._spent[wish]

    def _wish(self, row: ClaimRow, auto: Auto, host: HostRow) -> tuple[Wish, list[Pool]]:
        usable = may_use(host, self._ground.pools)
        pools = [pool for pool in usable if auto.pool in ("", pool.name)]
        family = None if row.private is None else ip_address(row.private).version
        return (tuple(pool.name for pool in pools), family, row.ports), pools

    def _choices(self, pools: Iterable[Pool], wish: Wish) -> Iterator[str]:
        """Free addresses, in the order of edge.toml; each is looked at once for all who wish so."""
        ports = tuple(map(PortRange.parse, wish[2]))
        for pool in pools:
            for part in pool.ranges:
                if wish[1] not in (None, part.first.version):
                    continue
                for public in part:
                    if str(public) not in self._all_taken() and not (
                        pool.arrival(public) in self._ground.protected
                        or served_objection(ports, public, self._ground)
                    ):
                        yield str(public)

    def _all_taken(self) -> set[str]:
        if self._taken is None:
            self._taken = self._ledger.taken()
        return self._taken


def _spent(
    pool: Pool, family: int | None, held: Iterable[str], kept: Iterable[ReservationRow]
) -> str:
    size = sum(part.size for part in pool.ranges)
    used = sum(_is_of(public, pool) for public in held)
    idle = sorted((one for one in kept if _is_of(one.public, pool)), key=lambda one: one.since)
    what = _KINDS[family]
    said = f"pool {pool.name} has no {what} left: of {size} {used} are held, {len(idle)} reserved"
    return " ".join([said, *map(_longest, idle[:1])])


def _longest(kept: ReservationRow) -> str:
    return f"(longest for {kept.name}: zthook edge release {kept.public} ends that)"


def _is_of(public: str, pool: Pool) -> bool:
    address: IPAddress = ip_address(public)
    return address in pool
