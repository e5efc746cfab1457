"""Disks with a fresh Debian on them, and the kernel that boots it: made once, kept in the cache."""

import fcntl
import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.commands import run
from tests.lab.debian13 import MMDEBSTRAP, mirrors
from tests.lab.image import cache_folder
from tests.machines.places import DEVICES, PARCEL, Role
from tests.packages.brought import ROOT
from tests.packages.roots import FETCH, RELEASES

BASE = (
    *("systemd-sysv", "dbus", "udev", "linux-image-cloud-amd64", "qemu-guest-agent"),
    *("apparmor", "ca-certificates", "iproute2", "openssh-server", "procps", "python3"),
)
KVM = ("libvirt-daemon-system", "libvirt-clients", "qemu-system-x86", "dnsmasq-base")
THERE = {Role.EDGE: BASE, Role.HOST: (*BASE, *KVM)}
"""What is on the machine before us, as on rented ones; on a host what makes it a KVM host."""

# Where an emulated machine has to share its processor, systemd's own 90 s for a disk are too short.
FSTAB = f"""\
/dev/vda / ext4 defaults 0 1
/dev/vdb {PARCEL} ext4 ro,x-systemd.device-timeout=900 0 0
"""


@dataclass(frozen=True, slots=True)
class System:
    """What a machine boots: ``disk`` is never written to by it."""

    kernel: Path
    initrd: Path
    disk: Path


def system(release: int, role: Role) -> System:
    """Debian ``release`` as it is on such a machine before zthook (a minute or two, 2 GB).

    The packages are downloaded from Debian once; raises LabError where that fails.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    offered = packages("COMMON") + (packages("HOST") if role is Role.HOST else [])
    recipe = (RELEASES[release], THERE[role], offered, FETCH, FSTAB, sorted(_files(role).items()))
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    made = cache / f"debian{release}-{role}-{digest}"
    if not made.is_dir():
        with (cache / "systems.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.is_dir():
                _make(made, RELEASES[release], role, offered)
    return System(made / "kernel", made / "initrd", made / "disk")


def packages(name: str) -> list[str]:
    """What install.sh has apt install: PACKAGES_NAME."""
    text = "".join(path.read_text() for path in (ROOT / "install.sh", *ROOT.glob("install/*.sh")))
    found = re.search(rf"^PACKAGES_{name}=\(([^)]*)\)", text, re.MULTILINE)
    assert found is not None
    return found[1].split()


def _make(made: Path, release: str, role: Role, offered: Sequence[str]) -> None:
    scratch = made.with_suffix(".making")
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir()
    root = scratch / "root"
    make_root(root, release, THERE[role], offered)
    for name, text in _files(role).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/hostname").unlink(missing_ok=True)
    run(["chroot", root, "systemctl", "enable", "systemd-networkd"])
    copy_boot(root, scratch)
    make_disk(root, scratch / "disk", "6G")
    shutil.rmtree(root)
    scratch.rename(made)


def make_root(root: Path, release: str, there: Sequence[str], offered: Sequence[str]) -> None:
    """A folder with Debian and these packages; those ``offered`` lie where apt keeps what it
    fetched.
    """
    words = [*MMDEBSTRAP, "--skip=cleanup/apt", "--dpkgopt=force-unsafe-io"]
    words += [f"--include={','.join(there)}"]
    words += [f"--customize-hook={FETCH.format(packages=' '.join(offered))}"]
    run([*words, release, root, *mirrors()[:1]], timeout=1200)


def copy_boot(root: Path, to: Path) -> None:
    """Its ``kernel`` and ``initrd``."""
    for name in ("vmlinuz", "initrd"):
        (found,) = (root / "boot").glob(f"{name}*-amd64")
        shutil.copy(found, to / {"vmlinuz": "kernel"}.get(name, name))


def make_disk(folder: Path, disk: Path, size: str) -> None:
    """A disk of that size with what is in a folder; sparse."""
    run(["mke2fs", "-q", "-t", "ext4", "-d", folder, disk, size], timeout=300)


def _files(role: Role) -> dict[str, str]:
    """Path below / → text of what we add: disks, and the names and addresses of devices."""
    files = {"etc/fstab": FSTAB, "srv/.keep": ""}
    for device in DEVICES[role]:
        place = f"etc/systemd/network/10-{device.name}"
        files[f"{place}.link"] = device.link_file()
        files[f"{place}.network"] = device.network_file()
    return files
