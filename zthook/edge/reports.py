"""The admin's views, made from the ledger and what the daemon knows beside it."""

from collections import Counter
from collections.abc import Mapping
from ipaddress import ip_address

from zthook.edge.leases import Leases
from zthook.edge.outlook import Outlook
from zthook.edge.views import (
    HostView,
    MappingView,
    OverlayView,
    PoolUse,
    State,
    TrafficView,
)
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import IPAddress, Pool
from zthook.model.mappings import OverlayDevice
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, HostRow, Standing
from zthook.wire.messages import PoolView


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


def pool_uses(ledger: Ledger, pools: tuple[Pool, ...]) -> list[PoolUse]:
    """Sizes, and how many addresses of each are held."""
    held = [ip_address(row.public) for row in ledger.claims(Standing.HOLDING)]
    uses = []
    for pool in pools:
        size = sum(part.size for part in pool.ranges)
        used = sum(public in pool for public in held)
        uses.append(
            PoolUse(
                name=pool.name,
                addresses=[str(part) for part in pool.ranges],
                uplink=pool.uplink,
                size=size,
                used=used,
                free=size - used,
            )
        )
    return uses


def pools_for(host: HostRow, pools: tuple[Pool, ...]) -> list[PoolView]:
    """The pools that this host may use, as it may see them."""
    return [
        PoolView(name=pool.name, addresses=[str(part) for part in pool.ranges])
        for pool in pools
        if not host.pools or pool.name in host.pools
    ]


def traffic_views(
    counted: Mapping[tuple[IPAddress, IPAddress], Traffic],
) -> dict[tuple[str, str], TrafficView]:
    """By public and private address: several guests may share a public one."""
    return {
        (str(public), str(private)): TrafficView(
            bytes_in=one.bytes_in,
            packets_in=one.packets_in,
            bytes_out=one.bytes_out,
            packets_out=one.packets_out,
        )
        for (public, private), one in counted.items()
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
    """How many claims are in each state."""
    counted = Counter(outlook.sight(row).state.value for row in ledger.claims())
    return {
        "active": counted["active"],
        "pending": counted["pending"],
        "conflict": counted["conflict"],
        "refused": counted["refused"],
        "withdrawn": counted["withdrawn"],
    }


def mapping_views(
    ledger: Ledger, outlook: Outlook, traffic: Mapping[tuple[str, str], TrafficView]
) -> list[MappingView]:
    """Every claim, by public address as a number, then by place."""
    rows = sorted(ledger.claims(), key=lambda row: (_number(row.public), row.place))
    return [_mapping_view(row, outlook, traffic) for row in rows]


def _number(public: str) -> tuple[int, int]:
    address = ip_address(public)
    return address.version, int(address)


def _mapping_view(
    row: ClaimRow, outlook: Outlook, traffic: Mapping[tuple[str, str], TrafficView]
) -> MappingView:
    found = outlook.sight(row)
    holder = found.holder
    return MappingView(
        public=row.public,
        guest=row.name,
        uuid=row.guest,
        host=row.host,
        private=row.private,
        mode=row.mode,
        client=row.client,
        state=found.state.value,
        reason=found.reason,
        holder=f"{holder.guest} on {holder.host}" if holder is not None else "",
        epoch=row.epoch if row.standing is Standing.HOLDING else 0,
        since=row.since,
        traffic=traffic.get((row.public, row.private or ""))
        if row.standing is Standing.HOLDING
        else None,
    )
