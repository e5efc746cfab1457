"""One emulated machine."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.commands import LabError, wait_until
from tests.lab.namespace import Namespace
from tests.lab.process import Process
from tests.machines.guest_agent import GuestAgent, Silent
from tests.machines.parcel import PIP, SOURCE, make_parcel
from tests.machines.places import DEVICES, Device, Role
from tests.machines.systems import System, system

BOOT_SECONDS = 1200.0
"""Deadline for a boot; it takes 20 s where the machine that emulates it has nothing else to do."""
# What keeps processors from telling secrets is most of the time of an emulated one; and where that
# has to share its processor, systemd's own deadlines for a boot are too short.
KERNEL_WORDS = (
    "root=/dev/vda rw console=ttyS0 mitigations=off "
    "systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900"
)
MEMORY = {Role.EDGE: 768, Role.HOST: 1280}
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    **PIP,
}
SETTLED = ("running", "degraded")
"""What `systemctl is-system-running` says of a machine that has booted."""


class Computer:
    """A machine that boots Debian and lives until close(); nothing it writes outlives it.

    It runs in ``hub``, where the bridges are that its devices are plugged into.
    """

    def __init__(
        self,
        role: Role,
        release: int,
        hub: Namespace,
        folder: Path,
        brings: Sequence[Path] = (),
    ) -> None:
        self.role = role
        self.name = str(role)
        self.release = release
        self.console = folder / f"{self.name}.console"
        parcel = folder / f"{self.name}.parcel"
        make_parcel(release, parcel, brings)
        for device in DEVICES[role]:
            _plug(hub, device, self._tap(device))
        words = self._words(system(release, role), parcel, folder / f"{self.name}.qga")
        self._agent = GuestAgent(folder / f"{self.name}.qga")
        self._qemu = Process(self.name, hub.entering(words), folder / f"{self.name}.log")

    def wait_booted(self, deadline_seconds: float = BOOT_SECONDS) -> None:
        """Return once systemd has nothing left to start."""
        wait_until(self._booted, deadline_seconds, lambda: f"{self.name} boots: {self.last_words}")

    def reboot(self) -> None:
        """Have it reboot, as its owner does it; returns when it is up again."""
        before = self.boot_id
        self.run("systemctl", "--no-block", "reboot")

        def another() -> bool:
            try:
                return self._agent.answers() and self.boot_id != before
            except Silent:
                return False

        wait_until(another, BOOT_SECONDS, lambda: f"{self.name} boots again: {self.last_words}")
        self.wait_booted()

    @property
    def boot_id(self) -> str:
        """Another one with each boot."""
        return self.run("cat", "/proc/sys/kernel/random/boot_id").stdout.strip()

    @property
    def last_words(self) -> str:
        """The end of what its console shows, and QEMU."""
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        return f"{self._qemu.log_text()}\n{console[-2000:]}"

    def run(
        self,
        *command: object,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on it as root, to its end.

        Raises LabError where it is too slow, or (with ``check``) did not exit with 0.
        """
        environment = {**ENVIRONMENT, **(env or {})}
        # The agent looks for programs in its own PATH, not in the one that it hands on.
        words = ["/usr/bin/env", *command]
        done = self._agent.run(words, env=environment, stdin=stdin, timeout=timeout)
        if check and done.returncode != 0:
            said = f"{done.stdout}\n{done.stderr}".strip()
            line = " ".join(str(word) for word in command)
            raise LabError(f"{self.name}: `{line}` exited with {done.returncode}: {said}")
        return done

    def shell(self, script: str, *, check: bool = True, timeout: float = 120) -> str:
        """What a script of sh prints."""
        return self.run("sh", "-euc", script, check=check, timeout=timeout).stdout

    def install(self, *arguments: str, timeout: float = 1500) -> str:
        """`./install.sh ARGUMENTS…` in the checkout that it was brought: what that prints."""
        return self.run(f"{SOURCE}/install.sh", *arguments, timeout=timeout).stdout

    def close(self) -> None:
        """Cut its power."""
        self._qemu.kill()

    def _booted(self) -> bool:
        if not self._qemu.running:
            raise LabError(f"{self.name} ended: {self.last_words}")
        if not self._agent.answers():
            return False
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in SETTLED

    def _tap(self, device: Device) -> str:
        return f"{self.name}-{device.bridge}"

    def _words(self, boots: System, parcel: Path, agent: Path) -> list[object]:
        disk = "if=virtio,format=raw,cache=unsafe"
        words: list[object] = ["qemu-system-x86_64", "-nodefaults", "-display", "none"]
        words += ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"]
        words += ["-m", MEMORY[self.role], "-serial", f"file:{self.console}"]
        words += ["-kernel", boots.kernel, "-initrd", boots.initrd, "-append"]
        words += [f"{KERNEL_WORDS} systemd.hostname={self.name}"]
        words += ["-drive", f"file={boots.disk},snapshot=on,{disk}"]
        words += ["-drive", f"file={parcel},readonly=on,{disk}"]
        words += ["-object", "rng-random,id=rng,filename=/dev/urandom"]
        words += ["-device", "virtio-rng-pci,rng=rng", "-device", "virtio-serial-pci"]
        words += ["-chardev", f"socket,id=qga,path={agent},server=on,wait=off"]
        words += ["-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0"]
        for device in DEVICES[self.role]:
            tap = self._tap(device)
            words += ["-netdev", f"tap,id={tap},ifname={tap},script=no,downscript=no"]
            words += ["-device", f"virtio-net-pci,netdev={tap},mac={device.mac}"]
        return words


def _plug(hub: Namespace, device: Device, tap: str) -> None:
    hub.ip(f"tuntap add {tap} mode tap", f"link set {tap} master {device.bridge} up")
