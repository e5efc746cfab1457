"""The admin's views, made from the ledger and what the daemon knows beside it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address

from zthook.edge.leases import Leases
from zthook.edge.outlook import Outlook
from zthook.edge.views import (
    EventView,
    HostView,
    MappingView,
    OverlayView,
    PoolUse,
    Released,
    State,
    TrafficView,
)
from zthook.kernel.traffic import Throughput, Traffic
from zthook.model.addresses import IPAddress, Pool, pool_of
from zthook.model.mappings import Auto, OverlayDevice
from zthook.store.events import EventRow
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, HostRow, ReservationRow, Standing
from zthook.wire.messages import PoolView

_BEHIND_ALL = (9, 0)


def overlay_view(device: OverlayDevice | None) -> OverlayView | None:
    """The overlay's device, where it is there."""
    if device is None:
        return None
    return OverlayView(
        device=device.name,
        mac=device.mac,
        mtu=device.mtu,
        addresses=[str(address) for address in device.addresses],
    )


def pools_said(pools: tuple[Pool, ...]) -> str:
    """All pools in one line."""
    said = [f"{pool.name}={','.join(map(str, pool.ranges))} on {pool.uplink}" for pool in pools]
    return "; ".join(said) or "none"


def event_view(row: EventRow) -> EventView:
    """One line of the audit trail."""
    return EventView(
        at=row.at,
        event=str(row.event),
        host=row.host,
        public=row.public,
        guest=row.name,
        uuid=row.guest,
        private=row.private,
        mode=row.mode,
        ports=list(row.ports),
        epoch=row.epoch,
        source=row.source,
        why=row.why,
        times=row.times,
    )


def pool_uses(ledger: Ledger, pools: tuple[Pool, ...]) -> list[PoolUse]:
    """Sizes, and how many addresses of each are held, or kept for who does not hold them."""
    held = {row.public for row in ledger.claims(Standing.HOLDING)}
    kept = {row.public for row in ledger.reservations()} - held
    return [_pool_use(pool, _of(pool, held), _of(pool, kept)) for pool in pools]


def _of(pool: Pool, publics: Iterable[str]) -> int:
    return sum(ip_address(public) in pool for public in publics)


def _pool_use(pool: Pool, used: int, reserved: int) -> PoolUse:
    return PoolUse(
        name=pool.name,
        addresses=[str(part) for part in pool.ranges],
        uplink=pool.uplink,
        size=pool.size,
        used=used,
        reserved=reserved,
        free=pool.size - used - reserved,
    )


def pool_views(pools: Iterable[Pool]) -> list[PoolView]:
    """Pools as hosts may see them."""
    return [
        PoolView(name=pool.name, addresses=[str(part) for part in pool.ranges]) for pool in pools
    ]


def lost(ledger: Ledger, pools: tuple[Pool, ...]) -> list[str]:
    """Which addresses in use, or reserved, these pools lack, and whose they are.

    A reservation from a pool by name wants its address in just that.
    """
    held = [
        f"{row.public} ({row.name} on {row.host})"
        for row in ledger.claims(Standing.HOLDING)
        if pool_of(ip_address(row.public), pools) is None
    ]
    kept = [
        f"{row.public} (reserved for {row.name})"
        for row in ledger.reservations()
        if not any(ip_address(row.public) in one for one in pools if row.pool in ("", one.name))
    ]
    return held + kept


def holders(ledger: Ledger, public: str) -> list[ClaimRow]:
    """Who holds the address, or ports of it."""
    return [row for row in ledger.claims_on(public) if row.standing is Standing.HOLDING]


def released(public: str, gone: Sequence[ClaimRow], kept: ReservationRow | None) -> Released:
    """Whose it was: those that held it, else for whom it was reserved."""
    of: Sequence[ClaimRow | ReservationRow] = gone or ([kept] if kept is not None else [])
    return Released(
        public=public,
        guest=", ".join(dict.fromkeys(one.name for one in of)),
        host=", ".join(dict.fromkeys(one.host for one in of)),
    )


def traffic_views(
    counted: Mapping[tuple[IPAddress, IPAddress], Traffic],
    rates: Mapping[tuple[IPAddress, IPAddress], Throughput],
) -> dict[tuple[str, str], TrafficView]:
    """By public and private address: several guests may share a public one."""
    return {
        (str(key[0]), str(key[1])): TrafficView(
            bytes_in=one.bytes_in,
            packets_in=one.packets_in,
            bytes_out=one.bytes_out,
            packets_out=one.packets_out,
            rate_in=rates[key].bytes_in if key in rates else None,
            rate_out=rates[key].bytes_out if key in rates else None,
        )
        for key, one in counted.items()
    }


def host_views(
    ledger: Ledger, leases: Leases, seen: Mapping[str, float], faults: Mapping[str, str]
) -> list[HostView]:
    """Every host that was not removed. ``seen`` has Unix times, ``faults`` what is amiss."""
    invited = {row.host: row.expires for row in ledger.invitations() if not row.used}
    return [
        _host_view(ledger, row, leases, invited, seen.get(row.name, row.seen), faults)
        for row in ledger.hosts()
        if not row.leaving
    ]


def _host_view(
    ledger: Ledger,
    row: HostRow,
    leases: Leases,
    invited: Mapping[str, float],
    seen: float | None,
    faults: Mapping[str, str],
) -> HostView:
    left = leases.left(row.name) if row.session else None
    return HostView(
        name=row.name,
        enrolled=row.credential is not None,
        invited_until=invited.get(row.name),
        member=row.member,
        prefixes=list(row.prefixes or ()),
        pools=list(row.pools),
        group=row.group,
        hostname=row.hostname,
        agent=row.agent,
        address=row.address,
        mac=row.mac,
        last_seen=seen,
        lease="none" if left is None else "live" if left > 0 else "ended",
        lease_seconds=left,
        held=sum(claim.standing is Standing.HOLDING for claim in ledger.claims_of(row.name)),
        fault=faults.get(row.name, ""),
    )


def mapping_counts(ledger: Ledger, outlook: Outlook) -> dict[State, int]:
    """How many claims are in each state, and how many addresses are reserved beside them."""
    counted = Counter(outlook.sight(row).state.value for row in ledger.claims())
    return {
        "active": counted["active"],
        "pending": counted["pending"],
        "conflict": counted["conflict"],
        "refused": counted["refused"],
        "withdrawn": counted["withdrawn"],
        "reserved": len(idle(ledger)),
    }


def mapping_views(
    ledger: Ledger, outlook: Outlook, traffic: Mapping[tuple[str, str], TrafficView]
) -> list[MappingView]:
    """Every claim and idle reservation, by public address as a number, then by place.

    Those that have no address yet come last.
    """
    claims = sorted(ledger.claims(), key=lambda row: row.place)
    rows: list[ClaimRow | ReservationRow] = [*claims, *idle(ledger)]
    views = [mapping_view(row, outlook, traffic) for row in rows]
    return sorted(views, key=lambda view: _number(view.public))


def _number(public: str | None) -> tuple[int, int]:
    if public is None:
        return _BEHIND_ALL
    address = ip_address(public)
    return address.version, int(address)


def idle(ledger: Ledger) -> list[ReservationRow]:
    """Reservations that no claim stands for."""
    return [row for row in ledger.reservations() if not _is_claimed(ledger, row)]


def _is_claimed(ledger: Ledger, kept: ReservationRow) -> bool:
    return any((row.guest, row.asked) == kept.key for row in ledger.claims_on(kept.public))


def _reserved_view(row: ReservationRow) -> MappingView:
    return MappingView(
        asked=str(Auto(row.pool, row.nth)),
        public=row.public,
        guest=row.name,
        uuid=row.guest,
        host=row.host,
        private=None,
        mode="",
        client="",
        egress="",
        state="reserved",
        reason=f"kept for {row.name} (zthook edge release {row.public} ends that)",
        holder="",
        epoch=0,
        since=row.since,
    )


def mapping_view(
    row: ClaimRow | ReservationRow,
    outlook: Outlook,
    traffic: Mapping[tuple[str, str], TrafficView],
) -> MappingView:
    """A claim, or a reservation that nobody claims now."""
    if isinstance(row, ReservationRow):
        return _reserved_view(row)
    found = outlook.sight(row)
    holder = found.holder
    return MappingView(
        asked=row.asked,
        public=row.public or None,
        guest=row.name,
        uuid=row.guest,
        host=row.host,
        private=row.private,
        mode=row.mode,
        client=row.client,
        egress=row.egress,
        ports=list(row.ports),
        allow=list(row.allow),
        state=found.state.value,
        reason=found.reason,
        holder=f"{holder.guest} on {holder.host}" if holder is not None else "",
        epoch=row.epoch if row.standing is Standing.HOLDING else 0,
        since=row.since,
        traffic=traffic.get((row.public, row.private or ""))
        if row.standing is Standing.HOLDING
        else None,
    )
