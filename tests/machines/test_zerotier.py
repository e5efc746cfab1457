"""From nothing to a guest that is reached, and back, over ZeroTier under systemd: the edge is the
controller of a network of its own.

In the order of a machine's life. Run by hand, with the real zerotier-one:
`ZEROTIER_ONE=… ./install.sh test --all tests/machines/test_zerotier.py -s`.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.lab.commands import wait_until
from tests.lab.daemons import JOIN
from tests.machines import bodied
from tests.machines.computer import Computer
from tests.machines.neighbourhood import Neighbourhood
from tests.machines.parcel import FIRMWARE, SERVICE
from tests.machines.places import PARCEL
from tests.machines.test_units import BACK, OURS, wait_page
from tests.machines.zerotier_service import HOME, SETTINGS, installing, lone_root, start_at
from tests.overlay.real_lab import BINARY

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.zerotier,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]
POOL = "hk=203.0.113.10-203.0.113.14"


@pytest.fixture(scope="module", params=[12, 13], ids=["debian12", "debian13"])
def places(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Neighbourhood]:
    root, planet = lone_root(tmp_path_factory.mktemp("root"))
    try:
        with Neighbourhood(request.param, (Path(str(BINARY)), planet)) as places:
            start_at(places.hub, root)
            places.wait_booted()
            yield places
            root.stop()
    finally:
        root.close()


@pytest.fixture(scope="module")
def joined(places: Neighbourhood) -> Neighbourhood:
    """Edge and host by two commands each, on a network that the edge made; web1 runs."""
    edge, host = places.edge, places.host
    for one in places.computers:
        one.run("sh", "-euc", installing(Path(str(BINARY)).name, PARCEL))
    edge.install("edge")
    edge.run("zthook", *["edge", "init", "--controller", "--uplink", "uplink0", "--pool"], POOL)
    edge.run("systemctl", "start", "zthook-edge")
    member = host.run("zerotier-cli", "info").stdout.split()[2]
    added = edge.run("zthook", "edge", "host", "add", "home1", "--member", member).stdout
    token = JOIN.search(added)
    assert token is not None
    print(host.install("host", token[1]))
    host.shell("virsh net-autostart default; virsh net-start default || virsh net-info default")
    host.run("virsh", "define", "/dev/stdin", stdin=bodied.guest(FIRMWARE).xml())
    host.run("virsh", "autostart", bodied.NAME)
    host.run("virsh", "start", bodied.NAME)
    host.shell(bodied.body(SERVICE))
    return places


def says(computer: Computer, words: str) -> bool:
    """Whether its status has these words."""
    command = ("edge", "status") if computer.name == "edge" else ("status",)
    return words in computer.run("zthook", *command, check=False).stdout


def test_the_guest_is_reached_over_the_edges_own_network(joined: Neighbourhood) -> None:
    wait_page(joined)
    [network] = json.loads(joined.host.run("zerotier-cli", "-j", "listnetworks").stdout)
    assert network["id"].startswith(joined.edge.run("zerotier-cli", "info").stdout.split()[2])


def test_once_restarted_a_redial_heals_at_once(joined: Neighbourhood) -> None:
    for one in reversed(joined.computers):
        wait_until(
            lambda one=one: says(one, "waits for a restart"),
            BACK,
            lambda one=one: f"{one.name} is set up; {one.run('zthook', 'status', check=False)}",
        )
        one.run("systemctl", "restart", "zerotier-one")
    healed = "heals at once with 1 of 1 hosts"
    wait_until(
        lambda: says(joined.edge, healed),
        BACK,
        lambda: joined.edge.run("zthook", "edge", "status", check=False).stdout,
    )
    wait_page(joined)


def test_after_a_reboot_the_guest_is_reached(joined: Neighbourhood) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(Computer.reboot, joined.computers))
    joined.host.shell(bodied.body(SERVICE))
    wait_page(joined)


def test_uninstalled_zerotier_is_what_it_was(joined: Neighbourhood) -> None:
    """The last one: the host first, so that it can tell its edge."""
    for computer in (joined.host, joined.edge):
        computer.install("uninstall", "--purge")
        assert computer.shell(OURS) == ""
        assert computer.shell(f"cat {HOME}/local.conf") == SETTINGS
        assert computer.run("systemctl", "is-active", "zerotier-one").stdout == "active\n"
    assert json.loads(joined.host.run("zerotier-cli", "-j", "listnetworks").stdout) == []
    assert joined.host.shell(f"find {HOME} -name '*.moon'") == ""
