"""docs/install-by-hand.md does what install.sh does."""

import re

from tests.documents import DOCS, ROOT
from tests.documents.markdown import read

PAGE = read(DOCS / "install-by-hand.md")
INSTALL = "".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "install").glob("*.sh"))
)
COMMANDS = "\n".join(block.text for block in PAGE.blocks)


def _packages(name: str) -> set[str]:
    found = re.search(rf"^PACKAGES_{name}=\(([^)]*)\)", INSTALL, re.MULTILINE)
    assert found
    return set(found[1].split())


def test_the_packages_are_those_of_install_sh() -> None:
    rows = {row[0]: [set(cell.split()) for cell in row[1:]] for row in PAGE.rows("Packages")}
    for name, what in (("edge and host", "COMMON"), ("host", "HOST")):
        systems = ("", "_FEDORA", "_JAMMY")
        assert rows[name] == [_packages(what + system) for system in systems]


def test_every_unit_is_installed_and_enabled() -> None:
    units = {path.name for path in (ROOT / "install").glob("*.s[eo][rc]*")}
    assert set(re.findall(r"install/([\w.-]+)", COMMANDS)) == units
    enabled = re.findall(r"systemctl enable (?:--now )?(.*)", COMMANDS)
    assert {unit for line in enabled for unit in line.split()} == units


def test_the_places_are_those_of_install_sh() -> None:
    prefix = re.search(r"^PREFIX=(.*)$", INSTALL, re.MULTILINE)
    hooks = re.search(r"^HOOKS=(.*)$", INSTALL, re.MULTILINE)
    assert prefix
    assert hooks
    assert f"venv --system-site-packages {prefix[1]}/venv" in COMMANDS
    assert f" {hooks[1]}/qemu.d/zthook" in COMMANDS
    for unit in (ROOT / "install").glob("*.service"):
        assert f"{prefix[1]}/venv/bin/zthook" in unit.read_text(encoding="utf-8")


def test_what_is_removed_from_the_kernel_is_what_install_sh_removes() -> None:
    section = INSTALL.partition("remove_kernel_state() {")[2].partition("\n}\n")[0]
    removed = re.findall(r"^    ((?:nft|ip) .*?) 2>", section, re.MULTILINE)
    assert removed
    assert [one for one in removed if one not in COMMANDS] == []
