"""Docker comes to a host or an edge, whose FORWARD policy it sets to DROP, and goes again."""

import pytest

from tests.end_to_end.mapped import boot, seen_by, wait_active
from tests.end_to_end.seen import Stopwatch
from tests.lab.commands import wait_until
from tests.lab.docker import start_docker, stop_docker
from tests.lab.domain import address, publish
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT

pytestmark = pytest.mark.lab

PUBLICS = ("203.0.113.10",)
PROMISED = 2.0


@pytest.fixture(scope="module")
def web1(home: Lab) -> StandIn:
    guest = home["home1"].stand_in("web1", annotation=publish(*map(address, PUBLICS)))
    boot(guest)
    wait_active(guest, *PUBLICS)
    return guest


@pytest.mark.parametrize("places", [["home1"], ["edge"], ["edge", "home1"]], ids="+".join)
def test_it_comes_and_goes_and_guests_are_reached_within_two_seconds(
    home: Lab, web1: StandIn, places: list[str]
) -> None:
    machines = [{"edge": home.edge, **home.hosts}[place] for place in places]
    with home.client.stream(PUBLICS[0]) as stream:
        stream.wait_moves()
        for what, change in (("came", start_docker), ("is gone", stop_docker)):
            for machine in machines:
                change(machine)
            wait_reached(home, f"Docker {what} until guests are reached")
            for public in PUBLICS:
                assert seen_by("web1", home.client, public) == CLIENT
            stream.wait_moves()
        assert stream.stop()


def wait_reached(lab: Lab, what: str) -> None:
    """New connections come about, in time."""
    watch = Stopwatch()
    wait_until(lambda: all(lab.client.reaches(one, timeout=0.3) for one in PUBLICS), 10, what)
    assert watch.tell(what) < PROMISED
