"""What must hold of an edge after every step, whatever the step was.

The oracle looks at the rows of the store, at the kernel and at what hosts and admin are
told; it remembers the step before, and never asks the code under test for its opinion of
who should have what.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

import msgspec
from msgspec.structs import replace

from tests.documents.json_schemas import check
from tests.edge.trouble import TroubledLedger
from tests.edge.world import (
    SETTINGS,
    Edge,
    FakeInside,
    Sighting,
    address_of,
    overlay_mac,
)
from zthook.edge.views import MappingView
from zthook.kernel.connection_table import Connection
from zthook.kernel.connection_ways import NUMBERS
from zthook.kernel.edge.plan import Steps
from zthook.model.addresses import pool_of
from zthook.model.mappings import Forwarding
from zthook.model.publication import PortRange, Protocol
from zthook.store.ledger import ClaimKey, ReservationKey
from zthook.store.rows import OCCUPYING, ClaimRow, Standing

Rows = dict[ClaimKey, ClaimRow]
Told = tuple[int, list[MappingView]]


@dataclass
class Oracle:
    """Call ``check`` after each step. ``groups`` are the hosts' migration groups.

    ``troubled``: something was broken on purpose since the last pass that succeeded, so the
    kernel may lag behind the store.
    """

    edge: Edge
    ledger: TroubledLedger
    groups: dict[str, str | None]
    troubled: bool = False
    flushed: bool = False
    before: Rows = field(default_factory=dict)
    live_before: set[str] = field(default_factory=set)
    renewed: dict[str, float] = field(default_factory=dict)
    highest_epoch: int = 0
    told: dict[str, Told] = field(default_factory=dict)
    kept: dict[ReservationKey, str] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    connected: dict[tuple[str, str], ClaimRow] = field(default_factory=dict)

    def rows(self) -> Rows:
        return {row.key: row for row in self.ledger.inner.claims()}

    def renew(self, *hosts: str) -> None:
        """These hosts were heard, or are given a period by a daemon that starts."""
        self.renewed |= dict.fromkeys(hosts, self.edge.clock.boottime())

    def live(self, host: str) -> bool:
        return self.age(host) < SETTINGS.lease_seconds

    def age(self, host: str) -> float:
        """Seconds since the host's lease was renewed."""
        return self.edge.clock.boottime() - self.renewed[host]

    def holder(self, public: str) -> ClaimRow | None:
        found = (row for row in self.rows().values() if row.public == public)
        return next((row for row in found if row.standing is Standing.HOLDING), None)

    def check(self) -> None:
        """All that holds at any time."""
        now, views = self.rows(), self.edge.service.mappings()
        self.one_holder(now)
        self.what_is_kept_stays_kept(now)
        self.one_user_of_a_private_address(now)
        self.granted_rightly(now)
        self.moved_aside_rightly(now)
        kernel = self.edge.look(self.expected(now))
        self.the_kernel_has_no_more(now, kernel)
        self.active_is_true(views, kernel)
        check(msgspec.json.encode(views), "zthook edge mappings")
        self.connections_live_on(now, views)
        if not self.troubled:
            self.nothing_is_left_to_do(now, kernel)
        self.hosts_are_told(views)
        self.before = now

    def begin(self) -> None:
        """A step begins: who is there now?"""
        self.live_before = {name for name in self.groups if self.live(name)}

    def one_holder(self, now: Rows) -> None:
        occupied = [row.public for row in now.values() if row.standing in OCCUPYING]
        assert len(occupied) == len(set(occupied)), "two holders"

    def what_is_kept_stays_kept(self, now: Rows) -> None:
        """An ``auto``'s address is its guest's, and no other's, until somebody releases it."""
        kept = {row.key: row.public for row in self.ledger.inner.reservations()}
        for key, public in self.kept.items():
            assert kept.get(key) == public or public in self.released, "no longer kept"
        assert len(set(kept.values())) == len(kept), "kept for two"
        whose = {public: guest for (guest, _), public in kept.items()}
        for row in now.values():
            let_go = row.standing is Standing.LEAVING
            if row.asked.startswith("auto/") and row.public and not let_go:
                assert kept.get((row.guest, row.asked)) == row.public, "not kept"
            if row.standing in OCCUPYING:
                assert whose.get(row.public, row.guest) == row.guest, "given to a second guest"
        self.kept = kept

    def connections_live_on(self, now: Rows, views: list[MappingView]) -> None:
        """A guest's connections do, from host to host too, while it has the same mapping."""
        if not isinstance(self.edge.inside, FakeInside):
            return
        there = self.edge.inside.kernel.connections
        held = {
            (row.public, row.guest): row
            for row in now.values()
            if row.standing is Standing.HOLDING and row.private is not None
        }
        for key, old in self.connected.items():
            row, left = held.get(key), now.get(old.key)
            if left is not None and (left.standing, left.private) != (
                Standing.WAITING,
                old.private,
            ):
                continue
            if row is not None and row.private == old.private and goes_on(old, row):
                assert connection(row) in there, f"a connection ended: {old} is {row}"
        active = {(view.host, view.uuid, view.asked) for view in views if view.state == "active"}
        self.connected = {key: row for key, row in held.items() if row.key in active}
        there |= set(map(connection, self.connected.values()))

    def one_user_of_a_private_address(self, now: Rows) -> None:
        users: dict[str, tuple[str, str]] = {}
        for row in now.values():
            if row.standing is Standing.HOLDING and row.private is not None:
                user = row.host, row.guest
                assert users.setdefault(row.private, user) == user, "two users"

    def granted_rightly(self, now: Rows) -> None:
        """Under a new epoch, to a host that is there, and before all who waited longer."""
        granted = [row for key, row in now.items() if _is_new(row, self.before.get(key))]
        for row in granted:
            assert row.epoch > self.highest_epoch, "an old epoch"
            assert self.live(row.host) or row.host in self.live_before, "nobody is there"
            old = self.before.get(row.key)
            waited = old is not None and old.standing is Standing.WAITING and not old.heir
            if old is not None and waited and not self.takes_over(row):
                self.nobody_waited_longer(old, now)
        epochs = [row.epoch for row in now.values() if row.standing is Standing.HOLDING]
        assert len(epochs) == len(set(epochs)), "one epoch twice"
        self.highest_epoch = max([self.highest_epoch, *(row.epoch for row in now.values())])

    def takes_over(self, row: ClaimRow) -> bool:
        """Whether its guest had the address before, on another host."""
        return any(
            old.standing in OCCUPYING
            and (old.public, old.guest) == (row.public, row.guest)
            and old.host != row.host
            for old in self.before.values()
        )

    def nobody_waited_longer(self, chosen: ClaimRow, now: Rows) -> None:
        for key, other in self.before.items():
            still = now.get(key)
            if (
                still is not None
                and other.public == chosen.public != ""
                and other.standing is still.standing is Standing.WAITING
                and other.place < chosen.place
                and self.could_be_granted(still)
            ):
                assert not self.live(other.host) or self.blocked(still), (
                    f"{chosen} jumped the queue before {other}"
                )

    def could_be_granted(self, row: ClaimRow) -> bool:
        """As far as the claim itself and reservations go."""
        kept = self.ledger.inner.reservation_on(row.public)
        return not row.leaving and (kept is None or kept.guest == row.guest)

    def moved_aside_rightly(self, now: Rows) -> None:
        """Who is there and still claims loses to the same guest only: one that is new in its
        group, or anywhere else where this host says that it left.
        """
        for key, old in self.before.items():
            row = now.get(key)
            if row is None or old.standing is not Standing.HOLDING or not self.live(row.host):
                continue
            waits = Standing.WAITING in (row.standing, row.after)
            if waits and row.host in self.live_before:
                assert any(self.inherits(other, row) for other in now.values()), (
                    f"moved aside: {old} is {row}"
                )

    def inherits(self, other: ClaimRow, row: ClaimRow) -> bool:
        old = self.before.get(other.key)
        new = old is None or old.heir or old.private is None or old.leaving
        group = self.groups[row.host]
        moved = new and group is not None and self.groups[other.host] == group
        return (row.leaving or moved) and other.guest == row.guest and other.host != row.host

    def the_kernel_has_no_more(self, now: Rows, kernel: Sighting) -> None:
        """Whatever crashed: what it forwards is of a row that holds, or is LEAVING."""
        occupied = {row.public for row in now.values() if row.standing in OCCUPYING}
        assert kernel.inward().keys() <= occupied, "reachable without a mapping"

    def active_is_true(self, views: list[MappingView], kernel: Sighting) -> None:
        if self.flushed:
            return
        have = kernel.reached()
        for view in views:
            if view.state == "active":
                host = self.ledger.inner.host(view.host)
                assert host is not None
                assert have.get(view.public or "") == f"{view.private} via {host.address}", "a lie"

    def nothing_is_left_to_do(self, now: Rows, kernel: Sighting) -> None:
        """No trouble: then the kernel is right when the call returns, and nobody waits idly."""
        assert self.edge.service.status().kernel == ""
        assert kernel.lacks() == Steps()
        for row in now.values():
            assert row.standing is not Standing.LEAVING
            if row.standing is Standing.WAITING and self.live(row.host):
                holder = self.holder(row.public)
                taken = holder is not None and self.live(holder.host)
                idle = taken or self.blocked(row) or self.used_up(row, now)
                assert idle or not self.could_be_granted(row), "waits for a free address"
            if row.standing is Standing.REFUSED and "is used by" in row.reason:
                assert self.used_by_another(row, now), "refused for what is no longer so"

    def settled(self) -> None:
        """After a tick without trouble."""
        for view in self.edge.service.mappings():
            if view.state == "reserved":
                continue
            allowed = SETTINGS.lease_seconds + SETTINGS.grace_seconds
            assert self.age(view.host) < allowed, "kept beyond its grace"
            row = self.rows()[view.host, view.uuid, view.asked]
            if row.standing is Standing.HOLDING and row.private is not None:
                assert view.state == "active"

    def used_up(self, row: ClaimRow, now: Rows) -> bool:
        """Whether it asks for any address, and all are asked for or kept."""
        if row.public:
            return False
        pool = row.asked.split("/")[1]
        wanted = {
            str(one)
            for some in self.edge.settings.pools
            for part in some.ranges
            for one in part
            if pool in ("", some.name)
        }
        asked = {other.public for other in now.values() if other.standing is not Standing.REFUSED}
        return wanted <= asked | set(self.kept.values())

    def blocked(self, row: ClaimRow) -> bool:
        """Whether the same guest has the private address on another host that is there."""
        return row.private is not None and any(
            other.standing is Standing.HOLDING
            and other.private == row.private
            and other.guest == row.guest
            and other.host != row.host
            and self.live(other.host)
            for other in self.rows().values()
        )

    def used_by_another(self, row: ClaimRow, now: Rows) -> bool:
        return any(
            other.standing is Standing.HOLDING
            and other.private == row.private
            and other.guest != row.guest
            and self.live(other.host)
            for other in now.values()
        )

    def hosts_are_told(self, views: list[MappingView]) -> None:
        """Where what the admin sees of a host's claims changed, its generation rose."""
        for name in self.groups:
            row = self.ledger.inner.host(name)
            if row is None or row.leaving:
                self.told.pop(name, None)
                continue
            generation = self.edge.service.generation(name, row.session)
            mine = [view for view in views if view.host == name and view.state != "reserved"]
            said = sorted(map(_what_is_told, mine), key=lambda view: (view.uuid, view.asked))
            before = self.told.get(name)
            if before is not None:
                assert generation >= before[0], "a generation fell"
                new = [one for one in said if one not in before[1]]
                assert generation > before[0] or said == before[1], f"nobody told {name}: {new}"
            self.told[name] = generation, said

    def expected(self, now: Rows) -> set[Forwarding]:
        """What the kernel has to have, from the rows and from where the agents really are."""
        return {
            self.forwarding(row)
            for row in now.values()
            if row.standing is Standing.HOLDING and row.private is not None
        }

    def forwarding(self, row: ClaimRow) -> Forwarding:
        public, host = IPv4Address(row.public), self.ledger.inner.host(row.host)
        pool = pool_of(public, self.edge.settings.pools)
        assert pool is not None
        assert host is not None
        assert host.address is not None
        hop = IPv4Address(host.address)
        assert hop in {address_of(row.host), address_of(row.host) + 100}
        return Forwarding(
            public=public,
            arrives_as=public,
            private=IPv4Address(row.private or ""),
            next_hop=hop,
            next_hop_mac=overlay_mac(hop),
            uplink=pool.uplink,
            pinned=self.live(row.host),
            hide=row.client == "hide",
        )


def _is_new(row: ClaimRow, old: ClaimRow | None) -> bool:
    if row.standing is not Standing.HOLDING:
        return False
    return old is None or old.standing is not Standing.HOLDING or old.epoch != row.epoch


def goes_on(old: ClaimRow, row: ClaimRow) -> bool:
    """Whether the same grant is still there, or that of the guest's other host."""
    return old.host != row.host or old.epoch == row.epoch


CLIENT = IPv4Address("192.0.2.77").packed


def connection(row: ClaimRow) -> Connection:
    """A client's, as the kernel remembers it: to the first of the guest's ports."""
    public, private = ip_address(row.public).packed, ip_address(row.private or "").packed
    ports = [PortRange.parse(one) for one in row.ports]
    port, target = (ports[0].first, ports[0].target) if ports else (80, 80)
    protocol = NUMBERS[ports[0].protocol if ports else Protocol.TCP]
    return Connection(CLIENT, public, protocol, port, private, CLIENT, target, b"")


def _what_is_told(view: MappingView) -> MappingView:
    return replace(view, traffic=None, since=0.0, mode="", client="")
