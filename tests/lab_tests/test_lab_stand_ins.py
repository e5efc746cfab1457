"""Domains of libvirt whose packets a namespace sends, and the pulse that measures pauses."""

from collections.abc import Iterator

import pytest

from tests.lab import Host, Lab, Pulse, StandIn
from tests.lab.topology import CLIENT

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def guest(home1: Host) -> Iterator[StandIn]:
    guest = home1.stand_in("stand1", ports="tcp/2000,udp/27000-27003")
    guest.boot()
    yield guest
    guest.destroy()


def test_libvirt_sees_a_guest_that_runs_and_has_a_lease(home1: Host, guest: StandIn) -> None:
    assert guest.state() == "running"
    guest.wait_lease(guest.address)
    assert home1.page(guest.address).name == "stand1"


def test_its_ports_and_its_log(home1: Host, guest: StandIn) -> None:
    assert home1.page(guest.address, 2000).on == 2000
    assert home1.udp_page(guest.address, 27003).on == 27003
    assert home1.http(guest.address, path="/log").splitlines()[-1].endswith("on 80")


def test_what_it_begins(lab: Lab, home1: Host, guest: StandIn) -> None:
    service = lab.client.serve()
    try:
        assert guest.fetch(CLIENT).saw == guest.ask(CLIENT).saw == home1.line.outer
        assert guest.pings(CLIENT)
    finally:
        service.kill()


def test_stopped_it_is_silent_and_started_again_it_is_the_same(home1: Host, guest: StandIn) -> None:
    before = guest.address
    guest.destroy()
    assert not home1.reaches(before)
    assert guest.boot() == before
    assert home1.reaches(before)


@pytest.mark.parametrize("kind", ["udp", "icmp", "tcp", "download"])
def test_a_pulse_finds_a_pause_and_what_is_lost_in_it(
    home1: Host, guest: StandIn, kind: str
) -> None:
    with Pulse(home1, kind, guest.address) as pulse:
        pulse.wait_moves()
        guest.body.ip("link set eth0 down")
        guest.body.run("sleep", "0.3")
        guest.body.ip("link set eth0 up", "route replace default via 192.168.122.1")
        pulse.wait_moves()
        beat = pulse.stop()
    assert beat.broke == ""
    assert 300 <= beat.gap_ms < 3000
    assert (beat.lost >= 20) == (kind in {"udp", "icmp"})
