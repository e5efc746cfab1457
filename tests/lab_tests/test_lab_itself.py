"""The lab's network is what it says: packets go where they should."""

import signal
import sys

import pytest

from tests.lab import Lab, LabError, TooLate
from tests.lab.topology import CLIENT

pytestmark = pytest.mark.netns


def test_client_reaches_the_edge_and_not_a_host(lab: Lab) -> None:
    assert lab.client.ping("203.0.113.2")
    assert not lab.client.ping("192.168.193.2")


def test_hosts_and_edge_share_the_overlay_at_its_mtu(lab: Lab) -> None:
    assert lab.edge.ping("192.168.193.2")
    assert lab["home1"].ping("192.168.193.3")
    assert "mtu 2800" in lab["home1"].run("ip", "link", "show", "overlay0").stdout


def test_a_host_goes_out_by_its_own_line(lab: Lab) -> None:
    service = lab.client.serve()
    try:
        seen = {name: host.page(CLIENT).saw for name, host in lab.hosts.items()}
    finally:
        service.kill()
    assert seen == {name: host.line.outer for name, host in lab.hosts.items()}
    assert len({*seen.values(), "203.0.113.2"}) == 3


def test_a_line_redials_under_another_address(lab: Lab) -> None:
    line = lab["home1"].line
    before = line.outer
    service = lab.client.serve()
    try:
        line.cut()
        assert not lab["home1"].reaches(CLIENT)
        after = line.redial()
        assert lab["home1"].page(CLIENT).saw == after != before
    finally:
        service.kill()


def test_new_devices_have_strict_reverse_path_filters(lab: Lab) -> None:
    for machine in (lab.edge, lab["home1"]):
        setting = machine.run("cat", "/proc/sys/net/ipv4/conf/overlay0/rp_filter").stdout
        assert setting.strip() == "1"


def test_a_configured_address_answers_and_outlives_a_reboot(lab: Lab) -> None:
    assert not lab.client.ping("203.0.113.200")
    lab.edge.configure_address("203.0.113.200")
    # Longer than a second: the router has just asked in vain who has it.
    assert lab.client.ping("203.0.113.200", timeout=4)
    lab.edge.run("nft", "add", "table", "inet", "trial")
    lab.edge.reboot()
    assert lab.client.ping("203.0.113.200")
    assert lab.edge.run("nft", "list", "ruleset").stdout == ""


def test_the_provider_routes_to_the_edge(lab: Lab) -> None:
    lab.internet.route_to_edge("198.51.100.128/25")
    lab.edge.configure_address("198.51.100.130")
    assert lab.client.namespace.run("ip", "route", "get", "198.51.100.130")
    lab.client.ip("route add 198.51.100.128/25 via 198.51.100.1")
    assert lab.client.ping("198.51.100.130")


def test_the_provider_translates_one_to_one(lab: Lab) -> None:
    lab.internet.translate("203.0.113.150", "10.9.0.1")
    lab.edge.configure_address("10.9.0.1")
    service = lab.edge.serve()
    try:
        assert lab.client.page("203.0.113.150").name == "edge"
    finally:
        service.kill()


def test_strangers_on_uplink_and_overlay(lab: Lab) -> None:
    neighbour, member = lab.add_neighbour(), lab.add_member()
    assert neighbour.ping("203.0.113.2")
    assert neighbour.ping(CLIENT)
    assert member.ping("192.168.193.222")
    assert not member.ping("203.0.113.2")


def test_readiness_is_heard_and_failure_told(lab: Lab) -> None:
    ready = (
        "import socket, os, time; link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        "link.connect(os.environ['NOTIFY_SOCKET']); link.send(b'READY=1'); time.sleep(60)"
    )
    process = lab.client.start("ready", sys.executable, "-c", ready, notify=True)
    process.wait_notified()
    with pytest.raises(TooLate, match="RELOADING"):
        process.wait_notified("RELOADING=1", 0.1)
    assert process.stop() == -signal.SIGTERM
    broken = lab.client.start("broken", "sh", "-c", "echo no luck; exit 3", notify=True)
    with pytest.raises(LabError, match=r"ended with 3(?s:.)*no luck"):
        broken.wait_notified()


def test_a_process_that_will_not_end_is_told_and_killed(lab: Lab) -> None:
    deaf = "trap '' TERM; echo deaf; while true; do sleep 1; done"
    process = lab.client.start("deaf", "sh", "-c", deaf)
    process.wait_logged("deaf")
    with pytest.raises(LabError, match="did not end"):
        process.stop(0.2)
    assert not process.running
