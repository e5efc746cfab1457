"""What a machine without a network is brought on a second disk: this checkout, and wheels."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.lab.image import halting_firmware
from tests.machines.places import PARCEL
from tests.machines.systems import make_disk
from tests.packages.brought import PYTHONS, copy_checkout, pip_environment, wheels

SOURCE = f"{PARCEL}/zthook"
FIRMWARE = f"{PARCEL}/halting.rom"
SERVICE = f"{SOURCE}/tests/lab/service.py"

PIP = pip_environment(f"{PARCEL}/wheels")
"""What pip is told there, in its environment: all else is install.sh's own doing."""


def make_parcel(release: int, disk: Path, brings: Sequence[Path] = ()) -> None:
    """A disk with this checkout as it is, the wheels for that release's Python, and a firmware;
    and the files that it ``brings`` beside these.
    """
    with tempfile.TemporaryDirectory(dir=disk.parent) as scratch:
        folder = Path(scratch)
        copy_checkout(folder / "zthook")
        shutil.copytree(wheels(PYTHONS[release]), folder / "wheels")
        for file in (halting_firmware(), *brings):
            shutil.copy(file, folder)
        make_disk(folder, disk, "256M")
