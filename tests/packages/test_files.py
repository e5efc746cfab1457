"""debian/ says what install.sh and pyproject.toml say."""

import re

import pytest

from tests.install.world import World
from tests.packages.brought import ROOT
from tests.packages.files import DEBIAN, depends
from zthook import __version__

INSTALL = "".join(path.read_text() for path in sorted((ROOT / "install").glob("*.sh")))


def listed(name: str) -> set[str]:
    found = re.search(rf"^PACKAGES_{name}=\(([^)]*)\)", INSTALL, re.MULTILINE)
    assert found is not None
    return set(found[1].split())


def test_the_version_is_the_programs() -> None:
    first = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"zthook ({__version__}) ")


def test_it_depends_on_what_install_sh_installs() -> None:
    # Which python3 is said when it is built, and python3-venv is only needed for that.
    assert depends("zthook") == listed("COMMON") - {"python3", "python3-venv"}
    assert depends("zthook-host") == listed("HOST")
    assert depends("zthook-edge") == set()


@pytest.mark.parametrize("role", ["edge", "host"])
def test_every_unit_of_a_role_is_in_its_package(role: str) -> None:
    rules = re.search(rf"^UNITS_{role} = (.*)$", (DEBIAN / "rules").read_text(), re.MULTILINE)
    units = re.search(rf"^    \[{role}\]='(.*)'$", INSTALL, re.MULTILINE)
    assert rules is not None
    assert units is not None
    assert set(rules[1].split()) == set(units[1].split())


def test_install_sh_leaves_a_machine_with_the_package_alone(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    (world.folder / "packaged").mkdir()
    before = world.files()
    done = world.run("host")
    assert done.returncode == 1
    assert "as a Debian package" in done.stderr
    assert world.files() == before
