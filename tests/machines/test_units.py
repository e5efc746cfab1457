"""install.sh and the units on whole machines: Debian's kernel, systemd, libvirt, a reboot.

In the order of a machine's life. Run by hand: `./install.sh test --all tests/machines -s`, which
takes half an hour for each release and 4 GB below build/.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.commands import wait_until
from tests.lab.daemons import JOIN
from tests.lab.machine import Unreached
from tests.machines import bodied
from tests.machines.bodied import PUBLIC
from tests.machines.computer import Computer
from tests.machines.neighbourhood import Neighbourhood
from tests.machines.parcel import FIRMWARE, SERVICE

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(3600)]

UNITS = {
    "edge": ("zthook-edge-rules.service", "zthook-edge.service"),
    "home1": ("zthook-agent.socket", "zthook-agent.service"),
}
WEAKEST = {"zthook-edge.service": 3.5, "zthook-agent.service": 3.2}
"""The score that `systemd-analyze security` may give at most; 10 is no sandbox at all."""
BACK = 300.0
"""Deadline for packets to come through, on machines that are emulated."""

BODY = bodied.body(SERVICE)
# The parcel is read-only, and packages that came with zthook stay.
OURS = "find / /run /tmp -xdev -path /var/log -prune -o -iname '*zthook*' -print"
KERNEL = (
    "nft list tables; ip rule show protocol 123; ip route show table all proto 123;"
    " nft list ruleset | grep zthook || true"
)


@pytest.fixture(scope="module", params=[12, 13], ids=["debian12", "debian13"])
def places(request: pytest.FixtureRequest) -> Iterator[Neighbourhood]:
    with Neighbourhood(request.param) as places:
        places.wait_booted()
        yield places


def on_both(places: Neighbourhood, work: Callable[[Computer], object]) -> None:
    """At once, as each takes its time."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(work, places.computers))


@pytest.fixture(scope="module")
def installed(places: Neighbourhood) -> Neighbourhood:
    """An edge and a host that joined, as README.md has it; web1 is mapped and runs."""
    edge, host = places.edge, places.host
    on_both(places, lambda one: one.install("edge" if one is edge else "host"))
    init = "--interface overlay0 --uplink uplink0 --pool hk=203.0.113.10-203.0.113.14"
    edge.run("zthook", "edge", "init", *init.split())
    edge.run("systemctl", "start", "zthook-edge")
    token = JOIN.search(edge.run("zthook", "edge", "host", "add", "home1").stdout)
    assert token is not None
    host.run("zthook", "join", token[1])
    host.shell("virsh net-autostart default; virsh net-start default || virsh net-info default")
    host.run("virsh", "define", "/dev/stdin", stdin=bodied.guest(FIRMWARE).xml())
    host.run("virsh", "autostart", "web1")
    host.run("virsh", "start", "web1")
    host.shell(BODY)
    return places


def wait_page(places: Neighbourhood) -> None:
    """Return once the guest's page is there for a client of the internet."""

    def name() -> str:
        try:
            return places.client.page(PUBLIC).name
        except Unreached:
            return ""

    wait_until(lambda: name() == "web1", BACK, lambda: f"web1 answers; {told(places)}")


def told(places: Neighbourhood) -> str:
    edge = places.edge.run("zthook", "edge", "mappings", check=False)
    host = places.host.run("zthook", "status", check=False)
    return "\n".join([edge.stdout, edge.stderr, host.stdout, host.stderr])


def states(computer: Computer) -> dict[str, str]:
    """Unit → what systemd says of it."""
    units = UNITS[computer.name]
    said = computer.run("systemctl", "is-active", *units, check=False).stdout.split()
    return dict(zip(units, said, strict=True))


def all_active(places: Neighbourhood) -> None:
    for computer in places.computers:
        assert set(states(computer).values()) == {"active"}, states(computer)
        failed = computer.run("systemctl", "--failed", "--no-legend", "--plain").stdout
        assert "zthook" not in failed


def test_the_guest_is_reached_and_every_unit_is_active(installed: Neighbourhood) -> None:
    wait_page(installed)
    all_active(installed)


@pytest.mark.parametrize("unit", WEAKEST)
def test_systemd_reckons_the_sandbox(installed: Neighbourhood, unit: str) -> None:
    computer = installed.edge if unit == "zthook-edge.service" else installed.host
    said = computer.run("systemd-analyze", "security", "--no-pager", unit).stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said
    print(f"{unit}: {found[1]}")
    assert float(found[1]) <= WEAKEST[unit]


def test_what_a_daemon_needs_its_sandbox_lets_it_do(installed: Neighbourhood) -> None:
    """No denial, no fault of its own in the journal."""
    for computer in installed.computers:
        words = ("journalctl", "-b", "--no-pager", "-p", "err", "-u", "zthook-*")
        assert "-- No entries --" in computer.run(*words).stdout


def test_after_a_reboot_every_unit_is_active_and_the_guest_is_reached(
    installed: Neighbourhood,
) -> None:
    on_both(installed, Computer.reboot)
    installed.host.shell(BODY)
    wait_page(installed)
    all_active(installed)


def test_uninstalled_and_purged_nothing_of_it_is_left(installed: Neighbourhood) -> None:
    """The last one: the host first, so that it can tell its edge."""
    for computer in (installed.host, installed.edge):
        computer.install("uninstall", "--purge")
        assert computer.shell(OURS) == ""
        assert "zthook" not in computer.shell(KERNEL)
        listed = computer.run("systemctl", "list-unit-files", "zthook*", check=False).stdout
        assert "0 unit files" in listed
    with pytest.raises(Unreached):
        installed.client.page(PUBLIC, timeout=2)
