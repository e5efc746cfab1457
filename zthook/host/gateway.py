"""What a LAN gateway lacks that carries the edge's packets to this host's guests (``via``).

Such a host is no member of the overlay, so none of its own rules help, and the gateway is
somebody else's machine. What can be found out from here is found out here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from ipaddress import IPv4Address
from typing import Protocol

from zthook.errors import KernelError
from zthook.host.desired import Desired
from zthook.host.echo import answers
from zthook.host.observer import Worker
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.clock import Clock
from zthook.model.guests import Network

LOOK_SECONDS = 60.0
"""Between two looks."""
FAR_AWAY = IPv4Address("192.0.2.1")
"""A documentation address: only asked how to get there."""


class Ways(Protocol):
    """The part of ``zthook.kernel.HostDataplane`` that is used here; blocking."""

    def on_link(self) -> Mapping[str, tuple[IPNetwork, ...]]: ...
    def next_hop(self, address: IPAddress) -> IPAddress | None: ...


Answers = Callable[[IPv4Address, IPv4Address], Awaitable[bool]]
"""``zthook.host.echo.answers``."""


class Gateway:
    """``lacking``: device → what its guests miss, for each that was looked at and misses
    something.
    """

    def __init__(
        self,
        via: IPv4Address,
        edge: IPv4Address,
        *,
        ways: Ways,
        work: Worker,
        clock: Clock,
        hint: Callable[[], None],
        echo: Answers = answers,
    ) -> None:
        self.via = via
        self.lacking: dict[str, str] = {}
        self._wrong = ""
        self._edge = edge
        self._ways = ways
        self._work = work
        self._clock = clock
        self._hint = hint
        self._echo = echo
        self._looked: tuple[float, set[str]] = (-LOOK_SECONDS, set())
        self._looking: asyncio.Task[None] | None = None

    def look(self, desired: Iterable[Desired]) -> None:
        """Look soon, where it is time or there are other devices; hints at what is new."""
        places = {
            device: one.placement.network
            for one in desired
            if one.claim and one.placement and (device := one.placement.interface.bridge)
        }
        now, (looked, devices) = self._clock.boottime(), self._looked
        if self._looking is None and (now - looked >= LOOK_SECONDS or places.keys() - devices):
            self._looked = now, set(places)
            self._looking = asyncio.create_task(self._look(places))

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self, places: Mapping[str, Network | None]) -> None:
        try:
            found = [(device, await self._lack(network)) for device, network in places.items()]
            fault = await self._mistake()
        except KernelError:
            return
        finally:
            self._looking = None
        lacking = {device: what for device, what in found if what}
        if (lacking, fault) != (self.lacking, self._wrong):
            self.lacking, self._wrong = lacking, fault
            self._hint()

    def faults(self, *, edge_up: bool | None) -> list[str]:
        """What somebody should look at."""
        found = [self._wrong] if self._wrong else []
        if edge_up is False:
            found.append(
                f"the edge is reached by the LAN gateway {self.via}: it has to forward "
                "(net.ipv4.ip_forward=1) and to MASQUERADE toward the overlay, and this host "
                "needs a route to the edge by it"
            )
        return [f"via: {one}" for one in found]

    async def _mistake(self) -> str:
        for device, prefixes in (await self._work(self._ways.on_link)).items():
            if any(self._edge in prefix for prefix in prefixes):
                return f"this host is on the edge's network itself, by {device}: take via out"
        return ""

    async def _lack(self, network: Network | None) -> str:
        """What the gateway, or the guests' router, lacks for guests on a network, or a bridge."""
        if network is None or not network.kind.routed_by_host:
            edge = await self._work(lambda: self._ways.next_hop(self._edge))
            usual = await self._work(lambda: self._ways.next_hop(FAR_AWAY))
            return self._lacks_way_back() if edge != usual else ""
        own = [one for one in network.gateways if isinstance(one, IPv4Address)]
        if not own or await self._echo(own[0], self.via):
            return ""
        prefix = next(one for one in network.prefixes if own[0] in one)
        return (
            f"the LAN gateway {self.via} does not answer to {prefix}: it needs a route there by "
            "this host (ip route add)"
        )

    def _lacks_way_back(self) -> str:
        """This host reaches the edge by a route of its own, which its guests' router may lack."""
        return (
            f"by the LAN gateway {self.via}; unless that MASQUERADEs toward the LAN, the guests' "
            "router needs a static route to the overlay by it"
        )
