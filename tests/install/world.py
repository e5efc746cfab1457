"""A machine for install.sh that is a folder: its places are in there, systemd, pip are played."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]

# main and all it calls are install.sh's own; what is said anew here is where things are, and
# what a folder has not: packages, a kernel, systemd.
PRELUDE = """
set -euo pipefail
. {root}/install.sh
PREFIX={world}/opt PACKAGED={world}/packaged UNITS={world}/units HOOKS={world}/hooks
CONFIGURATION={world}/etc STATE={world}/state
STORE=$STATE/edge.sqlite STORE_COPY=$STATE/edge.sqlite.before-upgrade
COMMAND={world}/bin/zthook MANUAL={world}/man
COMPLETIONS=([bash]={world}/share/bash/zthook)
COMPLETIONS+=([zsh]={world}/share/zsh/_zthook [fish]={world}/share/fish/zthook)
PYTHON={world}/tools/python3
have_systemd() {{ true; }}
apt_install() {{ :; }}
have_package() {{ [ "$1" != "${{LACKS:-}}" ]; }}
virsh() {{ echo "${{LIBVIRT:-9.0.0}}"; }}
remove_kernel_state() {{ :; }}
remove_program() {{ rm -rf "$PREFIX" && rm -f "$COMMAND" && remove_reading_matter; }}
our_version() {{ echo "${{VERSION:-1.0}}"; }}
main "$@"
"""

PYTHON = """#!/bin/sh
# Makes a version that does as the files in the world say; else it is Python.
[ "$1 $2" = "-m venv" ] || exec /usr/bin/python3 "$@"
mkdir -p "$4/bin"
cat >"$4/bin/pip" <<'PIP'
#!/bin/sh
if [ -e {world}/no-index ]; then echo "no index here"; exit 1; fi
for flaw in does-not-start changes-the-store; do
    [ ! -e {world}/$flaw ] || touch "${{0%/bin/pip}}/$flaw"
done
{world}/tools/unpack "${{0%/bin/pip}}"
PIP
cat >"$4/bin/zthook" <<'ZTHOOK'
#!/bin/sh
[ "$1" != join ] || {{ echo "zthook $*: $(cat)"; [ ! -e {world}/join-fails ]; exit; }}
echo zthook, version "$0"
ZTHOOK
chmod 755 "$4/bin/pip" "$4/bin/zthook"
"""

# What pip unpacks of our package that is no Python.
UNPACK = """#!/usr/bin/python3
import shutil, sys, tomllib
from pathlib import Path

project = tomllib.loads(Path("{root}/pyproject.toml").read_text())
shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
for name, place in shared.items():
    source, target = Path("{root}", name), Path(sys.argv[1], place)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)
"""

SYSTEMCTL = """#!/bin/sh
case "$*" in "--quiet is-active"*) [ "$3" = libvirtd.service ]; exit ;; esac
echo "$*" >>{world}/systemctl.log
here={world}/opt/venv
case "$1 $*" in
restart*zthook-edge*)
    [ ! -e $here/changes-the-store ] || /usr/bin/python3 -c "import sqlite3
sqlite3.connect('{world}/state/edge.sqlite').execute('PRAGMA user_version = 9')"
    ;;
esac
case $1 in
restart) [ ! -e $here/does-not-start ] ;;
esac
"""


class World:
    """The machine. ``run`` is `./install.sh ARGUMENTS…` on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("tools", "units", "hooks", "bin", "man"):
            (folder / name).mkdir()
        self.tool("python3", PYTHON)
        self.tool("unpack", UNPACK)
        self.tool("systemctl", SYSTEMCTL)
        self.tool("journalctl", "#!/bin/sh\necho what the daemon said\n")
        (folder / "os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n')

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Its exit code, and what it printed."""
        prelude = PRELUDE.format(root=ROOT, world=self.folder)
        return subprocess.run(
            ["bash", "-c", prelude, "install.sh", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env={
                "PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}",
                "ZTHOOK_OS_RELEASE": str(self.folder / "os-release"),
                **environment,
            },
        )

    def do(self, *arguments: str, **environment: str) -> str:
        """As run(), which must succeed: what it printed."""
        done = self.run(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def files(self) -> dict[str, str]:
        """All that is there but the tools and their log: path → what it is."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = str(path.relative_to(self.folder))
            if name.split("/")[0] in {"tools", "systemctl.log"}:
                continue
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = path.read_text(errors="replace") if path.is_file() else "a folder"
        return found

    @property
    def told(self) -> list[str]:
        """What systemctl was told so far."""
        log = self.folder / "systemctl.log"
        return log.read_text().splitlines() if log.exists() else []

    @property
    def versions(self) -> dict[str, Path]:
        """ "venv" and "previous" as far as they are there, → the version that each names."""
        links = {name: self.folder / "opt" / name for name in ("venv", "previous")}
        return {name: link.resolve(strict=True) for name, link in links.items() if link.exists()}

    def all_versions(self) -> set[Path]:
        """Every version on the disk."""
        return set((self.folder / "opt" / "versions").iterdir())

    def tool(self, name: str, text: str) -> None:
        """Put a program into its PATH; {world} in ``text`` is this folder, {root} the checkout."""
        path = self.folder / "tools" / name
        text = text.replace("{world}", str(self.folder)).replace("{root}", str(ROOT))
        path.write_text(text.replace("{{", "{").replace("}}", "}"))
        path.chmod(0o755)
