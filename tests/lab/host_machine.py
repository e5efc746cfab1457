"""A machine with folders, devices and a name of its own, as libvirt needs it."""

from collections.abc import Sequence
from pathlib import Path

from tests.lab.machine import Machine
from tests.lab.mounts import Mounts, own_folder
from tests.lab.namespace import Namespace
from tests.lab.syslog import Syslog


class HostMachine(Machine):
    """A machine with a mount and a UTS namespace: see Mounts; ``syslog`` has its log.

    ``hosts`` becomes its /etc/hosts.
    """

    def __init__(self, name: str, namespace: Namespace, folder: Path, hosts: Path) -> None:
        super().__init__(name, namespace, folder)
        self.syslog = Syslog(folder / "syslog.socket", folder / "syslog")
        self._mounts = Mounts(name, namespace, folder, hosts)

    @property
    def keeper(self) -> int:
        """The process whose namespaces are the host's: `nsenter -t KEEPER -m -n -u`."""
        return self._mounts.keeper

    def entering(self, command: Sequence[object]) -> list[object]:
        """``command`` as it must be called to run on this host."""
        return self._mounts.entering(command)

    def place(self, path: str) -> Path:
        """Where a folder of this host's own (such as /run/libvirt) lies for the others."""
        return own_folder(self.folder / "root", path)

    def close(self) -> None:
        """Kill what was started on it, give mounts and log back."""
        super().close()
        self._mounts.close()
        self.syslog.close()
