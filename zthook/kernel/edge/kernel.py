"""What an edge's dataplane asks of a kernel: the machine's, or one made of Python's sets."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from zthook.kernel.connection_ways import Through
from zthook.kernel.edge.endings import Endings
from zthook.kernel.edge.ground import Surroundings
from zthook.kernel.edge.plan import Seen
from zthook.kernel.edge.rules import Transaction
from zthook.kernel.neighbours import Pinned, ProxyEntry
from zthook.kernel.protected import Served
from zthook.kernel.routes import Route
from zthook.kernel.rules import PolicyRule
from zthook.model.addresses import AddressRange, IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, OverlayDevice


class EdgeKernel(Protocol):
    """What an edge's dataplane needs of a kernel. Everything raises KernelError.

    Called by one thread at a time; ``neighbour_mac`` also while another call goes on.
    """

    def look(self, plane: EdgePlane) -> Seen:
        """What there is now; what changes from here on is told by ``disturbed``."""
        ...

    def glance(self, plane: EdgePlane) -> object:
        """Equal to another one as long as nothing changed that ``look`` sees; far cheaper.

        It takes the place of ``look`` for ``disturbed``.
        """
        ...

    def around(self, plane: EdgePlane) -> Surroundings:
        """What of that is not ours; of ``closed6`` only whether forwarding is off."""
        ...

    def disturbed(self) -> bool:
        """Whether somebody else changed, since ``look``, what it looked at."""
        ...

    def settings(self, paths: Iterable[str]) -> dict[str, str]:
        """Path under /proc/sys → value, without those that are not there."""
        ...

    def commit(self, change: Transaction) -> None:
        """Carry out the nft transaction, all of it or nothing."""
        ...

    def end_connections(self, ends: Endings) -> None:
        """End these connections; see the functions of conntrack."""
        ...

    def end_strangers(self, some: Collection[Through]) -> None:
        """See conntrack.end_strangers."""
        ...

    def forgive(self, some: Collection[Through], begun: Collection[Through]) -> None:
        """See conntrack.forgive."""
        ...

    def end_leftovers(
        self,
        publics: Collection[AddressRange],
        some: Collection[Through],
        begun: Collection[Through],
        allowed: Mapping[Through, Collection[IPNetwork]],
    ) -> None:
        """See conntrack.end_leftovers, and end_refused for who is ``allowed``."""
        ...

    def set_routes(self, some: Collection[Route]) -> None:
        """Make them be there."""
        ...

    def remove_routes(self, some: Collection[Route]) -> None:
        """Make them not be there."""
        ...

    def set_proxy(self, entry: ProxyEntry) -> None:
        """Answer ARP or neighbour solicitations, and tell the neighbours."""
        ...

    def remove_proxy(self, entry: ProxyEntry) -> None:
        """Answer no more."""
        ...

    def set_pinned(self, some: Collection[Pinned]) -> None:
        """Make them be there."""
        ...

    def remove_pinned(self, some: Collection[Pinned]) -> None:
        """Make them not be there."""
        ...

    def add_rules(self, some: Collection[PolicyRule]) -> None:
        """Make them be there."""
        ...

    def remove_rules(self, some: Collection[PolicyRule]) -> None:
        """Make them not be there."""
        ...

    def set(self, path: str, value: str) -> None:
        """Set a value under /proc/sys."""
        ...

    def open_firewalls(self, families: frozenset[int]) -> list[str]:
        """Have other people's let through, of these families (4, 6), what our rules let through.

        A line for each thing that was put right.
        """
        ...

    def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Set and element → (packets, bytes)."""
        ...

    def overlay(self, name: str) -> OverlayDevice | None:
        """The device, if it is there and up."""
        ...

    def neighbour_mac(self, address: IPAddress, device: str) -> str | None:
        """The MAC that the device's neighbour was last seen with; None without the device."""
        ...

    def default_sources(self) -> frozenset[IPAddress]:
        """The sources of the machine's own connections."""
        ...

    def default_routers(self) -> frozenset[IPAddress]:
        """The next hops of the machine's default routes."""
        ...

    def logins(self) -> frozenset[IPAddress]:
        """Own addresses with a login session on them."""
        ...

    def served(self) -> frozenset[Served]:
        """The ports on which the machine's own programs wait."""
        ...

    def connected(self) -> tuple[IPNetwork, ...]:
        """Every on-link prefix and own address."""
        ...

    def close(self) -> None:
        """Let go of sockets; what is in the kernel stays."""
        ...
