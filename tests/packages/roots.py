"""Roots of Debian in which programs run as on a machine of their own, without a network."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess

from tests.lab.commands import run
from tests.lab.debian13 import MMDEBSTRAP, mirrors
from tests.lab.image import cache_folder

RELEASES = {12: "bookworm", 13: "trixie"}

# What is only fetched, and whatever it needs, lies where apt keeps what it fetched: a machine
# without a network has nowhere to fetch it from.
FETCH = (
    'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet --yes --no-install-recommends '
    "--download-only install {packages}"
)

# What is written stays in the folder, and the kernel's state ends with the run.
ENTER = """
lower=$1 folder=$2
shift 2
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$folder/upper,workdir=$folder/work" \
    "$folder/root"
cd "$folder/root"
mount -t proc proc proc
mount -t tmpfs tmpfs run
mount --rbind /dev dev
ip link set lo up
exec chroot . "$@"
"""
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}


def debian(release: int, there: Sequence[str], fetched: Sequence[str]) -> Path:
    """A folder with Debian ``release`` and these packages in it, made once (a minute).

    Raises LabError where Debian's mirror is out of reach.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    recipe = (RELEASES[release], *there, FETCH, *fetched)
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
    root = cache / f"packages{release}-{digest}"
    with (cache / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.is_dir():
            _make(root, RELEASES[release], there, fetched)
    return root


def _make(root: Path, release: str, there: Sequence[str], fetched: Sequence[str]) -> None:
    scratch = root.with_suffix(".making")
    if scratch.exists():
        shutil.rmtree(scratch)
    # A root that breaks off is made anew, so nothing need be on the disk before the end.
    words = [*MMDEBSTRAP, "--skip=cleanup/apt", "--dpkgopt=force-unsafe-io"]
    words += [f"--include={','.join(there)}"]
    if fetched:
        words += [f"--customize-hook={FETCH.format(packages=' '.join(fetched))}"]
    run([*words, release, scratch, *mirrors()[:1]], timeout=900)
    scratch.rename(root)


class Root:
    """A root to write in: what is written stays in ``folder``."""

    def __init__(self, lower: Path, folder: Path) -> None:
        self._lower = lower
        self._folder = folder
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)

    def place(self, name: str) -> Path:
        """Where to put what shall be at /``name`` in it, while nothing runs in it."""
        return self._folder / "upper" / name

    def run(
        self, *command: object, check: bool = True, timeout: float = 300, **environment: str
    ) -> CompletedProcess[str]:
        """Run a program in it as root to its end; raises LabError as commands.run does."""
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--ipc"]
        words += ["sh", "-euc", ENTER, "sh", str(self._lower), str(self._folder)]
        path = {"PATH": os.environ["PATH"]}
        chrooted = {**ENVIRONMENT, **environment}
        inside = ["env", "-i", *(f"{name}={value}" for name, value in chrooted.items())]
        return run([*words, *inside, *command], check=check, timeout=timeout, env=path)

    def shell(self, script: str, *, timeout: float = 300) -> str:
        """What a script of sh prints."""
        return self.run("sh", "-euc", script, timeout=timeout).stdout

    def files(self) -> set[str]:
        """Every path in it."""
        return set(self.shell("find / -xdev").splitlines())

    def exists(self, path: str) -> bool:
        """Whether that path is there."""
        return self.run("test", "-e", path, check=False).returncode == 0
