"""The packages in a fresh Debian: built there, installed, used, upgraded, purged.

Run by hand: `./install.sh test --all tests/packages`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.install.world import ROOT
from tests.packages.brought import PYTHONS, copy_checkout, pip_environment, wheels
from tests.packages.files import depends
from tests.packages.roots import Root, debian
from zthook import __version__

pytestmark = [pytest.mark.netns, pytest.mark.long, pytest.mark.timeout(1500)]

BUILDER = ("debhelper", "ca-certificates", "lintian", "python3-venv")
CLEAN = ("man-db",)
APT = "apt-get --quiet --yes --no-install-recommends"
HOOK = "/etc/libvirt/hooks/qemu.d/zthook"
READING = (
    "/usr/share/man/man1/zthook.1.gz",
    "/usr/share/man/man1/zthook-edge.1.gz",
    "/usr/share/man/man5/zthook.toml.5.gz",
    "/usr/share/man/man7/zthook-annotation.7.gz",
    "/usr/share/bash-completion/completions/zthook",
    "/usr/share/zsh/vendor-completions/_zthook",
    "/usr/share/fish/vendor_completions.d/zthook.fish",
)
UNITS = {
    "edge": {
        "multi-user.target.wants/zthook-edge.service",
        "sysinit.target.wants/zthook-edge-rules.service",
    },
    "host": {
        "multi-user.target.wants/zthook-agent.service",
        "sockets.target.wants/zthook-agent.socket",
    },
}
IMPORT_ALL = """
import importlib, pkgutil, sys, zthook
for module in pkgutil.walk_packages(zthook.__path__, "zthook."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if (sys.argv[1], error.name) != ("edge", "libvirt"):
            raise
"""


@pytest.fixture(scope="module", params=[12, 13])
def release(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def builder(release: int, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Where the packages were built, in /build."""
    root = Root(debian(release, BUILDER, ()), tmp_path_factory.mktemp("builder"))
    copy_checkout(root.place("build/zthook"))
    shutil.copytree(wheels(PYTHONS[release]), root.place("build/wheels"))
    pip = pip_environment("/build/wheels")
    # -d, as build-essential is not there: nothing is compiled.
    build = "cd /build/zthook && dpkg-buildpackage -us -uc -b -d"
    root.run("sh", "-euc", build, timeout=900, **pip)
    return root


@pytest.fixture(scope="module")
def packages(builder: Root) -> list[Path]:
    found = sorted(builder.place("build").glob("*.deb"))
    names = sorted(path.name.split("_")[0] for path in found)
    assert names == ["zthook", "zthook-edge", "zthook-host"]
    assert all(path.name.split("_")[1] == __version__ for path in found)
    return found


class Machine:
    """A clean root with what our packages need, which apt installed; and those on its disk."""

    def __init__(self, root: Root, packages: list[Path], needed: list[str]) -> None:
        self.root = root
        for path in packages:
            root.place("srv").mkdir(exist_ok=True)
            shutil.copy(path, root.place("srv"))
        root.shell(f"{APT} install {' '.join(needed)}")

    def install(self, *names: str) -> None:
        files = " ".join(f"/srv/{name}_*.deb" for name in names)
        self.root.shell(f"{APT} install {files}")

    def remove(self, *names: str, purge: bool) -> None:
        self.root.shell(f"{APT} {'purge' if purge else 'remove'} {' '.join(names)}")


@pytest.fixture
def machine(release: int, packages: list[Path], role: str, tmp_path: Path) -> Iterator[Machine]:
    needed = sorted(depends("zthook") | depends(f"zthook-{role}"))
    root = Root(
        debian(release, CLEAN, sorted(depends("zthook") | depends("zthook-host"))), tmp_path
    )
    yield Machine(root, packages, needed)
    shutil.rmtree(tmp_path)


def test_lintian_finds_no_error(builder: Root) -> None:
    said = builder.run(
        "sh", "-euc", "lintian --allow-root --fail-on error /build/*.deb", check=False, timeout=600
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("role", ["edge", "host"])
def test_it_works_and_purged_it_leaves_nothing(machine: Machine, role: str) -> None:
    root = machine.root
    before = root.files()
    machine.install("zthook", f"zthook-{role}")
    assert root.shell("zthook --version") == f"zthook {__version__}\n"
    assert "Floating public addresses" in root.shell("zthook --help")
    root.run("/usr/lib/zthook/venv/bin/python3", "-c", IMPORT_ALL, role)
    assert [path for path in READING if not root.exists(path)] == []
    assert root.shell("man -w zthook.toml") == "/usr/share/man/man5/zthook.toml.5.gz\n"
    enabled = root.shell("cd /etc/systemd/system && find . -name 'zthook*' -printf '%P\\n'")
    assert set(enabled.split()) == UNITS[role]
    unit = root.shell(
        f"cat /lib/systemd/system/zthook-{'agent' if role == 'host' else 'edge'}.service"
    )
    assert "ExecStart=/usr/lib/zthook/venv/bin/zthook" in unit
    assert root.exists(HOOK) is (role == "host")
    root.shell("mkdir -p /etc/zthook /var/lib/zthook && touch /etc/zthook/edge.toml")
    machine.remove("zthook", f"zthook-{role}", purge=True)
    kept = ("/var/log/", "/var/lib/dpkg/", "/var/cache/", "/var/lib/apt/")
    assert [path for path in root.files() - before if not path.startswith(kept)] == []


@pytest.mark.parametrize("role", ["host"])
def test_removed_it_keeps_what_its_owner_said_and_no_hook_no_rules(
    machine: Machine, role: str
) -> None:
    root = machine.root
    machine.install("zthook", "zthook-host")
    hook = root.shell(f"cat {HOOK}")
    assert hook == (ROOT / "hooks" / "qemu").read_text()
    assert root.shell(f"stat -c %a {HOOK}") == "755\n"
    root.shell("mkdir -p /etc/zthook && echo '[host]' >/etc/zthook/host.toml")
    left = root.shell(
        "nft add table inet zthook_host; ip rule add fwmark 8/8 table 12300 protocol 123; "
        f"{APT} remove zthook zthook-host >/dev/null; nft list tables; ip rule | grep 12300 || true"
    )
    assert left == ""
    assert not root.exists(HOOK)
    assert root.exists("/etc/zthook/host.toml")
    assert not root.exists("/usr/lib/zthook")


@pytest.mark.parametrize("role", ["edge"])
def test_installed_over_itself_it_is_as_before(machine: Machine, role: str) -> None:
    root = machine.root
    machine.install("zthook", "zthook-edge")
    before = root.files()
    root.shell("dpkg --install /srv/zthook_*.deb /srv/zthook-edge_*.deb")
    assert {path for path in before ^ root.files() if "zthook" in path} == set()
    assert root.shell("zthook --version") == f"zthook {__version__}\n"


@pytest.mark.parametrize("role", ["edge"])
def test_beside_what_install_sh_installed_it_is_refused(machine: Machine, role: str) -> None:
    machine.root.shell("mkdir -p /opt/zthook/venv")
    done = machine.root.run("sh", "-c", "dpkg --install /srv/zthook_*.deb", check=False)
    assert done.returncode != 0
    assert "hint: ./install.sh uninstall" in done.stderr
