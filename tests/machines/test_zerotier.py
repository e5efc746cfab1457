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
from tests.lab.namespace import cable
from tests.machines import bodied
from tests.machines.computer import Computer
from tests.machines.neighbourhood import Neighbourhood
from tests.machines.parcel import FIRMWARE, SERVICE
from tests.machines.places import PARCEL
from tests.machines.test_units import BACK, OURS, wait_page
from tests.overlay.real_lab import BINARY, QUIET, Node, planet_of

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.zerotier,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]
HOME = "/var/lib/zerotier-one"
POOL = "hk=203.0.113.10-203.0.113.14"
SETTINGS = json.dumps({"settings": QUIET, "physical": {"10.99.0.0/16": {"blacklist": True}}})
"""What its owner has in local.conf already."""
UNIT = """
[Unit]
Description=ZeroTier One
After=network-online.target
[Service]
ExecStart=/usr/sbin/zerotier-one
Restart=always
KillMode=process
[Install]
WantedBy=multi-user.target
"""
INSTALL = f"""
install {PARCEL}/{{binary}} /usr/sbin/zerotier-one
ln -s zerotier-one /usr/sbin/zerotier-cli
ln -s zerotier-one /usr/sbin/zerotier-idtool
mkdir -p {HOME}
cp {PARCEL}/planet {HOME}/planet
cat >{HOME}/local.conf
printf '%s' '{UNIT}' >/etc/systemd/system/zerotier-one.service
systemctl enable --now zerotier-one
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The only root that anybody knows; it has no way to anywhere yet."""
    node = Node("root", tmp_path_factory.mktemp("root"), 2)
    try:
        yield node
    finally:
        node.close()


@pytest.fixture(scope="module", params=[12, 13], ids=["debian12", "debian13"])
def places(request: pytest.FixtureRequest, root: Node) -> Iterator[Neighbourhood]:
    planet = root.home / "planet"
    planet.write_bytes(planet_of(root))
    with Neighbourhood(request.param, (Path(str(BINARY)), planet)) as places:
        cable(root.namespace, "up0", places.hub, "root")
        places.hub.ip("addr add 192.0.2.1/24 dev root")
        root.namespace.ip(f"addr add {root.address}/24 dev up0", "route add default via 192.0.2.1")
        root.start()
        places.wait_booted()
        yield places
        root.stop()


@pytest.fixture(scope="module")
def joined(places: Neighbourhood) -> Neighbourhood:
    """Edge and host by two commands each, on a network that the edge made; web1 runs."""
    edge, host = places.edge, places.host
    for one in places.computers:
        script = INSTALL.format(binary=Path(str(BINARY)).name)
        one.run("sh", "-euc", script, stdin=SETTINGS)
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
    assert joined.host.shell(f"ls {HOME}/moons.d") == ""
