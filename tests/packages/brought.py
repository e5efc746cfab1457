"""What a Debian without a network is brought: this checkout, and wheels."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.lab.commands import run
from tests.lab.image import cache_folder

ROOT = Path(__file__).parents[2]
PYTHONS = {12: "3.11", 13: "3.13"}
"""Release of Debian → its Python."""


def pip_environment(wheels: str) -> dict[str, str]:
    """What pip is told where ``wheels`` is the folder that it has instead of an index."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels}


def copy_checkout(to: Path) -> None:
    """What git has of this checkout, with changes that are not committed yet."""
    words = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def wheels(python: str) -> Path:
    """A folder with all that pip needs to install zthook for that Python, downloaded once.

    libvirt's binding is Debian's, as on every machine.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    wanted += [one for one in extras["host"] + extras["edge"] if "libvirt" not in one]
    digest = hashlib.sha256(repr((python, sorted(wanted))).encode()).hexdigest()[:16]
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"wheels-{python}-{digest}"
    with (cache / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                place = Path(scratch) / "wheels"
                words = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", place]
                words += ["--only-binary=:all:", "--python-version", python]
                run([*words, *wanted], timeout=600)
                place.rename(folder)
    return folder
