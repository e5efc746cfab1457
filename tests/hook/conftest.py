"""The hook as it is installed: a copy with its two marker lines set."""

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "hooks" / "qemu"
LIBVIRT_ENVIRONMENT = {  # what libvirt 9.0 leaves a hook
    "LC_ALL": "C",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
GUEST = b"""<domain type='qemu' xmlns:z='urn:example:other'>
  <name>web1</name>
  <uuid>4dea22b3-1d52-d8f3-2516-782e98ab3fa0</uuid>
  <metadata>%s</metadata>
  <devices/>
</domain>
"""


def guest_xml(*addresses: str, rest: str = "") -> bytes:
    """A domain whose annotation has these <zthook:address> attributes."""
    inside = "".join(f"<zthook:address {attributes}/>" for attributes in addresses)
    element = f'<zthook:publish xmlns:zthook="urn:zthook:1">{inside}{rest}</zthook:publish>'
    return GUEST % element.encode()


PLAIN = GUEST % b""
ANNOTATED = guest_xml('public="203.0.113.10"')
REQUIRED = guest_xml('public="203.0.113.10" required="yes"')


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    stdout: bytes
    stderr: str
    seconds: float

    @property
    def harmless(self) -> bool:
        """What holds for every call but a refused start."""
        return (self.status, self.stdout, self.stderr) == (0, b"", "")


class InstalledHook:
    """Runs the hook as libvirt does: XML through a pipe, a bare environment."""

    def __init__(self, path: Path, socket: Path) -> None:
        self.path = path
        self.socket = socket

    def command(self, guest: str, operation: str, suboperation: str = "begin") -> list[str]:
        return [str(self.path), guest, operation, suboperation, "-"]

    def __call__(
        self,
        operation: str,
        xml: bytes,
        *,
        guest: str = "web1",
        suboperation: str = "begin",
        environment: Mapping[str, str] = LIBVIRT_ENVIRONMENT,
    ) -> Outcome:
        started = time.monotonic()
        done = subprocess.run(
            self.command(guest, operation, suboperation),
            input=xml,
            capture_output=True,
            env=environment,
            timeout=30,
            check=False,
        )
        seconds = time.monotonic() - started
        return Outcome(done.returncode, done.stdout, done.stderr.decode(), seconds)


def install(target: Path, socket: Path, required_seconds: float) -> InstalledHook:
    """What install.sh does with sed."""
    subprocess.run(["cp", SOURCE, target], check=True)
    markers = (
        f"s|^socket=.*|socket={socket}|;s|^required_seconds=.*|required_seconds={required_seconds}|"
    )
    subprocess.run(["sed", "-i", markers, target], check=True)
    return InstalledHook(target, socket)


@pytest.fixture
def hook(tmp_path: Path) -> InstalledHook:
    return install(tmp_path / "zthook", tmp_path / "hook.sock", required_seconds=1.5)


@pytest.fixture
def without_python(tmp_path: Path) -> dict[str, str]:
    """An environment that has a cat, and no python3."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "cat").symlink_to("/bin/cat")
    return {"PATH": os.fspath(programs)}
