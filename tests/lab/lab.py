"""A home, an edge and a client on one machine, in network namespaces."""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import topology
from tests.lab.commands import LabError
from tests.lab.edge import STRICT, Edge, Wires, plug_name
from tests.lab.gateway import Gateway
from tests.lab.host import Host
from tests.lab.internet import Internet
from tests.lab.line import Line
from tests.lab.machine import Machine
from tests.lab.namespace import NETNS, Namespace, cable, end_processes_in
from tests.lab.rough import Rough, Shares
from tests.lab.sweep import FOLDERS, attempt_all, clear, prefix_of, sweep
from tests.lab.termination import catch_termination, release_termination, undisturbed

_numbers = itertools.count(1)


class Lab:
    """``client`` - router - uplink - ``edge`` - overlay - ``hosts``, each with a home line.

    A context manager, for root: at its end, whatever the reason, nothing of it is left on the
    machine. What programs wrote is in ``folder`` until then, and is copied to ``keep`` where
    that is given. Guests of different hosts are on different networks, or with
    ``same_guest_network`` all on 192.168.122.0/24, as libvirt has it. With two ``uplinks`` the
    edge has another provider beside the first (topology.UPLINKS), and each drops what has not
    his own addresses as source. With ``ipv6`` everything has IPv6 too. Hosts ``behind_gateway``
    are no members of the overlay: a machine on their LAN is (``gateways``). Libvirtds, guests
    and daemons are started by who needs them: see Host and Edge.
    """

    client: Machine
    edge: Edge
    internet: Internet

    def __init__(
        self,
        hosts: Iterable[str] = ("home1", "home2"),
        *,
        same_guest_network: bool = False,
        uplinks: int = 1,
        ipv6: bool = False,
        overlay_mtu: int = topology.OVERLAY_MTU,
        behind_gateway: Iterable[str] = (),
        keep: Path | None = None,
    ) -> None:
        self._same_guests = same_guest_network
        self._names = tuple(hosts)
        self._uplinks = topology.UPLINKS[:uplinks]
        self._ipv6 = ipv6
        self._overlay_mtu = overlay_mtu
        self._behind_gateway = tuple(behind_gateway)
        self._keep = keep
        self.prefix = ""
        self.folder = Path()
        self.hosts: dict[str, Host] = {}
        self.gateways: dict[str, Gateway] = {}
        self.machines: list[Machine] = []
        self._lines: list[Line] = []
        self._rough: list[Rough] = []

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise LabError("the lab needs root, as it makes network namespaces")
        sweep()
        self.prefix = prefix_of(os.getpid(), next(_numbers))
        try:
            catch_termination()
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
        with undisturbed():
            paths = sorted(NETNS.glob(f"{self.prefix}*")) if self.prefix else []
            steps = [lambda: end_processes_in(paths)]
            steps += [machine.close for machine in self.machines]
            steps += [one.close for one in (*self._lines, *self._rough)]
            steps += [self.internet.close] if hasattr(self, "internet") else []
            steps += [self._save] if self._keep and self.prefix else []
            steps += [lambda: clear(self.prefix)] if self.prefix else []
            try:
                attempt_all("the lab can not be cleaned up", steps)
            finally:
                self.machines, self._lines, self._rough = [], [], []
                self.hosts, self.prefix = {}, ""
                release_termination()

    def add_member(self, name: str = "member3") -> Machine:
        """Another member of the overlay (192.168.193.4), which is none of ours."""
        machine = self._machine(name)
        self._plug(machine.namespace, "overlay", topology.OVERLAY_DEVICE, self._overlay_mtu)
        address = f"{topology.MEMBER_ON_OVERLAY}/{topology.OVERLAY_PREFIX}"
        machine.ip(f"addr add {address} dev {topology.OVERLAY_DEVICE}")
        return machine

    def add_neighbour(self, name: str = "neighbour", uplink: int = 0) -> Machine:
        """Another customer of the provider, on that uplink of the edge (203.0.113.77)."""
        machine = self._machine(name)
        there = self._uplinks[uplink]
        self._plug(machine.namespace, there.device, there.device)
        machine.ip(
            f"addr add {there.neighbour}/{there.network.prefixlen} dev {there.device}",
            f"route add default via {there.router}",
        )
        if self._ipv6:
            machine.namespace.sysctl(**{f"ipv6__conf__{there.device}__accept_ra": 0})
            machine.ip(
                f"addr add {there.neighbour6}/64 dev {there.device}",
                f"route add default via {there.router6}",
            )
        return machine

    def join_hosts(self) -> Machine:
        """Give every host a bridge shared0, all of them one network; the machine that is on it.

        It is 10.77.0.1/24, the hosts have no address there.
        """
        self._hub.ip("link add shared type bridge", "link set shared up")
        for host in self.hosts.values():
            self._plug(host.namespace, "shared", "port0")
            host.ip(
                "link add shared0 type bridge",
                "link set shared0 up",
                "link set port0 master shared0",
            )
        machine = self._machine("bystander")
        self._plug(machine.namespace, "shared", "eth0")
        machine.ip("addr add 10.77.0.1/24 dev eth0")
        return machine

    @contextmanager
    def without_overlay(self, machine: Machine) -> Iterator[None]:
        """Its overlay device is gone while inside, as while zerotier-one restarts.

        Then it is back under its name, MAC and addresses, with nothing else of before.
        """
        device = topology.OVERLAY_DEVICE
        [link] = json.loads(machine.run("ip", "-j", "addr", "show", device).stdout)
        kept = [one for one in link["addr_info"] if one["scope"] == "global"]
        machine.ip(f"link del {device}")
        try:
            yield
        finally:
            self._plug(machine.namespace, "overlay", device, self._overlay_mtu)
            # Down and up: its link-local address follows from its MAC.
            machine.ip(
                f"link set {device} down address {link['address']}",
                f"link set {device} up",
                *(f"addr add {one['local']}/{one['prefixlen']} dev {device}" for one in kept),
            )

    def cut_overlay(self, name: str) -> None:
        """What a machine sends and is sent on the overlay is lost, and nobody is told."""
        self._hub.ip(f"link set {plug_name(name, 'overlay')} nomaster")

    def mend_overlay(self, name: str) -> None:
        """End cut_overlay(); again: nothing happens."""
        self._hub.ip(f"link set {plug_name(name, 'overlay')} master overlay")

    def roughen(self, name: str, shares: Shares) -> Rough:
        """Have frames from and to a machine on the overlay overtaken, doubled and lost, until the
        answer's end().
        """
        plug, log = plug_name(name, "overlay"), self.folder / f"{name}.relay"
        self._rough.append(Rough(self._hub, plug, log, self._overlay_mtu, shares))
        return self._rough[-1]

    def _build(self) -> None:
        self._hub = self._namespace("hub")
        self._hub.sysctl(ipv6__conf__default__disable_ipv6=1)
        self._hub.unfilter_bridges()
        for bridge in (uplink.device for uplink in self._uplinks):
            self._hub.ip(f"link add {bridge} type bridge", f"link set {bridge} up")
        self._hub.ip(f"link add overlay mtu {self._overlay_mtu} type bridge", "link set overlay up")
        self.client = self._machine("client")
        self.internet = Internet(
            self._namespace,
            lambda namespace, uplink: self._plug(namespace, uplink.device, uplink.device),
            self.client,
            self._uplinks,
            ipv6=self._ipv6,
        )
        self._build_edge()
        homes = topology.homes(self._names, same_guests=self._same_guests)
        (self.folder / "hosts").write_text(topology.hosts_file(homes))
        for name, home in homes.items():
            self._build_host(name, home)
        for host in self.hosts.values() if self._ipv6 else []:
            host.await_advertised_route()

    def _build_edge(self) -> None:
        wires = Wires(self._hub, self._uplinks, self._overlay_mtu, self._ipv6)
        self.edge = Edge(self._namespace("edge"), self.folder / "edge", wires)
        self.machines.append(self.edge)

    def _build_host(self, name: str, home: topology.Home) -> None:
        namespace = self._namespace(name)
        namespace.sysctl(**STRICT)
        namespace.unfilter_bridges()
        line = self._build_line(name, home, namespace)
        if name in self._behind_gateway:
            self._build_gateway(name, home, line)
            namespace.ip(f"route add {topology.OVERLAY} via {home.gateway}")
        else:
            self._plug(namespace, "overlay", topology.OVERLAY_DEVICE, self._overlay_mtu)
            self._address_member(namespace, home)
        self.hosts[name] = host = Host(
            name, namespace, self.folder / name, home, line, self.folder / "hosts"
        )
        self.machines.append(host)

    def _build_line(self, name: str, home: topology.Home, host: Namespace) -> Line:
        router = self._namespace(f"{name}-line")
        line = Line(router, self.internet.router, host, home, ipv6=self._ipv6)
        self._lines.append(line)
        host.ip(
            f"addr add {home.host}/{home.lan.prefixlen} dev {topology.LINE_DEVICE}",
            f"route add default via {home.router}",
        )
        if self._ipv6:
            host.ip(f"addr add {home.lan6[0x10]}/64 dev {topology.LINE_DEVICE}")
        return line

    def _build_gateway(self, name: str, home: topology.Home, line: Line) -> None:
        namespace = self._namespace(f"{name}-gw")
        self._plug(namespace, "overlay", topology.OVERLAY_DEVICE, self._overlay_mtu)
        folder = self.folder / f"{name}-gw"
        self.gateways[name] = Gateway(f"{name}-gw", namespace, folder, line, home)
        self.machines.append(self.gateways[name])

    def _address_member(self, namespace: Namespace, home: topology.Home) -> None:
        device = topology.OVERLAY_DEVICE
        namespace.ip(f"addr add {home.overlay}/{topology.OVERLAY_PREFIX} dev {device}")
        if self._ipv6:
            namespace.ip(f"addr add {home.overlay6}/{topology.OVERLAY6_PREFIX} dev {device}")

    def _namespace(self, name: str) -> Namespace:
        namespace = Namespace.create(self.prefix + name)
        if self._ipv6:  # nobody has an address twice here, and asking takes a second
            namespace.sysctl(ipv6__conf__default__accept_dad=0)
        return namespace

    def _machine(self, name: str) -> Machine:
        machine = Machine(name, self._namespace(name), self.folder / name)
        self.machines.append(machine)
        return machine

    def _plug(self, namespace: Namespace, bridge: str, device: str, mtu: int = 1500) -> None:
        plug = plug_name(namespace.name.removeprefix(self.prefix), bridge)
        cable(namespace, device, self._hub, plug, mtu)
        self._hub.ip(f"link set {plug} master {bridge}")

    def _save(self) -> None:
        assert self._keep is not None
        for log in self.folder.glob("*/*"):
            if log.is_file():
                place = self._keep / log.relative_to(self.folder)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(log, place)
