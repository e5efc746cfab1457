"""The wheel has the program, and all that the system gets beside it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.install.world import ROOT
from zthook import __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (made,) = folder.iterdir()
    assert made.name == f"zthook-{__version__}-py3-none-any.whl"
    return zipfile.ZipFile(made)


def shared(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    """Path below the prefix that it is installed to → what is there."""
    before = f"zthook-{__version__}.data/data/"
    names = [name for name in wheel.namelist() if name.startswith(before)]
    return {name.removeprefix(before): wheel.read(name) for name in names}


def test_it_has_every_file_of_the_program(wheel: zipfile.ZipFile) -> None:
    found = (ROOT / "zthook").rglob("*")
    program = [path for path in found if path.is_file() and "__pycache__" not in path.parts]
    assert {str(path.relative_to(ROOT)) for path in program} == {
        name for name in wheel.namelist() if name.startswith("zthook/")
    }


def test_what_the_system_gets_is_there_as_it_is_here(wheel: zipfile.ZipFile) -> None:
    here = {f"share/man/man{page.suffix[1:]}/{page.name}": page for page in pages()}
    here |= {f"share/zthook/{path.name}": path for path in [*units(), ROOT / "hooks" / "qemu"]}
    here |= {f"share/zthook/json/{path.name}": path for path in (ROOT / "docs/json").iterdir()}
    assert shared(wheel) == {place: path.read_bytes() for place, path in here.items()}


def test_its_command_is_zthook(wheel: zipfile.ZipFile) -> None:
    said = wheel.read(f"zthook-{__version__}.dist-info/entry_points.txt").decode()
    assert "zthook = zthook.cli:main" in said


def pages() -> list[Path]:
    return list((ROOT / "docs" / "man").iterdir())


def units() -> list[Path]:
    return [path for path in (ROOT / "install").iterdir() if path.suffix in {".service", ".socket"}]
