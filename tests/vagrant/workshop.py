"""A machine with a libvirtd and nothing else, on which Vagrant brings machines up."""

import shlex
import shutil
from ipaddress import IPv4Network
from subprocess import CompletedProcess

from tests.lab.host_machine import HostMachine
from tests.lab.libvirtd import Libvirtd
from tests.lab.premises import Premises
from tests.packages.brought import copy_checkout
from tests.vagrant.box import box

BOX = "made-here"
ENVIRONMENT = {"ZTHOOK_BOX": BOX, "ZTHOOK_DRIVER": "qemu"}
"""There is no KVM in here: processors are emulated."""


class Workshop(Premises):
    """A context manager, for root: at its end nothing of it is left, whatever runs there.

    ``checkout`` is a copy of this one. ``overlay`` is what the Vagrantfile knows.
    """

    machine: HostMachine

    def __init__(self, overlay: str) -> None:
        super().__init__()
        self.overlay = overlay

    def build(self) -> None:
        file = box()
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost workshop\n")
        namespace = self.namespace("workshop")
        namespace.unfilter_bridges()
        self.machine = HostMachine("workshop", namespace, self.folder / "workshop", hosts)
        self.ends.append(self.machine.close)
        Libvirtd(self.machine, IPv4Network("192.168.122.0/24")).start()
        self.checkout = self.folder / "checkout"
        copy_checkout(self.checkout)
        self.vagrant("box", "add", "--name", BOX, file, timeout=300)

    def vagrant(
        self, *words: object, timeout: float, stdin: str | None = None
    ) -> CompletedProcess[str]:
        """Run `vagrant WORDS…` in the checkout's folder vagrant/, to its end."""
        home = self.folder / "vagrant"
        home.mkdir(exist_ok=True)
        environment = {**ENVIRONMENT, "VAGRANT_HOME": str(home), "HOME": str(home)}
        environment["ZTHOOK_OVERLAY"] = self.overlay
        command = ["env", "-C", self.checkout / "vagrant", shutil.which("vagrant") or "vagrant"]
        return self.machine.run(*command, *words, stdin=stdin, timeout=timeout, env=environment)

    def on(self, name: str, command: str, *, stdin: str | None = None, timeout: float = 120) -> str:
        """What a command of a root shell on one of Vagrant's machines prints.

        Raises LabError where it fails.
        """
        words = ("ssh", name, "--no-tty", "-c", f"sudo sh -c {shlex.quote(command)}")
        return self.vagrant(*words, stdin=stdin, timeout=timeout).stdout
