"""What must be so during a storm and after it, from what runs, the store, and both kernels."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tests.edge.world import Sighting
from tests.faults import six
from tests.faults.soundness import assert_one_holder, forwarding_of
from tests.faults.stormy_edge import SETTINGS, StormyEdge
from tests.faults.stormy_host import StormyHost
from zthook.edge.plane import edge_plane
from zthook.errors import OverlayDown
from zthook.kernel.edge.linux import LinuxEdgeKernel
from zthook.kernel.edge.plan import Steps
from zthook.model.mappings import Auto, Forwarding
from zthook.model.publication import AddressRequest
from zthook.store.rows import OCCUPYING, ClaimRow, Standing, excluding

if TYPE_CHECKING:
    from tests.faults.storm import Storm

Claimed = tuple[str, str, str]
"""Host, guest, and what is asked for."""


def assert_always(storm: "Storm") -> None:
    """Whatever goes wrong: no address has two holders, and nobody was kept from starting."""
    assert_one_holder(storm.edge.within(storm.edge.sqlite.claims))
    prevented = [one for host in storm.hosts for one in host.prevented]
    assert prevented == [], prevented


def amiss(storm: "Storm") -> list[str]:
    """What is not as it should be; empty after a storm has settled."""
    assert_always(storm)
    if storm.edge.fate.ended or not all(host.agent for host in storm.hosts):
        return ["a daemon has died"]
    if any(host.post.under_way for host in storm.hosts):
        return ["messages are under way"]
    rows = storm.edge.within(storm.edge.sqlite.claims)
    found = [*_store(storm, rows)]
    found += storm.edge.within(lambda: list(_edge_kernel(storm.edge, rows)))
    for host in storm.hosts:
        found += _host(host, [row for row in rows if row.host == host.name])
    return found or [*_six(storm, rows)]


def _six(storm: "Storm", rows: list[ClaimRow]) -> Iterator[str]:
    """Looked at last: it takes some processes."""
    mapped = storm.edge.within(lambda: mappings(storm.edge, rows))
    yield from six.edge_amiss(storm.ground, mapped, forgot=storm.edge.forgot)
    for host in storm.hosts:
        privates = [
            row.private
            for row in rows
            if row.host == host.name and row.standing in OCCUPYING and row.private
        ]
        yield from six.host_amiss(storm.ground, host.name, privates)


def left_to_others(storm: "Storm") -> list[str]:
    """What a second look at the hosts' kernels puts right: nothing, if the agents' own did."""
    found = ((host.name, host.repairs()) for host in storm.hosts)
    return [f"{name}'s kernel differs: {lines}" for name, lines in found if lines]


def _store(storm: "Storm", rows: list[ClaimRow]) -> Iterator[str]:
    wanted = {claimed for host in storm.hosts for claimed in claims(host)}
    there = {row.key for row in rows}
    if wanted != there:
        yield f"claimed is {there - wanted} too much, {wanted - there} is lacking"
    for row in rows:
        if why := _wrong(row, [one for one in rows if one.public == row.public]):
            yield f"{why}: {row}"
    if [host for host in storm.edge.within(storm.edge.sqlite.hosts) if host.leaving]:
        yield "a host that is no more"


def _wrong(row: ClaimRow, others: list[ClaimRow]) -> str:
    """Why a row should not be there after a storm; each guest's address is known then."""
    if row.standing is Standing.WAITING:
        return "" if excluding(row, others) else "waits for what nobody has"
    if row.standing is Standing.HOLDING:
        return "" if row.private else "holds without its guest's address"
    return "an orphan" if row.standing is Standing.LEAVING else "refused"


def claims(host: StormyHost) -> Iterator[Claimed]:
    """What its running guests ask for, by their annotations as they are now."""
    for domain, state in host.running.values():
        if domain.publication is None or not state.begun:
            continue
        autos: Counter[str] = Counter()
        for request in domain.publication.requests:
            yield host.name, str(domain.uuid), _asked(request, autos)


def _asked(request: AddressRequest, autos: Counter[str]) -> str:
    if request.public is not None:
        return str(request.public)
    pool = request.pool or ""
    autos[pool] += 1
    return str(Auto(pool, autos[pool] - 1))


def mappings(edge: StormyEdge, rows: Iterable[ClaimRow]) -> list[Forwarding]:
    """What the edge's kernel has to have; called in the one thread that decides."""
    held = (row for row in rows if row.standing is Standing.HOLDING and row.private is not None)
    return [forwarding_of(row, edge.sqlite, SETTINGS, pinned=True) for row in held]


def _edge_kernel(edge: StormyEdge, rows: Iterable[ClaimRow]) -> Iterator[str]:
    try:
        device = edge.overlay.observe()
    except OverlayDown as error:
        yield error.message
        return
    wanted = mappings(edge, rows)
    observer = LinuxEdgeKernel()
    try:
        plane = edge_plane(SETTINGS, device, wanted)
        lacks = Sighting(plane, observer.look(plane)).lacks()
    finally:
        observer.close()
    if lacks != Steps():
        yield f"the edge's kernel differs: {lacks}"


def _host(host: StormyHost, rows: list[ClaimRow]) -> Iterator[str]:
    held = [row for row in rows if row.standing in OCCUPYING]
    active = {(row.guest, row.asked) for row in held}
    believed = {key for key, state in host.beliefs().items() if state == "active"}
    if believed != active:
        yield f"{host.name} believes {believed - active} too much, {active - believed} not"
    mapped, wanted = {str(one) for one in host.rules()}, {row.private for row in held}
    if mapped != wanted:
        yield f"{host.name} has rules for {mapped}, not {wanted}"
