"""A real guest under a host's libvirtd."""

import json
import re
import subprocess

from tests.lab.commands import LabError, wait_until
from tests.lab.domain import Domain
from tests.lab.host_machine import HostMachine
from tests.lab.machine import Page

READY = re.compile(r"^lab: ready \S+ ([0-9.]+)/", re.MULTILINE)
BOOT_SECONDS = 60
"""Deadline for a boot; it takes about 4 s on an idle core, and tests may share that core."""


class Guest:
    """A guest that is defined on ``host``; the commands of virsh(1) that tests use most.

    ``address`` is the one it had when it was last seen ready, or was given since.
    """

    def __init__(self, host: HostMachine, domain: Domain) -> None:
        self.host = host
        self.domain = domain
        self.name = domain.name
        self.uuid = domain.uuid
        self.mac = domain.mac
        self.address = ""
        self._boots = 0
        self.define()

    def define(self, domain: Domain | None = None) -> None:
        """(Re)define it, as `virsh define` does; another definition counts from the next start."""
        self.domain = domain or self.domain
        self.host.run("virsh", "-q", "define", "/dev/stdin", stdin=self.domain.xml())

    def virsh(
        self, command: str, *arguments: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """`virsh COMMAND THIS-GUEST ARGUMENTS…`; LabError with what virsh said where it fails."""
        return self.host.run(
            "virsh", "-q", command, self.name, *arguments, check=check, timeout=timeout
        )

    def expect_boot(self) -> None:
        """It is started by somebody else from now on; wait_ready() then waits for its services."""
        self._boots = len(READY.findall(self.console()))

    def start(self) -> None:
        """Start it; wait_ready() then waits for its services."""
        self.expect_boot()
        self.virsh("start")

    def boot(self) -> str:
        """Start it and wait until it serves: its address."""
        self.start()
        return self.wait_ready()

    def destroy(self) -> None:
        """Cut its power."""
        self.virsh("destroy")

    def shutdown(self, deadline_seconds: float = 30) -> None:
        """Press its power button, and wait until it is off."""
        self.virsh("shutdown")
        self.wait_state("shut off", deadline_seconds)

    def reboot(self) -> None:
        """Make it reboot; wait_ready() then waits for its services."""
        self.expect_boot()
        self.virsh("reboot")

    def state(self) -> str:
        """As virsh says it: "running", "paused", "shut off", …"""
        return self.virsh("domstate").stdout.strip()

    def wait_state(self, state: str, deadline_seconds: float = 30) -> None:
        """Return once virsh says that state."""
        wait_until(
            lambda: self.state() == state,
            deadline_seconds,
            lambda: f"{self.name} is {state}; it is {self.state()}",
        )

    def wait_ready(self, deadline_seconds: float = BOOT_SECONDS) -> str:
        """Its address, once it serves after the last start() or reboot()."""
        wait_until(
            lambda: len(READY.findall(self.console())) > self._boots,
            deadline_seconds,
            lambda: f"{self.name} is ready; its console says:\n{self.console()}",
        )
        self.address = READY.findall(self.console())[-1]
        return self.address

    def console(self) -> str:
        """All that it printed on its console, of all its boots."""
        path = self.domain.console
        return path.read_text(errors="replace") if path.exists() else ""

    def lease(self) -> str:
        """The address of its DHCP lease on virbr0, "" without one."""
        status = self.host.place("/var/lib/libvirt") / "dnsmasq" / "virbr0.status"
        text = status.read_text() if status.exists() else ""
        leases = json.loads(text) if text.strip() else []
        mine = [row["ip-address"] for row in leases if row["mac-address"] == self.mac]
        return str(mine[-1]) if mine else ""

    def wait_lease(self, address: str) -> None:
        """Until its lease is of this address: libvirt writes it down after the guest has it."""
        wait_until(lambda: self.lease() == address, 10, lambda: f"it has {self.lease() or 'none'}")

    def migrate(self, to: HostMachine, *options: str, check: bool = True) -> str:
        """`virsh migrate --live` to another host, where it is from then on; what virsh said.

        With ``check`` False and a migration that fails it stays where it is.
        """
        there = (f"qemu+tcp://{to.name}/system", f"tcp://{to.name}")
        done = self.virsh("migrate", "--live", "--unsafe", *options, *there, check=check)
        if done.returncode == 0:
            self.host = to
        return done.stderr

    def fetch(self, address: str, port: int = 80) -> Page:
        """The page that the guest itself fetches there; LabError where it gets none."""
        return Page.read(self._told("fetch", address, port))

    def ask(self, address: str, port: int = 7) -> Page:
        """As fetch(), by a datagram."""
        return Page.read(self._told("ask", address, port))

    def pings(self, address: str) -> bool:
        """Whether an echo request of the guest's is answered."""
        return self.host.http(self.address, path=f"/ping?{address}", timeout=10).strip() == "yes"

    def hold(self, address: str, port: int = 7) -> str:
        """Make it connect to a TCP echo, and keep that busy: what held() wants."""
        return self._told("hold", address, port).strip()

    def held(self, number: str) -> tuple[int, str]:
        """How many lines came back on a connection of hold(), and "open" or how it ended."""
        said = self.host.http(self.address, path=f"/held?{number}").strip()
        count, _, state = said.partition(" ")
        return int(count), state

    def _told(self, verb: str, address: str, port: int) -> str:
        said = self.host.http(self.address, path=f"/{verb}?{address},{port}", timeout=10)
        if said.startswith("failed"):
            raise LabError(f"{self.name} does not reach {address} port {port}: {said.strip()}")
        return said

    def renumber(self, address: str, gateway: str = "") -> None:
        """Make it take ADDRESS/PREFIX instead of its address, at once and by itself."""
        self.host.http(self.address, path=f"/renumber?{address},{gateway}")
        self.address = address.split("/")[0]
        self.wait_reachable()

    def ask_dhcp(self, expected: str) -> None:
        """Make it ask for an address anew, which must be ``expected`` (see Host.fix_lease)."""
        self.host.http(self.address, path="/dhcp")
        self.address = expected
        self.wait_reachable()

    def wait_reachable(self) -> None:
        """Return once its host reaches it; after a restore that takes it some seconds."""
        wait_until(
            lambda: self.host.reaches(self.address),
            20,
            lambda: f"{self.name} is at {self.address}; its console says:\n{self.console()}",
        )
