"""A guest that boots in seconds, from Debian's packages: a kernel and an initramfs of 10 MB."""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.alone import alone
from tests.lab.commands import LabError, run

HERE = Path(__file__).resolve().parent
DEFAULT_CACHE = HERE.parents[1] / "build" / "lab"
PROGRAMS = ("init", "network", "service")
PERL = Path("/usr/bin/perl")
MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/acpi/button",
    "drivers/input/evdev",
)
"""What guest/init inserts, below lib/modules/VERSION/kernel of linux-image-cloud-amd64."""


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What the guest boots from."""

    kernel: Path
    initrd: Path


def cache_folder() -> Path:
    """Where downloads and what is made of them are kept: $ZTHOOK_LAB_CACHE, else build/lab."""
    return Path(os.environ.get("ZTHOOK_LAB_CACHE") or DEFAULT_CACHE)


def guest_image() -> GuestImage:
    """The image, built where it is not in the cache yet.

    The kernel is downloaded from Debian once; raises LabError where that fails.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache):
        kernel = _kernel(cache)
        return GuestImage(kernel / "vmlinuz", _initrd(cache, kernel))


def halting_firmware() -> Path:
    """A firmware that halts the processor at once: a domain that runs and costs nothing."""
    place = cache_folder() / "halting.rom"
    if not place.exists():
        rom = bytearray(65536)
        rom[0xFFF0:0xFFF4] = b"\xfa\xf4\xeb\xfd"  # at the reset vector: cli; hlt; jmp hlt
        with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
            whole = Path(scratch) / "rom"
            whole.write_bytes(rom)
            whole.rename(place)
    return place


def _kernel(cache: Path) -> Path:
    """A folder with vmlinuz and the modules; there as a whole or not at all."""
    kernel = cache / "kernel"
    if not kernel.is_dir():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            unpacked = _unpacked_kernel_package(Path(scratch))
            folder = Path(scratch) / "kernel"
            folder.mkdir()
            shutil.copy(next(unpacked.glob("boot/vmlinuz-*")), folder / "vmlinuz")
            modules = next(unpacked.glob("lib/modules/*")) / "kernel"
            for module in MODULES:
                shutil.copy(modules / f"{module}.ko", folder)
            folder.rename(kernel)
    return kernel


def _unpacked_kernel_package(scratch: Path) -> Path:
    package = _kernel_package()
    # apt's own user may not write into our folder, and says so at length.
    download = f"apt-get -q -o APT::Sandbox::User=root download {package}"
    run(["sh", "-c", f"cd {scratch} && {download}"], timeout=300)
    unpacked = scratch / "unpacked"
    run(["dpkg", "-x", next(scratch.glob("*.deb")), unpacked])
    return unpacked


def _kernel_package() -> str:
    show = ["apt-cache", "depends", "linux-image-cloud-amd64"]
    wanted = re.compile(r"Depends: (linux-image-\S+)")
    match = wanted.search(run(show, check=False).stdout)
    if match is None:
        run(["apt-get", "-q", "update"], timeout=300)
        match = wanted.search(run(show).stdout)
    if match is None:
        raise LabError("Debian's linux-image-cloud-amd64 is not known to apt: see /etc/apt/sources")
    return match[1]


def _initrd(cache: Path, kernel: Path) -> Path:
    files = _initrd_files(kernel)
    digest = hashlib.sha256()
    for name, source in sorted(files.items()):
        digest.update(name.encode() + b"\0" + source.read_bytes())
    initrd = cache / f"initrd-{digest.hexdigest()[:16]}.cpio"
    if not initrd.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            _packed(Path(scratch) / "root", files).rename(initrd)
    return initrd


def _initrd_files(kernel: Path) -> dict[str, Path]:
    files = {program: HERE / "guest" / program for program in PROGRAMS}
    files["bin/busybox"] = Path("/bin/busybox")
    files["bin/perl"] = PERL
    files |= {f"modules/{module.name}": module for module in kernel.glob("*.ko")}
    listing = run(["ldd", PERL]).stdout
    libraries: list[str] = re.findall(r"(/\S+) \(0x", listing)
    return files | {library.lstrip("/"): Path(library) for library in libraries}


def _packed(root: Path, files: dict[str, Path]) -> Path:
    """An archive beside ``root``. Not compressed: a guest whose processor is emulated would take
    a sixth of its boot to unpack it.
    """
    for name, source in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / name)
    for folder in ("proc", "sys", "dev", "tmp"):
        (root / folder).mkdir()
    run(["chroot", root, "/bin/busybox", "--install", "-s", "/bin"])
    archive = root.parent / "initrd.cpio"
    run(["sh", "-ec", f"cd {root} && find . | cpio --quiet -o -H newc -R 0:0 >{archive}"])
    return archive
