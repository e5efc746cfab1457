"""A libvirtd of a host's own."""

import shutil
import signal
import tempfile
import uuid
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from tests.lab.commands import LabError, wait_until
from tests.lab.host_machine import HostMachine
from tests.lab.image import cache_folder
from tests.lab.process import Process

QEMU_CONF = """
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
remember_owner = 0
"""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""As a service gets it, and hands it to hooks: without a user's shims of python3."""

# TCP without a password: for migration, between hosts of the lab.
LIBVIRTD_CONF = """
host_uuid = "{uuid}"
auth_unix_ro = "none"
auth_unix_rw = "none"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
log_outputs = "3:stderr"
"""

# no-ping: dnsmasq otherwise waits three seconds before it offers an address. stp: a guest's port
# otherwise is deaf and mute for its first four seconds.
NETWORK = """
<network xmlns:dnsmasq="http://libvirt.org/schemas/network/dnsmasq/1.0">
  <name>default</name>
  {forward}
  <bridge name="virbr0" stp="off" delay="0"/>
  <ip address="{gateway}" netmask="{netmask}">
    <dhcp><range start="{first}" end="{last}"/></dhcp>
  </ip>{ip6}
  <dnsmasq:options><dnsmasq:option value="no-ping"/></dnsmasq:options>
</network>
"""


FORWARD = {False: '<forward mode="nat"/>', True: '<forward mode="nat"><nat ipv6="yes"/></forward>'}


class Libvirtd:
    """libvirtd on one host, with the network ``default`` (nat, DHCP) on ``guests``.

    With ``guests6`` that has this prefix too, translated likewise, and advertises it.
    """

    words = ("libvirtd", "--listen", "-p", "/run/libvirt/libvirtd.pid")
    cache = "capabilities"
    """The folder of the cache with what such libvirtds found out about QEMU."""

    def __init__(
        self, machine: HostMachine, guests: IPv4Network, guests6: IPv6Network | None = None
    ) -> None:
        self._machine = machine
        self._guests = guests
        self._guests6 = guests6
        self._process: Process | None = None
        configuration = machine.place("/etc/libvirt")
        (configuration / "qemu.conf").write_text(QEMU_CONF)
        (configuration / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=uuid.uuid4()))

    @property
    def process(self) -> Process:
        """The daemon; LabError where it was never started."""
        if self._process is None:
            raise LabError(f"libvirtd on {self._machine.name} is not started")
        return self._process

    def start(self) -> None:
        """Start it, and the network the first time; returns once virsh gets answers."""
        first = self._process is None
        if first:
            # libvirt checks that they are still those of this QEMU, kernel and so on.
            for finding in (cache_folder() / self.cache).glob("*.xml"):
                _copy_whole(finding, self._findings)
        self._process = self._start()
        self._await_answer()
        if first:
            self._make_network()

    def _start(self) -> Process:
        return self._machine.start("libvirtd", *self.words, env={"PATH": SYSTEM_PATH})

    def keep_findings(self) -> None:
        """Keep what this libvirtd found out about QEMU for those that come (two seconds each)."""
        for finding in self._findings.glob("*.xml"):
            _copy_whole(finding, cache_folder() / self.cache)

    def stop(self) -> None:
        """Stop it; its guests run on."""
        self.process.stop(20)

    def kill(self) -> None:
        """End it at once (SIGKILL); its guests run on."""
        self.process.send(signal.SIGKILL)
        self.process.wait_ended()

    def restart(self) -> None:
        """Stop and start it; its guests run on."""
        self.stop()
        self.start()

    def hang(self) -> None:
        """Make it hang (SIGSTOP) until resume()."""
        self.process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """End its hanging."""
        self.process.send(signal.SIGCONT)

    @property
    def _findings(self) -> Path:
        return self._machine.place("/var/cache/libvirt") / "qemu" / "capabilities"

    def _await_answer(self) -> None:
        socket = self._machine.place("/run/libvirt") / "libvirt-sock"
        wait_until(
            lambda: self.process.running and socket.exists() and self._answers(),
            30,
            lambda: f"libvirtd answers; it printed:\n{self.process.log_text()}",
        )

    def _answers(self) -> bool:
        return self._machine.run("virsh", "-q", "uri", check=False).returncode == 0

    def _make_network(self) -> None:
        ip6 = ""
        if self._guests6 is not None:
            ip6 = f'\n  <ip family="ipv6" address="{self._guests6[1]}" prefix="64"/>'
            # As libvirt asks of a host whose default route is an advertised one.
            self._machine.namespace.sysctl(ipv6__conf__line0__accept_ra=2)
        definition = NETWORK.format(
            forward=FORWARD[self._guests6 is not None],
            ip6=ip6,
            gateway=self._guests[1],
            netmask=self._guests.netmask,
            first=self._guests[100],
            last=self._guests[199],
        )
        self._machine.run("virsh", "-q", "net-define", "/dev/stdin", stdin=definition)
        self._machine.run("virsh", "-q", "net-autostart", "default")
        self._machine.run("virsh", "-q", "net-start", "default")


def _copy_whole(file: Path, folder: Path) -> None:
    """Copy a file so that nobody ever sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / file.name).exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            Path(shutil.copy(file, scratch)).rename(folder / file.name)
