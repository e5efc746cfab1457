"""A home KVM host of the lab."""

import hashlib
import shutil
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from tests.lab.commands import LabError, wait_until
from tests.lab.daemons import Agent
from tests.lab.domain import Domain, Interface, Setup
from tests.lab.fake_guest import FakeGuest, FakeNetwork
from tests.lab.guest import Guest
from tests.lab.host_machine import HostMachine
from tests.lab.image import guest_image, halting_firmware
from tests.lab.libvirtd import Libvirtd
from tests.lab.line import Line
from tests.lab.namespace import Namespace
from tests.lab.stand_in import Outlet, StandIn
from tests.lab.topology import LINE_DEVICE, Home

G = TypeVar("G", bound=Guest)

SOCKET_LINE = "\nsocket="
"""How the line of hooks/qemu begins that install.sh changes."""


# What does not outlive a loss of power; with its processes the taps of its guests went.
POWER_LOSS = """
nft flush ruleset
conntrack -F 2>/dev/null || :
ip link del virbr0 2>/dev/null || :
for family in -4 -6; do
    ip $family rule flush
    ip $family rule add pref 32766 table main
    ip -o $family route show table all |
        sed -n 's/.* table \\([0-9][0-9]*\\).*/\\1/p' | sort -u |
        while read -r table; do ip $family route flush table "$table"; done
    ip $family route flush proto 123
done
ip rule add pref 32767 table default
ip neigh flush nud permanent
echo 0 >/proc/sys/net/ipv4/ip_forward
echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
echo 1 >/proc/sys/net/ipv4/conf/overlay0/rp_filter
find /run/libvirt -mindepth 1 -delete
"""


TAP_NODES = """
make_nodes() {
    for file in /sys/class/net/*/tap*/dev; do
        node=/dev/$(basename "$(dirname "$file")")
        [ ! -e "$file" ] || [ -e "$node" ] || mknod "$node" c $(tr : ' ' <"$file")
    done
}
ip monitor link | { make_nodes; while read -r _; do make_nodes; done; }
"""


class Host(HostMachine):
    """A host: its libvirtd, its guests, its zthook (``agent``), its home line (``line``)."""

    def __init__(
        self, name: str, namespace: Namespace, folder: Path, home: Home, line: Line, hosts: Path
    ) -> None:
        super().__init__(name, namespace, folder, hosts)
        self.home = home
        self.line = line
        self.agent = Agent(self)
        self.libvirtd = Libvirtd(self, home.guests, home.guests6 if line.ipv6 else None)
        self.guests: list[Guest] = []
        self._fake_network: FakeNetwork | None = None
        self._stand_ins: list[StandIn] = []

    @property
    def overlay_address(self) -> str:
        """The host's address on the overlay."""
        return self.home.overlay

    def close(self) -> None:
        """Give everything back, fake guests too."""
        if self._fake_network is not None:
            self._fake_network.close()
        for guest in self._stand_ins:
            guest.close()
        super().close()

    def lose_power(self) -> None:
        """Take the power away: processes, tables, rules and /run are gone; disks stay.

        The machine comes back with its own addresses, and nothing of libvirt or zthook running.
        """
        for process in self.processes:
            process.kill()
        self.namespace.end_processes(spare=self.keeper)
        self.run("sh", "-euc", POWER_LOSS)
        shutil.rmtree(self.agent.runtime)
        self.agent.runtime.mkdir()

    def await_advertised_route(self) -> None:
        """Return once it has its IPv6 default route from the home line's router."""
        wait_until(
            lambda: "proto ra" in self.run("ip", "-6", "route", "show", "default").stdout,
            15,
            f"{self.name} hears the home line's router",
        )

    def virsh(self, *arguments: str, stdin: str | None = None) -> str:
        """What `virsh ARGUMENTS…` prints; LabError with what it says where it fails."""
        return self.run("virsh", "-q", *arguments, stdin=stdin).stdout.strip()

    def install_hook(self, hook: Path, socket: Path | None = None, *, single: bool = False) -> Path:
        """Install hooks/qemu as install.sh does, to ask ``socket`` (the agent's own); its place.

        It becomes hooks/qemu.d/zthook, with ``single`` hooks/qemu. libvirtd looks for hooks
        only when it starts.
        """
        hooks = self.place("/etc/libvirt") / "hooks"
        target = hooks / "qemu" if single else hooks / "qemu.d" / "zthook"
        text = hook.read_text()
        if SOCKET_LINE not in text:
            raise LabError(f"{hook} has no line that begins with socket=")
        before, after = text.split(SOCKET_LINE, 1)
        rest = after.split("\n", 1)[1]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{before}{SOCKET_LINE}{socket or self.agent.hook_socket}\n{rest}")
        target.chmod(0o755)
        return target

    def define_guest(
        self,
        name: str,
        *,
        annotation: str = "",
        address: str = "dhcp",
        gateway: str = "",
        network: str = "default",
        bridge: str = "",
        uuid: str = "",
        mac: str = "",
        second: Interface | None = None,
        **setup: str,
    ) -> Guest:
        """Define a guest; libvirtd must run.

        ``annotation`` is the XML inside <metadata>, see domain.annotation. ``address`` is
        "dhcp" or ADDRESS/PREFIX with ``gateway``; for ``setup`` see domain.Setup. On ``bridge``
        (br0: the home LAN, see bridge_line) it has no host's address in front. UUID and MAC are
        made up where not given.
        """
        first = _interface(mac or made_up_mac(self.name, name), network, bridge)
        domain = Domain(
            name=name,
            uuid=uuid or str(uuid4()),
            interfaces=(first, second) if second else (first,),
            image=guest_image(),
            console=self.folder / f"{name}.console",
            annotation=annotation,
            setup=Setup(address, gateway, **setup),
        )
        return self._keep(Guest(self, domain))

    def stand_in(
        self,
        name: str,
        *,
        annotation: str = "",
        address: str = "dhcp",
        gateway: str = "",
        network: str = "default",
        bridge: str = "",
        macvtap: bool = False,
        uuid: str = "",
        mac: str = "",
        second: Interface | None = None,
        ports: str = "",
    ) -> StandIn:
        """As define_guest(), but there in half a second: see StandIn.

        ``macvtap`` on the home line (see keep_tap_nodes). ``ports`` are served beside the usual
        ones. A ``network`` other than "default" must run: its bridge is asked for.
        """
        mac = mac or made_up_mac(self.name, name)
        first = _interface(mac, network, bridge)
        outlet = Outlet(self.namespace, bridge or self._bridge_of(network))
        if macvtap:
            first = Interface(mac, LINE_DEVICE, "direct")
            outlet = Outlet(self.line.namespace, "lan", alone=True)
            self.line.set_alone(on=True)
        domain = Domain(
            name=name,
            uuid=uuid or str(uuid4()),
            interfaces=(first, second) if second else (first,),
            firmware=halting_firmware(),
            console=self.folder / f"{name}.console",
            annotation=annotation,
            setup=Setup(address, gateway, ports=ports),
        )
        guest = StandIn(self, domain, outlet)
        self._stand_ins.append(guest)
        return self._keep(guest)

    def _bridge_of(self, network: str) -> str:
        if network == "default":
            return "virbr0"
        rows = dict(row.split(":", 1) for row in self.virsh("net-info", network).splitlines())
        return rows["Bridge"].strip()

    def _keep(self, guest: G) -> G:
        self.libvirtd.keep_findings()
        self.guests.append(guest)
        return guest

    def fix_lease(self, mac: str, address: str) -> None:
        """Give a guest of the network ``default`` this address from its next DHCP request on."""
        for command in ("delete", "add-last"):
            words = ("net-update", "default", command, "ip-dhcp-host")
            row = f"<host mac='{mac}'/>" if command == "delete" else ""
            row = row or f"<host mac='{mac}' ip='{address}'/>"
            self.run("virsh", "-q", *words, row, "--live", "--config", check=command == "add-last")

    def bridge_line(self) -> None:
        """Put the home line into a bridge br0, for guests that are on the home LAN themselves."""
        address = f"{self.home.host}/{self.home.lan.prefixlen}"
        self.ip(
            "link add br0 type bridge",
            f"addr del {address} dev {LINE_DEVICE}",
            f"link set {LINE_DEVICE} master br0",
            "link set br0 up",
            f"addr add {address} dev br0",
            f"route add default via {self.home.router}",
        )

    def keep_tap_nodes(self) -> None:
        """Make /dev/tapN for each macvtap device from now on, as udev does, for libvirt."""
        self.start("tap-nodes", "sh", "-c", TAP_NODES)

    @property
    def fake_network(self) -> FakeNetwork:
        """A bridge virbr0 with libvirt's firewall rules, but no libvirt; made at first use."""
        if self._fake_network is None:
            self._fake_network = FakeNetwork(self, self.home.guests)
        return self._fake_network

    def fake_guest(self, name: str, address: str = "", mac: str = "") -> FakeGuest:
        """A namespace that serves like a guest, on virbr0; by default its next address."""
        return self.fake_network.add(name, address, mac or made_up_mac(self.name, name))


def _interface(mac: str, network: str, bridge: str) -> Interface:
    return Interface(mac, bridge or network, "bridge" if bridge else "network")


def made_up_mac(host: str, guest: str) -> str:
    """A MAC in QEMU's range, the same for the same names."""
    digest = hashlib.sha256(f"{host}/{guest}".encode()).hexdigest()
    return f"52:54:00:{digest[0:2]}:{digest[2:4]}:{digest[4:6]}"
