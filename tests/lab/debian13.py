"""A second release on a host of the lab: Debian 13 in a root of its own."""

import hashlib
import shutil
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from subprocess import CompletedProcess

from tests.lab.alone import alone
from tests.lab.commands import LabError, run, wait_until
from tests.lab.host_machine import HostMachine
from tests.lab.image import cache_folder
from tests.lab.libvirtd import SYSTEM_PATH, Libvirtd
from tests.lab.mounts import FOLDERS
from tests.lab.process import Process

RELEASE = "trixie"
PACKAGES = (
    "libvirt-daemon-system",
    "libvirt-clients",
    "qemu-system-x86",
    "dnsmasq-base",
    "nftables",
    "iptables",
    "iproute2",
    "procps",
    "firewalld",
    "dbus",
    "ufw",
)

# libvirt wants the action csum for DHCP; not every kernel has it, and our guests do without.
TC = """#!/bin/sh
case "$*" in *" action csum "*) exit 0 ;; esac
exec /usr/sbin/tc.real "$@"
"""

TOOLS = ("nft", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy", "busctl")
TOOLS_TO_RESTORE = tuple(f"{tool}-restore" for tool in TOOLS if "tables-" in tool)

# In mounts of its own: killed, it would leave the machine's /proc inside of what is removed then.
MMDEBSTRAP = ("unshare", "--mount", "mmdebstrap", "--quiet", "--variant=minbase")

PLACE = Path("/run/debian13")
ROOT = PLACE / "root"
# Whatever is written stays in memory: several labs share the one root. What the host has of its
# own (libvirt's folders, /run, /tmp with the lab's) is the same inside and outside.
MOUNTS = """
root=$1 place=$2 cache=$3 folders=$4
mkdir -p "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
mount -t proc proc proc
for shared in sys dev tmp; do mount --rbind "/$shared" "$shared"; done
mount --bind /run run
for folder in $folders; do
    mkdir -p "$folder"
    mount --bind "/$folder" "$folder"
done
mkdir -p ".$cache"
mount --bind "$cache" ".$cache"
mount --bind /etc/hosts etc/hosts
"""


def debian13_root() -> Path:
    """The root, made where it is not in the cache yet (half a minute, 400 MB).

    The packages are downloaded from Debian once; raises LabError where that fails.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr((RELEASE, PACKAGES, TC)).encode()).hexdigest()[:16]
    root = cache / f"debian13-{digest}"
    with alone(cache):
        if not root.is_dir():
            _make_root(root)
    return root


def _make_root(root: Path) -> None:
    scratch = root.with_suffix(".making")
    if scratch.exists():
        shutil.rmtree(scratch)
    include = ",".join(PACKAGES)
    words = [*MMDEBSTRAP, f"--include={include}"]
    run([*words, RELEASE, scratch, *mirrors()[:1]], timeout=600)
    tc = scratch / "usr/sbin/tc"
    tc.rename(tc.with_suffix(".real"))
    tc.write_text(TC)
    tc.chmod(0o755)
    scratch.rename(root)


def mirrors() -> list[str]:
    """Where apt has Debian from here; none: mmdebstrap knows the usual one."""
    words = (
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "Origin: Debian",
        "Label: Debian",
    )
    return run(words, check=False).stdout.split()


class Debian13:
    """Debian 13 on ``machine``: the same network, the same guests, another system's programs.

    ``tools`` is a folder for PATH in which Debian 13's nft, iptables and busctl come first.
    """

    def __init__(self, machine: HostMachine) -> None:
        self.machine = machine
        self.tools = machine.folder / "debian13-tools"
        root, cache = debian13_root(), cache_folder().resolve()
        machine.run("sh", "-euc", MOUNTS, "sh", root, PLACE, cache, " ".join(FOLDERS))
        self.tools.mkdir()
        for tool in (*TOOLS, *TOOLS_TO_RESTORE):
            script = self.tools / tool
            script.write_text(f'#!/bin/sh\nPATH={SYSTEM_PATH} exec chroot {ROOT} {tool} "$@"\n')
            script.chmod(0o755)

    def run(
        self, *command: object, stdin: str | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        """Run a program of Debian 13 to its end."""
        return self.machine.run("chroot", ROOT, *command, stdin=stdin, check=check)

    def start(self, name: str, *command: object) -> Process:
        """Start a daemon of Debian 13."""
        return self.machine.start(name, "chroot", ROOT, *command)


class Libvirtd13(Libvirtd):
    """Debian 13's libvirtd in place of the host's own, with either firewall backend."""

    cache = "capabilities13"

    def __init__(
        self,
        debian: Debian13,
        guests: IPv4Network,
        guests6: IPv6Network | None = None,
        *,
        backend: str = "",
    ) -> None:
        super().__init__(debian.machine, guests, guests6)
        self._debian = debian
        self.choose(backend)

    def choose(self, backend: str) -> None:
        """The firewall backend, "iptables" or "nftables", from its next start on; "": Debian's."""
        line = f'firewall_backend = "{backend}"\n' if backend else ""
        (self._machine.place("/etc/libvirt") / "network.conf").write_text(line)

    def stop(self) -> None:
        """As kill(): asked to end soon after its start, 11.3 may wait for its own udev thread."""
        self.kill()

    def _start(self) -> Process:
        return self._debian.start("libvirtd", *self.words)


class Firewalld:
    """Debian 13's firewalld, on a message bus that is there from the beginning, as on any machine.

    libvirtd, started after that, hears of it.
    """

    def __init__(self, debian: Debian13) -> None:
        self._debian = debian
        self._process: Process | None = None
        debian.run("sh", "-euc", "mkdir -p /run/dbus; dbus-uuidgen --ensure")
        bus = debian.start(
            "dbus", "dbus-daemon", "--system", "--nofork", "--nopidfile", "--print-address"
        )
        bus.wait_logged("unix:")

    def start(self) -> None:
        """Start it; returns once it answers."""
        self._process = self._debian.start("firewalld", "firewalld", "--nofork", "--nopid")
        wait_until(
            lambda: self("--state", check=False).returncode == 0,
            20,
            lambda: f"firewalld runs; it printed:\n{self.process.log_text()}",
        )

    @property
    def process(self) -> Process:
        """The daemon; LabError where it was never started."""
        if self._process is None:
            raise LabError(f"firewalld on {self._debian.machine.name} is not started")
        return self._process

    def __call__(self, *arguments: str, check: bool = True) -> CompletedProcess[str]:
        """Run `firewall-cmd ARGUMENTS…`."""
        return self._debian.run("firewall-cmd", *arguments, check=check)
