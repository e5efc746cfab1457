"""A home, an edge and a client on one machine, in network namespaces."""

import itertools
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from tests.lab import topology
from tests.lab.commands import LabError
from tests.lab.edge import STRICT, Edge
from tests.lab.host import Host
from tests.lab.line import Line
from tests.lab.machine import Machine
from tests.lab.namespace import NETNS, Namespace, cable, end_processes_in
from tests.lab.sweep import FOLDERS, attempt_all, clear, prefix_of, sweep

_numbers = itertools.count(1)


class Lab:
    """``client`` - router - uplink - ``edge`` - overlay - ``hosts``, each with a home line.

    A context manager, for root: at its end, whatever the reason, nothing of it is left on the
    machine. What programs wrote is in ``folder`` until then, and is copied to ``keep`` where
    that is given. Guests of different hosts are on different networks, or with
    ``same_guest_network`` all on 192.168.122.0/24, as libvirt has it. Libvirtds, guests and
    daemons are started by who needs them: see Host and Edge.
    """

    client: Machine
    edge: Edge

    def __init__(
        self,
        hosts: Iterable[str] = ("home1", "home2"),
        *,
        same_guest_network: bool = False,
        keep: Path | None = None,
    ) -> None:
        self._same_guests = same_guest_network
        self._names = tuple(hosts)
        self._keep = keep
        self._signal: object = None
        self.prefix = ""
        self.folder = Path()
        self.hosts: dict[str, Host] = {}
        self.machines: list[Machine] = []

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise LabError("the lab needs root, as it makes network namespaces")
        sweep()
        self.prefix = prefix_of(os.getpid(), next(_numbers))
        try:
            self._catch_termination()
            self.folder = Path(tempfile.mkdtemp(prefix=self.prefix, dir=FOLDERS))
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> Host:
        """The host of that name."""
        return self.hosts[name]

    def close(self) -> None:
        """End every process of the lab, and leave nothing; again: nothing happens.

        Raises an ExceptionGroup of what could not be removed.
        """
        with _undisturbed():
            paths = sorted(NETNS.glob(f"{self.prefix}*")) if self.prefix else []
            steps = [lambda: end_processes_in(paths)]
            steps += [machine.close for machine in self.machines]
            steps += [self._save] if self._keep and self.prefix else []
            steps += [lambda: clear(self.prefix)] if self.prefix else []
            try:
                attempt_all("the lab can not be cleaned up", steps)
            finally:
                self.machines, self.hosts, self.prefix = [], {}, ""
                self._release_termination()

    def add_member(self, name: str = "member3") -> Machine:
        """Another member of the overlay (192.168.193.4), which is none of ours."""
        machine = self._machine(name)
        self._plug(machine.namespace, "overlay", topology.OVERLAY_DEVICE, topology.OVERLAY_MTU)
        address = f"{topology.MEMBER_ON_OVERLAY}/{topology.OVERLAY_PREFIX}"
        machine.ip(f"addr add {address} dev {topology.OVERLAY_DEVICE}")
        return machine

    def add_neighbour(self, name: str = "neighbour") -> Machine:
        """Another customer of the provider, on the edge's uplink (203.0.113.77)."""
        machine = self._machine(name)
        self._plug(machine.namespace, "uplink", topology.UPLINK_DEVICE)
        machine.ip(
            f"addr add {topology.NEIGHBOUR_ON_UPLINK}/{topology.PUBLIC.prefixlen} "
            f"dev {topology.UPLINK_DEVICE}",
            f"route add default via {topology.ROUTER_ON_UPLINK}",
        )
        return machine

    def cut_overlay(self, name: str) -> None:
        """What a machine sends and is sent on the overlay is lost, and nobody is told."""
        self._hub.ip(f"link set {name}-o nomaster")

    def mend_overlay(self, name: str) -> None:
        """End cut_overlay(); again: nothing happens."""
        self._hub.ip(f"link set {name}-o master overlay")

    def route_to_edge(self, network: str) -> None:
        """The provider routes a network of public addresses to the edge."""
        self._internet.ip(f"route replace {network} via {topology.EDGE_ON_UPLINK}")

    def translate_at_provider(self, public: str, arrives_as: str) -> None:
        """The provider translates ``public`` 1:1; the edge has and sees ``arrives_as``."""
        self.route_to_edge(f"{arrives_as}/32")
        self._internet.run(
            "nft",
            "-f",
            "-",
            stdin=f"""
            table ip provider {{
                chain in {{
                    type nat hook prerouting priority dstnat
                    ip daddr {public} dnat to {arrives_as}
                }}
                chain out {{
                    type nat hook postrouting priority srcnat
                    ip saddr {arrives_as} snat to {public}
                }}
            }}
            """,
        )

    def _build(self) -> None:
        self._hub = self._namespace("hub")
        self._hub.sysctl(ipv6__conf__default__disable_ipv6=1)
        self._hub.unfilter_bridges()
        self._hub.ip(
            "link add uplink type bridge",
            f"link add overlay mtu {topology.OVERLAY_MTU} type bridge",
            "link set uplink up",
            "link set overlay up",
        )
        self._build_internet()
        self.edge = Edge(self._namespace("edge"), self.folder / "edge", self._hub)
        self.machines.append(self.edge)
        homes = topology.homes(self._names, same_guests=self._same_guests)
        (self.folder / "hosts").write_text(topology.hosts_file(homes))
        for name, home in homes.items():
            self._build_host(name, home)

    def _build_internet(self) -> None:
        self._internet = self._namespace("internet")
        self._internet.sysctl(ipv4__ip_forward=1)
        self._plug(self._internet, "uplink", topology.UPLINK_DEVICE)
        self.client = self._machine("client")
        cable(self.client.namespace, "eth0", self._internet, "client")
        self._internet.ip(
            f"addr add {topology.ROUTER_ON_UPLINK}/24 dev {topology.UPLINK_DEVICE}",
            f"addr add {topology.ROUTER_TO_CLIENT}/24 dev client",
        )
        self.client.ip(
            f"addr add {topology.CLIENT}/24 dev eth0",
            f"route add default via {topology.ROUTER_TO_CLIENT}",
        )

    def _build_host(self, name: str, home: topology.Home) -> None:
        namespace = self._namespace(name)
        namespace.sysctl(**STRICT)
        namespace.unfilter_bridges()
        self._plug(namespace, "overlay", topology.OVERLAY_DEVICE, topology.OVERLAY_MTU)
        line = Line(self._namespace(f"{name}-line"), self._internet, namespace, home)
        namespace.ip(
            f"addr add {home.overlay}/{topology.OVERLAY_PREFIX} dev {topology.OVERLAY_DEVICE}",
            f"addr add {home.host}/{home.lan.prefixlen} dev {topology.LINE_DEVICE}",
            f"route add default via {home.router}",
        )
        self.hosts[name] = host = Host(
            name, namespace, self.folder / name, home, line, self.folder / "hosts"
        )
        self.machines.append(host)

    def _namespace(self, name: str) -> Namespace:
        return Namespace.create(self.prefix + name)

    def _machine(self, name: str) -> Machine:
        machine = Machine(name, self._namespace(name), self.folder / name)
        self.machines.append(machine)
        return machine

    def _plug(self, namespace: Namespace, bridge: str, device: str, mtu: int = 1500) -> None:
        plug = f"{namespace.name.removeprefix(self.prefix)}-{bridge[0]}"
        cable(namespace, device, self._hub, plug, mtu)
        self._hub.ip(f"link set {plug} master {bridge}")

    def _save(self) -> None:
        assert self._keep is not None
        for log in self.folder.glob("*/*"):
            if log.is_file():
                place = self._keep / log.relative_to(self.folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(log, place)

    def _catch_termination(self) -> None:
        """Make SIGTERM what Ctrl-C is, where nobody else has it, so that close() comes about."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _interrupt)

    def _release_termination(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is _interrupt:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C while cleaning up does not leave half of it behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (2, 15)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
