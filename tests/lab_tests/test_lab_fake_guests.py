"""Guests without a hypervisor: they serve, behind libvirt's firewall rules."""

import pytest

from tests.lab import FakeGuest, Lab, Unreached
from tests.lab.topology import CLIENT
from tests.lab_tests.by_hand import PUBLIC, mapped_by_hand

pytestmark = pytest.mark.netns


@pytest.fixture(scope="module")
def guest(lab: Lab) -> FakeGuest:
    return lab["home1"].fake_guest("fake1")


def test_its_services(lab: Lab, guest: FakeGuest) -> None:
    host = lab["home1"]
    page = host.page(guest.address)
    assert (page.name, page.saw) == ("fake1", "192.168.122.1")
    assert host.page(guest.address, 8080).name == "fake1"
    assert host.udp_echo(guest.address, text="there") == "there"
    assert len(host.http(guest.address, path="/bytes?100000")) == 100_000
    sent = host.http(guest.address, path="/sink", method="PUT", count=100_000)
    assert sent.strip() == "100000 ok"


def test_it_is_behind_the_firewall_of_libvirt(lab: Lab, guest: FakeGuest) -> None:
    lab.edge.ip(f"route add {guest.address}/32 via 192.168.193.2 proto static")
    with pytest.raises(Unreached) as error:
        lab.edge.tcp_connect(guest.address, 80)
    lab.edge.ip("route flush proto static")
    assert error.value.kind == "refused"


def test_it_goes_out_by_the_home_line(lab: Lab, guest: FakeGuest) -> None:
    service = lab.client.serve()
    try:
        assert guest.page(CLIENT).saw == lab["home1"].line.outer
    finally:
        service.kill()


def test_a_mapping_by_hand(lab: Lab, guest: FakeGuest) -> None:
    with mapped_by_hand(lab, lab["home1"], guest.address):
        page = lab.client.page(PUBLIC, source=(CLIENT, 40_001))
    assert (page.name, page.saw) == ("fake1", "192.168.193.222")


def test_a_stream_stops_whole_or_says_how_it_broke(lab: Lab, guest: FakeGuest) -> None:
    with lab["home1"].stream(guest.address) as stream:
        stream.wait_moves(100_000)
        assert stream.stop() >= 100_000
    with lab["home1"].stream(guest.address, timeout=1) as stream:
        stream.wait_moves()
        guest.ip("link set eth0 down")
        assert stream.wait_broken() == "timeout"
    guest.ip("link set eth0 up", "route replace default via 192.168.122.1")


def test_it_takes_another_address(lab: Lab, guest: FakeGuest) -> None:
    guest.renumber("192.168.122.77/24", "192.168.122.1")
    assert lab["home1"].page("192.168.122.77").name == "fake1"
