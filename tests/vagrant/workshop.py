"""A machine with a libvirtd and nothing else, on which Vagrant brings machines up."""

import itertools
import os
import shlex
import shutil
import tempfile
from ipaddress import IPv4Network
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Self

from tests.lab.commands import LabError
from tests.lab.host_machine import HostMachine
from tests.lab.libvirtd import Libvirtd
from tests.lab.namespace import NETNS, Namespace, end_processes_in
from tests.lab.sweep import FOLDERS, attempt_all, clear, prefix_of, sweep
from tests.packages.brought import copy_checkout
from tests.vagrant.box import box

BOX = "made-here"
ENVIRONMENT = {"ZTHOOK_BOX": BOX, "ZTHOOK_DRIVER": "qemu"}
"""There is no KVM in here: processors are emulated."""

_numbers = itertools.count(950)
"""As labs have them: whoever sweeps after a lab that was killed sweeps here too."""


class Workshop:
    """A context manager, for root: at its end nothing of it is left, whatever runs there.

    ``checkout`` is a copy of this one.
    """

    machine: HostMachine

    def __init__(self) -> None:
        self._prefix = prefix_of(os.getpid(), next(_numbers))

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            raise LabError("a workshop needs root, as its network is in a namespace")
        sweep()
        file = box()
        try:
            self._build()
            self.vagrant("box", "add", "--name", BOX, file, timeout=300)
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

    def close(self) -> None:
        """Cut the power of all, and leave nothing."""
        paths = sorted(NETNS.glob(f"{self._prefix}*"))
        steps = [lambda: end_processes_in(paths)]
        steps += [self.machine.close] if hasattr(self, "machine") else []
        steps += [lambda: clear(self._prefix)]
        attempt_all("the workshop can not be cleaned up", steps)

    def _build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=self._prefix, dir=FOLDERS))
        hosts = self.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost workshop\n")
        namespace = Namespace.create(f"{self._prefix}workshop")
        namespace.unfilter_bridges()
        self.machine = HostMachine("workshop", namespace, self.folder / "workshop", hosts)
        Libvirtd(self.machine, IPv4Network("192.168.122.0/24")).start()
        self.checkout = self.folder / "checkout"
        copy_checkout(self.checkout)

    def vagrant(
        self, *words: object, timeout: float, stdin: str | None = None
    ) -> CompletedProcess[str]:
        """Run `vagrant WORDS…` in the checkout's folder vagrant/, to its end."""
        home = self.folder / "vagrant"
        home.mkdir(exist_ok=True)
        environment = {**ENVIRONMENT, "VAGRANT_HOME": str(home), "HOME": str(home)}
        command = ["env", "-C", self.checkout / "vagrant", shutil.which("vagrant") or "vagrant"]
        return self.machine.run(*command, *words, stdin=stdin, timeout=timeout, env=environment)

    def on(self, name: str, command: str, *, stdin: str | None = None, timeout: float = 120) -> str:
        """What a command of a root shell on one of Vagrant's machines prints.

        Raises LabError where it fails.
        """
        words = ("ssh", name, "--no-tty", "-c", f"sudo sh -c {shlex.quote(command)}")
        return self.vagrant(*words, stdin=stdin, timeout=timeout).stdout
