"""Whole systems for the end-to-end tests: an edge that serves, hosts that joined, real guests."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab.commands import LabError
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab

HOOK = Path(__file__).parents[2] / "hooks" / "qemu"
_numbers = itertools.count(1)


def serve_edge(lab: Lab, *arguments: object) -> None:
    """`zthook edge init`, then the daemon."""
    lab.edge.daemon.init(None, *arguments)
    lab.edge.daemon.start()


def set_leases(lab: Lab, seconds: float, grace_seconds: float) -> None:
    """Between `zthook edge init` and the daemon's start, as an admin would in edge.toml."""
    path = lab.edge.daemon.config / "edge.toml"
    lines = path.read_text().splitlines()
    line = lines.index("[lease]") + 1
    lines[line] = f"seconds = {seconds}\ngrace_seconds = {grace_seconds}"
    path.write_text("\n".join(lines) + "\n")


def enrol(lab: Lab, host: Host, *arguments: object, via: str = "") -> None:
    """A libvirtd with the hook, a host that joined, and its agent.

    ``arguments`` are of `zthook edge host add`, ``via`` of `zthook join`.
    """
    host.install_hook(HOOK)
    host.libvirtd.start()
    token = lab.edge.daemon.add_host(host.name, *arguments)
    host.agent.join(token, *(["--via", via] if via else []))
    host.agent.start()


@pytest.fixture(scope="module")
def home() -> Iterator[Lab]:
    """One host, home1, all of it running; shared by a module's tests, which leave it as it was."""
    with Lab(hosts=("home1",)) as lab:
        serve_edge(lab)
        enrol(lab, lab["home1"])
        yield lab


@pytest.fixture(scope="module")
def two_homes() -> Iterator[Lab]:
    """Two hosts, home1 and home2, all of it running."""
    with Lab() as lab:
        serve_edge(lab)
        for host in lab.hosts.values():
            enrol(lab, host)
        yield lab


@pytest.fixture
def unused_name() -> str:
    """A guest's name that no other test has."""
    return f"web{next(_numbers)}"


def forget(guest: Guest) -> None:
    """Take a guest away, whatever state it is in."""
    with suppress(LabError):  # it may be off already
        guest.destroy()
    guest.virsh("undefine", check=False)
