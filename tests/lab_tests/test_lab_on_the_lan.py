"""A home with a gateway to the overlay on its LAN, macvtap guests, and Docker on a machine."""

from collections.abc import Iterator

import pytest

from tests.lab import Host, Lab
from tests.lab.docker import start_docker, stop_docker
from tests.lab.topology import CLIENT, EDGE_ON_OVERLAY

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(hosts=["home1"], behind_gateway=["home1"]) as lab:
        lab.client.serve()
        lab.edge.serve()
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    lab["home1"].libvirtd.start()
    return lab["home1"]


def test_the_host_reaches_the_edge_as_its_gateway_and_the_internet_by_its_line(
    lab: Lab, host: Host
) -> None:
    assert "overlay0" not in host.run("ip", "link").stdout
    assert host.page(EDGE_ON_OVERLAY).saw == host.overlay_address
    assert host.page(CLIENT).saw == host.line.outer
    assert lab.gateways["home1"].page(CLIENT).saw == host.line.outer


def test_what_a_gateway_may_lack(lab: Lab, host: Host) -> None:
    gateway = lab.gateways["home1"]
    lab.edge.ip(f"route add {host.home.host} via {host.overlay_address}")
    assert lab.edge.ping(str(host.home.host))
    gateway.masquerade(on=False)
    assert host.page(EDGE_ON_OVERLAY).saw == host.overlay_address
    gateway.forward(on=False)
    assert not lab.edge.ping(str(host.home.host))
    gateway.forward(on=True)
    gateway.masquerade(on=True)
    gateway.learn_route("192.168.61.0/24")
    host.ip("addr add 192.168.61.1/32 dev lo")
    assert gateway.ping("192.168.61.1")


def test_a_macvtap_guest_reaches_all_but_its_host(lab: Lab, host: Host) -> None:
    host.keep_tap_nodes()
    guest = host.stand_in(
        "tap1",
        macvtap=True,
        address=f"{host.home.lan[50]}/24",
        gateway=str(host.home.router),
    )
    guest.boot()
    assert 'type="direct"' in guest.virsh("dumpxml").stdout.replace("'", '"')
    assert guest.fetch(CLIENT).saw == host.line.outer
    assert lab.gateways["home1"].page(guest.address).name == "tap1"
    assert not host.reaches(guest.address)
    assert host.page(CLIENT).saw == host.line.outer
    guest.destroy()
    host.line.set_alone(on=False)


def test_beside_docker_nothing_is_forwarded_that_has_no_rule_of_its_own(
    lab: Lab, host: Host
) -> None:
    guest = host.stand_in("web1")
    guest.boot()
    before = host.run("iptables-save").stdout
    start_docker(host)
    assert "-P FORWARD DROP" in host.run("iptables", "-S", "FORWARD").stdout
    assert guest.fetch(CLIENT).saw == host.line.outer, "libvirt has rules of its own"
    stop_docker(host)
    after = host.run("iptables-save").stdout
    for text in ("DROP", "DOCKER"):
        assert after.count(text) == before.count(text)
    guest.destroy()
