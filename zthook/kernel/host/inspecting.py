"""What a host's kernel has of ours, and lacks; looks and changes nothing."""

from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass

from zthook.kernel import sysctl
from zthook.kernel.firewalls import firewalld, passage
from zthook.kernel.firewalls.firewalld import Reach
from zthook.kernel.firewalls.inspecting import Standing, standings
from zthook.kernel.host import settings
from zthook.kernel.host import table as own_table
from zthook.kernel.host.chains import chains
from zthook.kernel.host.marks import Marks
from zthook.kernel.host.way import Edge, Way
from zthook.kernel.links import find_device, link_local_of
from zthook.kernel.nft import Nft
from zthook.model.addresses import IPAddress


@dataclass(frozen=True, slots=True)
class HostTable:
    """Our table: whether it is there with all its rules, whom it maps, and the edge's MAC."""

    there: bool
    whole: bool
    guests: frozenset[IPAddress]
    edge_mac: str = ""


def host_table(mark: int) -> HostTable:
    """The table as it is now; ``mark`` is the mask of our marks. Raises KernelError."""
    with closing(Nft()) as nft:
        found = own_table.observe(nft)
    if found is None:
        return HostTable(there=False, whole=False, guests=frozenset())
    _, _, mac = next(iter(found.sets.get("edge", ())), "").rpartition(" . ")
    return HostTable(
        there=True, whole=found.is_whole(chains(mark)), guests=found.guests, edge_mac=mac
    )


def way_lacks(
    way: Way,
    overlay: str,
    edge: IPAddress,
    edge_mac: str,
    families: Collection[int],
    *,
    pinned: bool,
) -> list[str]:
    """What marked packets lack on their way to the edge, a line each. Raises KernelError.

    Without the edge's MAC, which our table has, nothing can be said of IPv6, nor of who has
    the edge's address; ``pinned`` says whether that has to be known for good.
    """
    hops: dict[int, IPAddress] = {4: edge}
    if edge_mac:
        hops[6] = link_local_of(edge_mac)
    asked = {version: hop for version, hop in hops.items() if version in families}
    device = find_device(overlay)
    index = device.index if device else None
    known = {hop for version, hop in asked.items() if edge_mac and (pinned or version == 6)}
    return way.lacks(Edge(asked, index, edge_mac, frozenset(known)))


def host_standings(mark: int, families: Collection[int]) -> list[Standing]:
    """The firewalls that what is mapped has to pass. Raises KernelError."""
    marked = passage.Passage(passage.HOST, passage.Of.CONNECTION, Marks(mark).mask)
    with closing(Nft()) as nft:
        return standings(nft, marked, frozenset(families))


def firewalld_amiss(reached: Collection[Reach]) -> list[str]:
    """What firewalld stops of that, where nothing of ours can be put into its table.

    Raises KernelError.
    """
    with closing(Nft()) as nft:
        table = nft.table("inet", firewalld.TABLE, terse=True)
    if table is None:
        return []
    lines: list[str] = []
    if any("owner" in one["table"].get("flags", ()) for one in table if "table" in one):
        lines = firewalld.unasked(reached) + firewalld.lacking(passage.HOST, reached)
    if any(one.address.version == 6 for one in reached) and firewalld.refuses_ways_back(table):
        lines.append(firewalld.NO_WAY_BACK)
    return lines


def not_forwarding(families: Collection[int]) -> list[str]:
    """The settings that keep these IP versions from being forwarded."""
    return [settings.FORWARDING[one] for one in sorted(settings.not_forwarding(families))]


def return_filter(overlay: str) -> int:
    """What rp_filter comes to on the device: the kernel takes the greater of this and ``all``."""
    found = [sysctl.read(f"net/ipv4/conf/{name}/rp_filter") for name in ("all", overlay)]
    return max(int(one or 0) for one in found)
