"""What must be true of an edge whenever it stands still, from its rows and its kernel alone."""

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address, ip_network
from itertools import combinations

from tests.edge.oracle import CLIENT
from tests.edge.world import Edge
from zthook.config.settings import EdgeSettings
from zthook.kernel.connection_table import Connection
from zthook.kernel.edge.plan import Steps
from zthook.model.addresses import pool_of
from zthook.model.mappings import Forwarding
from zthook.model.publication import Egress, Mode, PortRange
from zthook.store.ledger import Ledger
from zthook.store.rows import OCCUPYING, ClaimRow, Standing


def forwarding_of(
    row: ClaimRow, ledger: Ledger, settings: EdgeSettings, *, pinned: bool
) -> Forwarding:
    """What the kernel has to have for a row that holds and whose guest is known."""
    public, host = ip_address(row.public), ledger.host(row.host)
    pool = pool_of(public, settings.pools)
    assert pool is not None, f"{row} holds what is in no pool"
    assert host is not None, f"{row} holds for a host that is not there"
    assert host.address is not None
    assert host.mac is not None
    mode = Mode(row.mode)
    return Forwarding(
        public=public,
        arrives_as=pool.arrival(public),
        private=ip_address(row.private or ""),
        next_hop=IPv4Address(host.address),
        next_hop_mac=host.mac,
        uplink=pool.uplink,
        pinned=pinned,
        hide=mode is Mode.NAT and row.client == "hide" and row.rewriter == "edge",
        mode=mode,
        egress=Egress(row.egress),
        ports=tuple(map(PortRange.parse, row.ports)),
        allow=tuple(map(ip_network, row.allow)),
    )


def expected(edge: Edge) -> list[Forwarding]:
    """All that the kernel has to have."""
    there = {host.name for host in edge.service.hosts() if host.lease == "live"}
    return [
        forwarding_of(row, edge.ledger, edge.settings, pinned=row.host in there)
        for row in edge.ledger.claims(Standing.HOLDING)
        if row.private is not None
    ]


def assert_one_holder(rows: Iterable[ClaimRow]) -> None:
    """No two rows occupy the same address, or the same port of it."""
    occupying = [row for row in rows if row.standing in OCCUPYING]
    for one, other in combinations(occupying, 2):
        assert not one.excludes(other), f"two holders: {one} and {other}"


def assert_sound(edge: Edge, *connections: Connection) -> None:
    """One holder, no orphan in kernel or store, nothing lacking, and what is shown is true.

    ``connections`` are those that the kernel has.
    """
    rows, wanted = edge.ledger.claims(), expected(edge)
    assert_one_holder(rows)
    assert [row for row in rows if row.standing is Standing.LEAVING] == [], "an orphan in the store"
    assert not [host for host in edge.ledger.hosts() if host.leaving], "a host that was removed"
    lacks = edge.look(wanted).lacks()
    assert lacks == Steps(), f"the kernel differs: {lacks}"
    assert edge.service.status().kernel == ""
    for view in edge.service.mappings():
        holds = any(
            (one.host, one.guest, one.asked) == (view.host, view.uuid, view.asked)
            and one.standing is Standing.HOLDING
            and one.private is not None
            for one in rows
        )
        assert (view.state == "active") == holds, f"a lie: {view}"
    through = {
        (address.packed, one.private.packed)
        for one in wanted
        for address in (one.arrives_as, one.public)
    }
    left = [one for one in connections if (one.destination, one.answered_by) not in through]
    assert left == [], "a connection outlived its mapping"


def client_connections(edge: Edge) -> set[Connection]:
    """One of a client through each mapping in mode nat, to the first of its ports."""
    found = set()
    for one in expected(edge):
        if one.mode is Mode.NAT:
            port = one.ports[0] if one.ports else None
            there, target = (port.first, port.target) if port else (80, 80)
            found.add(
                Connection(
                    CLIENT,
                    one.arrives_as.packed,
                    6,
                    there,
                    one.private.packed,
                    CLIENT,
                    target,
                    b"",
                )
            )
    return found
