"""What is so now, from the ledger and from what the kernel has: nothing here changes either."""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Any

from zthook.config.settings import EdgeSettings
from zthook.edge.macs import is_pinned
from zthook.edge.moves import is_elsewhere
from zthook.edge.news import ClaimSeen
from zthook.edge.plane import KernelSide, Key, edge_plane, forwarding, overlay_address
from zthook.edge.sight import Around, Sight, sight
from zthook.edge.twins import Twins
from zthook.model.addresses import pool_of
from zthook.model.mappings import Claim, EdgePlane, Forwarding, OverlayDevice
from zthook.store.ledger import ClaimKey, Ledger
from zthook.store.rows import ClaimRow, HostRow, Standing
from zthook.wire.messages import MappingReply


class Outlook:
    """Looks; ``settings`` are those in force, ``device`` the overlay's as it was known last,
    ``overlay_up`` whether it is there now, with an address. ``leased`` tells whether a host's
    lease is live.
    """

    def __init__(
        self,
        ledger: Ledger,
        kernel: KernelSide,
        twins: Twins,
        settings: EdgeSettings,
        leased: Callable[[str], bool],
    ) -> None:
        self.settings = settings
        self.device: OverlayDevice | None = None
        self.overlay_up = False
        self._ledger = ledger
        self._kernel = kernel
        self._twins = twins
        self._leased = leased
        self._planned: tuple[tuple[Any, ...], EdgePlane] | None = None

    @property
    def overlay_mac(self) -> str:
        """The edge's MAC on the overlay as it was known last, empty where it never was."""
        return self.device.mac if self.device is not None else ""

    def see_overlay(self, device: OverlayDevice | None) -> bool:
        """Take the overlay as it is now; whether that is different from before.

        While it is away the kernel keeps what it has, so that connections live through
        the moment in which the overlay's daemon restarts.
        """
        up = overlay_address(device) is not None
        changed = up != self.overlay_up or (up and device != self.device)
        self.overlay_up = up
        if up:
            self.device = device
        return changed

    def desired(self, row: ClaimRow) -> Forwarding | None:
        """What the kernel should have for this row."""
        if row.standing is not Standing.HOLDING or row.private is None:
            return None
        return self._forwarding(row, self._ledger.host(row.host))

    def _forwarding(self, row: ClaimRow, host: HostRow | None) -> Forwarding | None:
        leased = self._leased(row.host)
        pinned = host is not None and is_pinned(self.settings.overlay, host, leased=leased)
        return forwarding(row, host, self.settings.pools, pinned=pinned)

    def desired_on(self, public: str) -> dict[Key, Forwarding]:
        """What the kernel should have for this public address, by ``Forwarding.key``."""
        if not public:
            return {}
        wanted = filter(None, map(self.desired, self._ledger.claims_on(public)))
        return {one.key: one for one in wanted}

    def plane(self) -> EdgePlane:
        """Everything the kernel should have; the same object where nothing changed since.

        A lease that begins or ends is noted in the ledger, and so is a change of it.
        """
        of = self._ledger.changes, self.settings, self.device
        if self._planned is None or self._planned[0] != of:
            self._planned = of, self._plan()
        return self._planned[1]

    def _plan(self) -> EdgePlane:
        hosts = {host.name: host for host in self._ledger.hosts()}
        wanted = (
            self._forwarding(row, hosts.get(row.host))
            for row in self._ledger.each_claim(Standing.HOLDING)
            if row.private is not None
        )
        return edge_plane(self.settings, self.device, filter(None, wanted))

    def sight(self, row: ClaimRow, rows: Sequence[ClaimRow] | None = None) -> Sight:
        """What to say of a claim; ``rows`` are all of its address, where they are at hand."""
        twice = self._twins.hosts(row.guest)
        if row.standing is Standing.HOLDING:
            return sight(row, Around(twice=twice), self._lacking(row))
        if row.standing is Standing.REFUSED or not row.public:
            return sight(row, Around(twice=twice), "")
        beside = self._ledger.claims_on(row.public) if rows is None else rows
        kept = self._ledger.reservation_on(row.public)
        return sight(row, Around(beside, kept, twice), "")

    def seen(self, public: str) -> dict[ClaimKey, ClaimSeen]:
        """What to say of every claim of a public address; "": of every ``auto`` without one."""
        rows = self._ledger.claims_on(public)
        return {
            row.key: (
                self.sight(row, rows),
                row.epoch,
                row.public,
                row.private,
                self._was(row),
            )
            for row in rows
        }

    def replies(self, host: str, claims: Iterable[Claim]) -> list[MappingReply]:
        """The answer to these claims of a host, in their order."""
        keys = ((host, str(claim.guest), claim.asked) for claim in claims)
        return [self._reply(row) for row in filter(None, map(self._ledger.claim, keys))]

    def _reply(self, row: ClaimRow) -> MappingReply:
        found = self.sight(row)
        return MappingReply(
            guest=row.guest,
            asked=row.asked,
            public=row.public or None,
            private=row.private,
            state=found.state.value,  # type: ignore[arg-type]  # asked for, so not withdrawn
            reason=found.reason,
            holder=found.holder,
            arrives_as=self._arrives_as(row.public),
            was=self._was(row),
            epoch=row.epoch if row.standing is Standing.HOLDING else 0,
            since=row.since,
        )

    def _was(self, row: ClaimRow) -> str | None:
        """What a guest whose address is not known has on a host that trusts this one with it.

        Not on any other: UUIDs are no secret.
        """
        if row.private is not None or not row.public:
            return None
        here = self._ledger.host(row.host)
        for other in self._ledger.claims_on(row.public):
            there = self._ledger.host(other.host)
            together = here and there and here.group and here.group == there.group
            if is_elsewhere(row, other) and other.private and (together or other.leaving):
                return other.private
        return None

    def _arrives_as(self, public: str) -> str | None:
        """What a provider makes of it, where one does."""
        if not public:
            return None
        address = ip_address(public)
        pool = pool_of(address, self.settings.pools)
        return str(pool.arrival(address)) if pool is not None and pool.arrives_as else None

    def _lacking(self, row: ClaimRow) -> str:
        if not self.overlay_up:
            return "waits for the edge's overlay, which is down"
        wanted = self.desired(row)
        if wanted is None:
            return f"waits for the overlay's neighbour entry of {row.host}"
        if self._kernel.forwards(wanted):
            return ""
        why = self._kernel.fault
        return f"waits for the edge's kernel: {why}" if why else "waits for the edge's kernel"
