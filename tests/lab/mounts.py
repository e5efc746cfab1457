"""A mount and UTS namespace of a host's own, kept by one process; nothing else holds it."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.lab.commands import LabError
from tests.lab.keeper import Keeper
from tests.lab.namespace import Namespace

FOLDERS = (
    "etc/libvirt",
    "run/libvirt",
    "var/lib/libvirt",
    "var/cache/libvirt",
    "var/log/libvirt",
)
"""What a host has of its own; the same folders below its ``root`` in the lab's folder."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "net/tun", "vhost-net")
"""Its /dev. Without kvm: guests are emulated on every machine alike."""

# /var is overlaid as the mount points may be missing there, and nothing may stay behind.
# The user libvirt-qemu comes with libvirt-daemon-system, which the lab does without; libvirtd
# does not start where it is missing, though qemu.conf names another one. Names are in /etc/hosts
# alone: libvirtd looks for its own at each start of a guest, and a resolver would keep it 5 s.
SCRIPT = """
folder=$1 name=$2 hosts=$3 folders=$4 devices=$5
hostname "$name"
mkdir -p "$folder/private" && mount -t tmpfs tmpfs "$folder/private"
cd "$folder/private"
mkdir upper work dev dev/net dev/shm dev/pts
mount -t overlay overlay -o lowerdir=/var,upperdir=upper,workdir=work /var
mount -t tmpfs tmpfs /run
for device in $devices; do
    [ ! -e "/dev/$device" ] || cp -a "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount --rbind /dev/pts dev/pts
touch dev/log && mount --bind "$folder/syslog.socket" dev/log
mount --rbind dev /dev
for file in passwd group; do
    cp "/etc/$file" "$file"
    grep -q '^libvirt-qemu:' "$file" || echo "libvirt-qemu:x:64055:64055::/:/bin/false" |
        case $file in passwd) cat ;; group) cut -d : -f 1-3 | sed 's/$/:/' ;; esac >>"$file"
    mount --bind "$file" "/etc/$file"
done
mount --bind "$hosts" /etc/hosts
touch resolv.conf && mount --bind resolv.conf /etc/resolv.conf
for directory in $folders; do
    mkdir -p "/$directory" "$folder/root/$directory"
    mount --bind "$folder/root/$directory" "/$directory"
done
echo ready
exec cat >/dev/null
"""


class Mounts:
    """A mount and UTS namespace inside a network namespace, kept by a process.

    Raises LabError where the mounts can not be made.
    """

    def __init__(self, name: str, namespace: Namespace, folder: Path, hosts: Path) -> None:
        words = ["unshare", "--mount", "--uts", "sh", "-euc", SCRIPT, "sh", folder, name, hosts]
        command = namespace.entering([*words, " ".join(FOLDERS), " ".join(DEVICES)])
        self._keeper = Keeper(command, f"the mounts of {name}")

    def entering(self, command: Sequence[object]) -> list[object]:
        """``command`` as it must be called to run in it."""
        return ["nsenter", "-t", self._keeper.pid, "-m", "-n", "-u", "--", *command]

    @property
    def keeper(self) -> int:
        """The id of the process that keeps it, for nsenter(1)."""
        return self._keeper.pid

    def close(self) -> None:
        """Let go of it; it is gone once its processes are."""
        self._keeper.close()


def own_folder(root: Path, place: str) -> Path:
    """Where ``place`` of a host (such as /run/libvirt) lies for the others; LabError if shared."""
    relative = place.lstrip("/")
    if not any(relative == own or relative.startswith(own + os.sep) for own in FOLDERS):
        raise LabError(f"{place} is not a host's own: it has {', '.join(FOLDERS)}")
    return root / relative
