"""The machines themselves, as `vagrant up` makes them: emulated, from a box that was made here.

Run by hand: `./install.sh test --all tests/vagrant -s`, for ZeroTier with `$ZEROTIER_ONE`.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lab.commands import wait_until
from tests.lab.image import halting_firmware
from tests.machines import bodied
from tests.machines.bodied import NAME, PUBLIC
from tests.machines.zerotier_service import installing, lone_root, start_at
from tests.overlay.real_lab import BINARY, Node
from tests.vagrant.workshop import Workshop

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(7200)]

UP_SECONDS = 6000.0
FIRMWARE = "halting.rom"
BACK = 300.0
"""Deadline for packets to come through, on machines that are emulated."""
PAGE = f"import urllib.request as r; print(r.urlopen('http://{PUBLIC}', timeout=5).read().decode())"


OVERLAYS = (
    "plain",
    pytest.param(
        "zerotier",
        marks=[
            pytest.mark.zerotier,
            pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
        ],
    ),
)


@pytest.fixture(scope="module", params=OVERLAYS)
def workshop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workshop]:
    with ExitStack() as ends, Workshop(request.param) as made:
        if made.overlay == "zerotier":
            ends.callback(bring_zerotier(made, tmp_path_factory.mktemp("root")).close)
        shutil.copy(halting_firmware(), made.checkout / FIRMWARE)
        print(made.vagrant("up", "--provider=libvirt", timeout=UP_SECONDS).stdout)
        yield made


def bring_zerotier(workshop: Workshop, folder: Path) -> Node:
    """Have the machines install it from the checkout: nobody has ZeroTier's site in here."""
    root, planet = lone_root(folder)
    for file in (Path(str(BINARY)), planet):
        shutil.copy(file, workshop.checkout)
    script = f"#!/bin/sh -eu\n{installing(Path(str(BINARY)).name, '/zthook')}"
    (workshop.checkout / "vagrant/zerotier.sh").write_text(script)
    start_at(workshop.machine.namespace, root)
    return root


def test_both_hosts_are_the_edges(workshop: Workshop) -> None:
    said = json.loads(workshop.on("edge", "zthook edge host list --json"))
    assert {one["name"]: one["lease"] for one in said} == {"home1": "live", "home2": "live"}


def test_the_client_reaches_a_guest_of_a_host(workshop: Workshop) -> None:
    workshop.on("home1", "virsh define /dev/stdin", stdin=bodied.guest(f"/zthook/{FIRMWARE}").xml())
    workshop.on("home1", f"virsh start {NAME}")
    workshop.on("home1", f"sh -eu -c '{bodied.body('/zthook/tests/lab/service.py')}'")
    wait_until(lambda: NAME in page(workshop), BACK, lambda: f"{NAME} answers; {told(workshop)}")
    workshop.on("home1", f"virsh destroy {NAME}")
    wait_until(lambda: not page(workshop), BACK, lambda: f"{NAME} is gone; {told(workshop)}")


def page(workshop: Workshop) -> str:
    """What a browser on the client sees; empty where nobody answers."""
    return workshop.on("client", f'python3 -c "{PAGE}" || true')


def told(workshop: Workshop) -> str:
    edge = workshop.on("edge", "zthook edge mappings || true")
    return f"{edge}\n{workshop.on('home1', 'zthook status || true')}"


def test_up_again_changes_nothing(workshop: Workshop) -> None:
    """Provisioning a machine that has been provisioned is no fault, and enrols nobody anew."""
    before = workshop.on("home1", "sha256sum /var/lib/zthook/credential.json")
    workshop.vagrant("provision", "edge", "home1", timeout=UP_SECONDS)
    assert workshop.on("home1", "sha256sum /var/lib/zthook/credential.json") == before


def test_destroyed_nothing_of_it_is_left(workshop: Workshop) -> None:
    """The last one."""
    workshop.vagrant("destroy", "--force", timeout=300)
    for what in ("list", "net-list"):
        left = workshop.machine.run("virsh", what, "--all", "--name").stdout.split()
        assert set(left) <= {"default", "vagrant-libvirt"}, "but for Vagrant's own network"
    kept = workshop.machine.run("virsh", "vol-list", "default").stdout.split()
    assert [one for one in kept if one.startswith("vagrant_")] == [], "but for the box's"
