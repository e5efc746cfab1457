"""Guests that libvirt knows, and whose packets a namespace sends: there in half a second."""

from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import LabError, wait_until
from tests.lab.domain import Domain
from tests.lab.fake_guest import FakeGuest
from tests.lab.guest import Guest
from tests.lab.host_machine import HostMachine
from tests.lab.machine import Page, Unreached
from tests.lab.namespace import Namespace, cable

DHCP = Path(__file__).parent / "guest" / "network"
DHCP6 = Path(__file__).with_name("dhcp6.py")


MANAGED = """
<network>
  <name>managed</name>
  <forward mode="nat"><nat ipv6="yes"/></forward>
  <bridge name="virbr7" stp="off" delay="0"/>
  <ip address="10.66.0.1" netmask="255.255.255.0">
    <dhcp><range start="10.66.0.100" end="10.66.0.199"/></dhcp>
  </ip>
  <ip family="ipv6" address="fd00:166::1" prefix="64">
    <dhcp><range start="fd00:166::100" end="fd00:166::1ff"/></dhcp>
  </ip>
</network>
"""
"""A network ``managed`` that gives IPv6 addresses by DHCPv6, where ``default`` advertises them."""


@dataclass(frozen=True, slots=True)
class Outlet:
    """The bridge that a stand-in's body is plugged into; ``alone``: like a macvtap guest it does
    not reach other machines there that are ``alone``.
    """

    namespace: Namespace
    bridge: str
    alone: bool = False


class StandIn(Guest):
    """A domain that runs with a halted processor; ``body`` speaks with its MAC, on its network.

    To libvirt it is as real as any: XML, hooks, events, leases of the network's DHCP. It can
    not be what a processor has to do: shutdown, reboot, save, migration.
    """

    def __init__(self, host: HostMachine, domain: Domain, outlet: Outlet) -> None:
        super().__init__(host, domain)
        self._outlet = outlet
        namespace = Namespace.create(f"{host.namespace.name}-{domain.name}")
        namespace.sysctl(ipv6__conf__default__accept_dad=0)
        self.body = FakeGuest(domain.name, namespace, host.folder / domain.name)
        self.body.mac = domain.mac
        self._port = f"body-{domain.mac.replace(':', '')[-6:]}"
        cable(namespace, "eth0", outlet.namespace, self._port)
        self.body.ip(f"link set eth0 down address {domain.mac}")
        namespace.sysctl(ipv6__conf__eth0__router_solicitation_delay=0)
        self.body.serve(domain.name, domain.setup.ports)

    def start(self) -> None:
        """Start it; boot() and wait_ready() give it an address."""
        self.virsh("start")

    def wait_ready(self, deadline_seconds: float = 20) -> str:
        """Its address, once it has one."""
        setup = self.domain.setup
        alone = [f"link set {self._port} type bridge_slave isolated on"]
        self._outlet.namespace.ip(
            f"link set {self._port} master {self._outlet.bridge}",
            *(alone if self._outlet.alone else []),
            # As libvirt's own taps have it, so that the bridge does not take its MAC.
            f"link set {self._port} address fe{self.mac[2:]} up",
        )
        self.body.ip("link set eth0 up")
        if setup.address == "dhcp":
            self._run_dhcp()
        else:
            self.body.renumber(setup.address, setup.gateway)
        self.address = self.body.address
        return self.address

    def add_leg(self, address: str) -> None:
        """Give its second interface, a bridge's of its host, ADDRESS/PREFIX; it must run."""
        second = self.domain.interfaces[1]
        port = f"leg-{second.mac.replace(':', '')[-6:]}"
        cable(self.body.namespace, "eth1", self.host.namespace, port)
        self.host.ip(f"link set {port} master {second.source} address fe{second.mac[2:]}")
        self.body.ip(f"link set eth1 address {second.mac}", f"addr add {address} dev eth1")

    def destroy(self) -> None:
        """Cut its power."""
        self.body.ip("link set eth0 down")
        super().destroy()

    def close(self) -> None:
        """End what serves in its place."""
        self.body.close()

    @property
    def address6(self) -> str:
        """The IPv6 address that it made itself of what its network advertises, once it has one."""

        def mine() -> list[str]:
            listed = self.body.run(
                "ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global"
            )
            return [line.split()[3].split("/")[0] for line in listed.stdout.splitlines()]

        return wait_until(mine, 10, f"{self.name} has an IPv6 address")[0]

    def ask_dhcp6(self) -> str:
        """Take the IPv6 address that its network's DHCPv6 gives it."""
        given = self.body.run("python3", DHCP6, "eth0", self.name).stdout.strip()
        self.body.ip(f"addr add {given}/128 dev eth0")
        return given

    def fetch(self, address: str, port: int = 80) -> Page:
        """The page that the guest itself fetches there; LabError where it gets none."""
        try:
            return self.body.page(address, port)
        except Unreached as error:
            raise LabError(f"{self.name} does not reach {address} port {port}: {error}") from error

    def ask(self, address: str, port: int = 7) -> Page:
        """As fetch(), by a datagram."""
        try:
            return self.body.udp_page(address, port)
        except Unreached as error:
            raise LabError(f"{self.name} does not reach {address} port {port}: {error}") from error

    def pings(self, address: str) -> bool:
        """Whether an echo request of the guest's is answered."""
        return self.body.ping(address, timeout=2)

    def renumber(self, address: str, gateway: str = "") -> None:
        """Make it take ADDRESS/PREFIX instead of its address, at once and by itself."""
        self.body.renumber(address, gateway)
        self.address = self.body.address
        self.wait_reachable()

    def ask_dhcp(self, expected: str) -> None:
        """Make it ask for an address anew, which must be ``expected`` (see Host.fix_lease)."""
        self._run_dhcp()
        self.address = self.body.address
        if self.address != expected:
            raise LabError(f"{self.name} was given {self.address}, not {expected}")

    def _run_dhcp(self) -> None:
        words = ("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", "20", "-T", "1")
        self.body.run(*words, "-x", f"hostname:{self.name}", "-s", DHCP)
        listed = self.body.run("ip", "-4", "-o", "addr", "show", "dev", "eth0").stdout
        self.body.address = listed.split()[3].split("/")[0]
