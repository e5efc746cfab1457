"""The edge's dataplane: all that the kernel must have goes in, or a few mappings more or less."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Protocol

from zthook.errors import KernelError
from zthook.kernel.edge.chains.shape import Shape
from zthook.kernel.edge.change import Mappings, plan_change
from zthook.kernel.edge.elements import all_elements
from zthook.kernel.edge.endings import allowed, begun_as, through
from zthook.kernel.edge.ground import (
    ROUTES6_FOR_ALL,
    ROUTES_FOR_ALL,
    Surroundings,
    is_ipv6,
    settings6_of,
    settings_of,
)
from zthook.kernel.edge.kernel import EdgeKernel
from zthook.kernel.edge.linux import LinuxEdgeKernel
from zthook.kernel.edge.plan import Seen, Steps, plan, shape_seen, shutting
from zthook.kernel.edge.report import misled, repairs, waiting
from zthook.kernel.edge.rules import NOTHING
from zthook.kernel.edge.sets import CLOSED6
from zthook.kernel.edge.traffic import traffic_of
from zthook.kernel.protected import Served, reasons
from zthook.kernel.traffic import Traffic
from zthook.model.addresses import IPAddress, IPNetwork
from zthook.model.mappings import EdgePlane, Forwarding
from zthook.model.publication import Egress


class EdgeDataplane(Protocol):
    """Everything raises KernelError where the kernel refuses.

    Called by one thread at a time; ``mac_of`` also while another call goes on.
    """

    def apply(self, desired: EdgePlane) -> list[str]:
        """Look at the kernel and change what differs; a line for each repair.

        Needs nothing that was known before: what another process, or nobody, left is
        adopted. While the overlay's device is away its routes wait, which a line says when
        that is new; all else is set. Connections through mappings that stay live on.
        """
        ...

    def misled(self) -> tuple[str, ...]:
        """Of which uplinks the last ``apply`` could not know the way, a line each."""
        ...

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        """Withdraw, then grant, at a cost that does not depend on how many mappings there are.

        What is withdrawn ends its connections, also where the same address is granted anew
        in the same call (to another guest). What is granted over the same mapping (its guest
        moved to another host; other ports or clients may be) keeps those that it allows, and
        what it is in the way of on its address goes. After a KernelError the state is unknown,
        and only ``apply`` is possible.
        """
        ...

    def drifted(self) -> bool:
        """Whether ``apply`` is called for: a few small questions, no listing."""
        ...

    def protected(self) -> dict[IPAddress, str]:
        """Own addresses that may not be given away → why, in words that follow "it is"."""
        ...

    def served(self) -> frozenset[Served]:
        """The ports that the machine itself serves: on its own addresses they stay so."""
        ...

    def connected(self) -> tuple[IPNetwork, ...]:
        """Everything on-link at the edge, its own addresses included."""
        ...

    def mac_of(self, address: IPv4Address) -> str | None:
        """The MAC of a neighbour on the overlay, lower case; None where it is not known."""
        ...

    def traffic(self) -> dict[tuple[IPAddress, IPAddress], Traffic]:
        """What passed, by public and private address, since the mapping was granted.

        A mapping that changed has counted anew since then what it changed of.
        """
        ...

    def close(self) -> None:
        """Let go of the kernel; what is in it stays and goes on forwarding."""
        ...


class KernelEdgeDataplane:
    """The dataplane over a kernel, by default this machine's."""

    def __init__(self, kernel: EdgeKernel | None = None) -> None:
        self._kernel: EdgeKernel = kernel or LinuxEdgeKernel()
        self._plane: EdgePlane | None = None
        self._mappings: Mappings | None = None
        self._around: Surroundings | None = None
        self._settled: tuple[EdgePlane, object] | None = None
        """What was wanted, and a glance at the kernel, when nothing was amiss."""
        self._shape = Shape()
        self._settings: dict[str, str] = {}
        self._opened: frozenset[int] = frozenset()
        self._closed6 = False
        self._waiting = False
        self._misled: tuple[str, ...] = ()
        self._routers: frozenset[IPAddress] = frozenset()
        """Also those of before: while a network starts anew there is no default route."""

    def apply(self, desired: EdgePlane) -> list[str]:
        glance = self._kernel.glance(desired)
        if self._mappings is not None and (desired, glance) == self._settled:
            self._settled = desired, glance  # the next time the same one, seen to be so at once
            return self._open(self._opened)
        mappings, self._mappings, self._settled = self._mappings, None, None
        self._plane = desired
        seen, lines = self._with_closed6(self._kernel.look(desired), desired)
        steps = plan(desired, seen)
        self._carry_out(steps)
        if mappings is None:
            # What came before may have ended between a mapping and its connections.
            self._kernel.end_leftovers(
                desired.pool_ranges,
                through(desired.forwardings),
                begun_as(all_elements(_leaving(desired.forwardings))),
                allowed(desired.forwardings),
            )
        self._around, self._shape = seen.around, shape_seen(desired, seen)
        self._settings = _expected(desired, seen.around)
        opened = self._open(frozenset(one.public.version for one in desired.forwardings))
        self._mappings = mappings or Mappings()
        self._mappings.become(desired.forwardings)
        lines += repairs(seen, steps) + opened
        self._settled = None if lines else (desired, glance)
        self._misled = misled(desired, seen)
        return lines + self._news(waiting(desired, seen))

    def _with_closed6(self, seen: Seen, desired: EdgePlane) -> tuple[Seen, list[str]]:
        """What is seen, and whether IPv6 is forwarded for mappings alone.

        The table remembers that, and over a flush of it this process. With the last mapping
        forwarding is off again, as nobody else has had anything of it.
        """
        remembered = self._closed6 or bool(seen.elements.get(CLOSED6))
        off, lines = seen.around.closed6, list[str]()
        if any(map(is_ipv6, desired.forwardings)):
            self._closed6 = remembered or off
        elif remembered and not off:
            self._kernel.set(ROUTES6_FOR_ALL, "0")
            lines = [f"{ROUTES6_FOR_ALL} was 1 for mappings, and there is none: set to 0"]
            self._closed6 = False
        else:
            self._closed6 = False
        return replace(seen, around=replace(seen.around, closed6=self._closed6)), lines

    def _open(self, families: frozenset[int]) -> list[str]:
        """Other firewalls, while there is a mapping of the family."""
        lines = self._kernel.open_firewalls(families)
        self._opened = families
        return lines

    def _news(self, lines: list[str]) -> list[str]:
        before, self._waiting = self._waiting, bool(lines)
        return [] if before else lines

    def change(
        self, *, withdraw: Sequence[Forwarding] = (), grant: Sequence[Forwarding] = ()
    ) -> None:
        mappings, around, plane = self._mappings, self._around, self._plane
        if mappings is None or around is None or plane is None:
            raise KernelError("the edge's kernel has not been looked at since its last fault")
        change = mappings.difference(withdraw, grant)
        if not change:
            return
        self._mappings = self._settled = None
        had_ipv6 = mappings.has_ipv6()
        if not had_ipv6 and any(map(is_ipv6, change.come)):
            # The table has no chains for ways that came since; the next pass makes them.
            around = self._around = replace(self._begin_ipv6(plane), ways=around.ways)
        self._carry_out(plan_change(mappings, change, around, self._shape))
        self._shape = mappings.shaped(change, self._shape)
        mappings.record(change)
        if had_ipv6 and not mappings.has_ipv6():
            self._end_ipv6()
        come = frozenset(one.public.version for one in change.come)
        families = self._opened | come if mappings.all() else frozenset()
        if families != self._opened:
            self._open(families)
        self._mappings = mappings

    def _begin_ipv6(self, plane: EdgePlane) -> Surroundings:
        """What the first mapping of it needs of the machine as it is now: rules that drop first."""
        around = self._kernel.around(plane)
        self._closed6 = around.closed6
        settings = settings6_of(plane, around)
        found = self._kernel.settings(settings)
        self._carry_out(
            Steps(
                withdraw=shutting(closed=True) if around.closed6 else NOTHING,
                settings={k: v for k, v in settings.items() if found.get(k, v) != v},
            )
        )
        self._settings |= settings
        return around

    def _end_ipv6(self) -> None:
        self._settings = {k: v for k, v in self._settings.items() if "/ipv6/" not in k}
        if self._closed6:
            self._kernel.set(ROUTES6_FOR_ALL, "0")
            self._kernel.commit(shutting(closed=False))
            self._closed6 = False

    def _carry_out(self, steps: Steps) -> None:
        """In this order each crash leaves either too little, or what the next pass removes."""
        kernel = self._kernel
        if steps.withdraw:
            kernel.commit(steps.withdraw)
        kernel.end_connections(steps.ended)
        kernel.remove_routes(steps.routes_gone)
        kernel.remove_pinned(steps.pinned_gone)
        for entry in steps.proxies_gone:
            kernel.remove_proxy(entry)
        kernel.remove_rules(steps.rules_gone)
        for path, value in steps.settings.items():
            kernel.set(path, value)
        # Before the routes by them: at no moment is anybody asked who has a host's address.
        kernel.set_pinned(steps.pinned_new)
        kernel.set_routes(steps.routes_new)
        for entry in steps.proxies_new:
            kernel.set_proxy(entry)
        kernel.add_rules(steps.rules_new)
        if steps.grant:
            kernel.commit(steps.grant)
        kernel.end_strangers(steps.taken_over)
        kernel.forgive(steps.forgiven, steps.forgiven_begun)

    @property
    def _overlay(self) -> str:
        return self._plane.overlay if self._plane is not None else ""

    def drifted(self) -> bool:
        if self._mappings is None or self._kernel.disturbed():
            return True
        return self._kernel.settings(self._settings) != self._settings

    def misled(self) -> tuple[str, ...]:
        return self._misled

    def protected(self) -> dict[IPAddress, str]:
        device = self._kernel.overlay(self._overlay)
        kernel = self._kernel
        self._routers |= kernel.default_routers()
        return reasons(
            sources=kernel.default_sources(),
            logins=kernel.logins(),
            overlay=device.addresses if device is not None else (),
            routers=self._routers,
        )

    def served(self) -> frozenset[Served]:
        return self._kernel.served()

    def connected(self) -> tuple[IPNetwork, ...]:
        return self._kernel.connected()

    def mac_of(self, address: IPv4Address) -> str | None:
        return self._kernel.neighbour_mac(address, self._overlay)

    def traffic(self) -> dict[tuple[IPAddress, IPAddress], Traffic]:
        if self._mappings is None:
            return {}
        return traffic_of(self._mappings.all(), self._kernel.counted())

    def close(self) -> None:
        self._kernel.close()


def _leaving(some: Iterable[Forwarding]) -> list[Forwarding]:
    """Those whose guests begin connections by them."""
    return [one for one in some if one.egress is Egress.PUBLIC]


def _expected(plane: EdgePlane, around: Surroundings) -> dict[str, str]:
    """The settings as they are when nothing drifted, ours and the one that ours depend on."""
    return settings_of(plane, around) | {ROUTES_FOR_ALL: "1" if around.routes_anyway else "0"}
