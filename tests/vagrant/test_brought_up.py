"""The machines themselves, as `vagrant up` makes them: emulated, from a box that was made here.

Run by hand: `./install.sh test --all tests/vagrant -s`.
"""

import json
from collections.abc import Iterator

import pytest

from tests.lab.commands import wait_until
from tests.lab.image import halting_firmware
from tests.machines import bodied
from tests.machines.bodied import NAME, PUBLIC
from tests.vagrant.workshop import Workshop

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(7200)]

UP_SECONDS = 6000.0
FIRMWARE = "halting.rom"
BACK = 300.0
"""Deadline for packets to come through, on machines that are emulated."""
PAGE = f"import urllib.request as r; print(r.urlopen('http://{PUBLIC}', timeout=5).read().decode())"


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop() as made:
        (made.checkout / FIRMWARE).write_bytes(halting_firmware().read_bytes())
        print(made.vagrant("up", "--provider=libvirt", timeout=UP_SECONDS).stdout)
        yield made


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
