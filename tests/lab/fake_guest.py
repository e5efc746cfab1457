"""Guests without a hypervisor: namespaces behind a bridge that looks like libvirt's."""

from ipaddress import IPv4Network

from tests.lab.machine import Machine
from tests.lab.namespace import Namespace, cable

# What libvirt 9.0 makes of a nat network with its iptables backend (iptables-save), less the
# rules for DNS and DHCP, which no fake guest asks for.
FIREWALL = """
*filter
:INPUT ACCEPT
:FORWARD ACCEPT
:OUTPUT ACCEPT
:LIBVIRT_FWI -
:LIBVIRT_FWO -
:LIBVIRT_FWX -
:LIBVIRT_INP -
:LIBVIRT_OUT -
-A INPUT -j LIBVIRT_INP
-A FORWARD -j LIBVIRT_FWX
-A FORWARD -j LIBVIRT_FWI
-A FORWARD -j LIBVIRT_FWO
-A OUTPUT -j LIBVIRT_OUT
-A LIBVIRT_FWI -d {guests} -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWO -s {guests} -i virbr0 -j ACCEPT
-A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT
:INPUT ACCEPT
:OUTPUT ACCEPT
:POSTROUTING ACCEPT
:LIBVIRT_PRT -
-A POSTROUTING -j LIBVIRT_PRT
-A LIBVIRT_PRT -s {guests} -d 224.0.0.0/24 -j RETURN
-A LIBVIRT_PRT -s {guests} -d 255.255.255.255/32 -j RETURN
-A LIBVIRT_PRT -s {guests} ! -d {guests} -p tcp -j MASQUERADE --to-ports 1024-65535
-A LIBVIRT_PRT -s {guests} ! -d {guests} -p udp -j MASQUERADE --to-ports 1024-65535
-A LIBVIRT_PRT -s {guests} ! -d {guests} -j MASQUERADE
COMMIT
"""


class FakeNetwork:
    """A bridge virbr0 on a host, with libvirt's firewall rules; ip_forward is on, as with it."""

    def __init__(self, host: Machine, guests: IPv4Network) -> None:
        self._host = host
        self._guests = guests
        self._added: list[FakeGuest] = []
        host.ip(
            "link add virbr0 address 52:54:00:00:00:01 type bridge",
            f"addr add {guests[1]}/{guests.prefixlen} dev virbr0",
            "link set virbr0 up",
        )
        host.namespace.sysctl(ipv4__ip_forward=1)
        self.reload_firewall()

    def reload_firewall(self) -> None:
        """Flush and rebuild the rules, as a restart of libvirtd does."""
        rules = FIREWALL.format(guests=self._guests)
        self._host.run("iptables-restore", stdin=rules)

    def close(self) -> None:
        """Kill what runs in its guests."""
        for guest in self._added:
            guest.close()

    def add(self, name: str, address: str, mac: str, bridge: str = "virbr0") -> "FakeGuest":
        """A guest on the bridge, by default with its next address from .50 on."""
        number = len(self._added)
        address = address or str(self._guests[50 + number])
        namespace = Namespace.create(f"{self._host.namespace.name}-{name}")
        guest = FakeGuest(name, namespace, self._host.folder / name)
        cable(namespace, "eth0", self._host.namespace, f"vnet{number}")
        self._host.ip(f"link set vnet{number} master {bridge}")
        guest.ip(f"link set eth0 address {mac}")
        guest.mac = mac
        guest.renumber(f"{address}/{self._guests.prefixlen}", str(self._guests[1]))
        self._added.append(guest)
        guest.serve(name)
        return guest


class FakeGuest(Machine):
    """A namespace that serves like a guest: ``address``, ``mac``."""

    address: str
    mac: str

    def renumber(self, address: str, gateway: str) -> None:
        """Take ADDRESS/PREFIX instead of the address it has; no ``gateway``: no way out."""
        self.ip("addr flush dev eth0 scope global", f"addr add {address} dev eth0")
        if gateway:
            self.ip(f"route replace default via {gateway}")
        self.address = address.split("/")[0]
