"""A box for Vagrant's libvirt provider, made here: Debian that needs no network.

It boots by the kernel and initrd beside it, and has what a mirror and an index would be asked
for: packages where apt keeps what it fetched, wheels where pip is told to look.
"""

import fcntl
import hashlib
import json
import shutil
from pathlib import Path

from tests.lab.commands import run
from tests.lab.image import cache_folder
from tests.machines.systems import copy_boot, make_disk, make_root, packages
from tests.packages.brought import PYTHONS, wheels
from tests.packages.roots import FETCH, RELEASES

RELEASE = 12
GIGABYTES = 8
THERE = (
    *("systemd-sysv", "dbus", "udev", "linux-image-cloud-amd64", "iproute2", "procps", "python3"),
    *("ca-certificates", "iputils-ping", "openssh-server", "rsync", "sudo"),
)
"""What such a box has, of Vagrant's own wishes the last three."""
# Not what its README has people add by hand; QEMU is what makes a host a KVM host.
QEMU = ("qemu-system-x86", "dnsmasq-base", "libvirt-daemon-driver-qemu")
KEYS = Path("/usr/share/rubygems-integration/all/gems"), "vagrant-*/keys/vagrant.pub"
"""Where Debian has the key that Vagrant knows all boxes by, until it has put in one of its own."""
WHEELS = "/srv/wheels"
# Names by the order of the devices, as Vagrant expects them; and no deadline for the slow.
KERNEL_WORDS = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off "
    "systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900"
)
FILES = {
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/sudoers.d/vagrant": "vagrant ALL=(ALL) NOPASSWD: ALL\n",
    "etc/systemd/network/10-eth0.network": "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n",
    "etc/pip.conf": "[global]\nno-index = true\n" + f"find-links = {WHEELS}\n",
    "etc/ssh/sshd_config.d/box.conf": "UseDNS no\n",
}
VAGRANTFILE = f"""\
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 1200
  config.vm.provider :libvirt do |libvirt|
    libvirt.kernel = File.join(__dir__, "kernel")
    libvirt.initrd = File.join(__dir__, "initrd")
    libvirt.cmd_line = "{KERNEL_WORDS}"
  end
end
"""
METADATA = {"provider": "libvirt", "format": "qcow2", "virtual_size": GIGABYTES}


def box() -> Path:
    """The box's file, made once (three minutes, 1 GB).

    Raises LabError where Debian's packages or Python's index are out of reach.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    offered = (*packages("COMMON"), *packages("HOST"), *QEMU)
    recipe = (RELEASE, THERE, offered, sorted(FILES.items()), VAGRANTFILE, METADATA, FETCH)
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    made = cache / f"vagrant-{digest}.box"
    with (cache / "systems.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(made, offered)
    return made


def _make(made: Path, offered: tuple[str, ...]) -> None:
    scratch = made.with_suffix(".making")
    if scratch.exists():
        shutil.rmtree(scratch)
    scratch.mkdir()
    root = scratch / "root"
    make_root(root, RELEASES[RELEASE], THERE, offered)
    _settle(root)
    copy_boot(root, scratch)
    make_disk(root, scratch / "disk", f"{GIGABYTES}G")
    shutil.rmtree(root)
    image = ["qemu-img", "convert", "-O", "qcow2", scratch / "disk", scratch / "box.img"]
    run(image, timeout=600)
    (scratch / "Vagrantfile").write_text(VAGRANTFILE)
    (scratch / "metadata.json").write_text(json.dumps(METADATA))
    parts = ("metadata.json", "Vagrantfile", "kernel", "initrd", "box.img")
    run(["tar", "-C", scratch, "-cf", scratch / "box", *parts], timeout=600)
    (scratch / "box").rename(made)
    shutil.rmtree(scratch)


def _settle(root: Path) -> None:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    shutil.copytree(wheels(PYTHONS[RELEASE]), root / WHEELS.lstrip("/"))
    (root / "etc/hostname").write_text("box\n")
    home = root / "home/vagrant/.ssh"
    run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", "vagrant"])
    home.mkdir(mode=0o700)
    (key,) = KEYS[0].glob(KEYS[1])
    shutil.copy(key, home / "authorized_keys")
    run(["chroot", root, "chown", "-R", "vagrant:vagrant", "/home/vagrant"])
    run(["chroot", root, "systemctl", "enable", "systemd-networkd", "ssh"])
