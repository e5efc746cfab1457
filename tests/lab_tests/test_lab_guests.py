"""Real guests under real libvirtds."""

import pytest

from tests.lab import Host, Lab, LabError, Pulse, wait_until
from tests.lab.domain import Interface
from tests.lab.topology import CLIENT
from tests.lab_tests.by_hand import PUBLIC, mapped_by_hand

pytestmark = pytest.mark.lab


@pytest.mark.long  # what tests of guests do all the time
def test_two_hosts_two_guests(lab: Lab, home1: Host, home2: Host) -> None:
    one, two = home1.define_guest("web1"), home2.define_guest("web2")
    one.start()
    two.start()
    for guest, network in ((one, "192.168.122."), (two, "192.168.123.")):
        guest.wait_lease(guest.wait_ready())
        assert guest.address.startswith(network)
        assert guest.host.page(guest.address).name == guest.name
    service = lab.client.serve()
    assert one.fetch(CLIENT).saw == home1.line.outer
    service.kill()

    with mapped_by_hand(lab, home1, one.address):
        assert lab.client.page(PUBLIC).name == "web1"
        assert lab.client.udp_echo(PUBLIC) == "hello"
        with lab.client.stream(PUBLIC) as stream:
            stream.wait_moves()
            home1.libvirtd.restart()
            stream.wait_moves(4096)
            assert stream.stop() > 0
    assert not lab.client.reaches(PUBLIC)
    one.destroy()
    two.destroy()


def test_a_guest_moves_to_other_addresses(home1: Host) -> None:
    guest = home1.define_guest("web3", address="192.168.122.33/24", gateway="192.168.122.1")
    assert guest.boot() == "192.168.122.33"
    guest.renumber("192.168.122.34/24", "192.168.122.1")
    assert home1.page("192.168.122.34").name == "web3"
    assert guest.lease() == ""
    home1.fix_lease(guest.mac, "192.168.122.35")
    guest.ask_dhcp("192.168.122.35")
    guest.wait_lease("192.168.122.35")
    guest.shutdown()
    assert guest.state() == "shut off"


@pytest.mark.long  # what tests of guests do all the time
def test_reboot_save_and_restore(home1: Host) -> None:
    guest = home1.define_guest("web4")
    guest.boot()
    guest.virsh("managedsave")
    assert guest.state() == "shut off"
    guest.virsh("start")
    guest.wait_reachable()
    assert home1.page(guest.address).name == "web4"
    guest.reboot()
    guest.wait_ready()
    assert home1.page(guest.address).name == "web4"
    guest.destroy()


def test_a_guest_on_the_home_lan(lab: Lab, home2: Host) -> None:
    home2.bridge_line()
    assert home2.ping("203.0.113.2")
    address, gateway = f"{home2.home.lan[50]}/24", str(home2.home.router)
    guest = home2.define_guest("lan1", bridge="br0", address=address, gateway=gateway)
    guest.boot()
    assert home2.page(guest.address).saw == str(home2.home.host)
    service = lab.client.serve()
    assert guest.fetch(CLIENT).saw == home2.line.outer
    service.kill()
    guest.destroy()


def test_a_hook_is_called_with_the_guest_and_its_log_kept(home2: Host) -> None:
    calls = home2.folder / "hook-calls"
    hooks = home2.place("/etc/libvirt") / "hooks" / "qemu.d"
    trial = hooks / "a-trial"
    trial.write_text(f'#!/bin/sh\necho "$@" >>{calls}\nlogger "hook of $1: $2"\n')
    trial.chmod(0o755)
    home2.libvirtd.restart()
    guest = home2.define_guest("hooked")
    guest.start()
    guest.destroy()
    trial.unlink()
    seen = [line.split()[:3] for line in calls.read_text().splitlines()]
    starts = [call[1] for call in seen if call[0] == "hooked"]
    assert starts == ["prepare", "start", "started", "stopped", "release"]
    assert "hook of hooked: prepare" in home2.syslog.text()
    assert (hooks / "zthook").read_text().count(str(home2.agent.hook_socket)) == 1


def test_libvirtd_hangs_dies_and_returns(home1: Host) -> None:
    home1.libvirtd.hang()
    with pytest.raises(LabError, match="did not end within"):
        home1.run("virsh", "-q", "list", timeout=0.5)
    home1.libvirtd.resume()
    assert "default" in home1.virsh("net-list", "--name")
    home1.libvirtd.kill()
    assert home1.run("virsh", "-q", "list", check=False).returncode == 1
    home1.libvirtd.start()
    assert "default" in home1.virsh("net-list", "--name")


@pytest.mark.long  # what tests of guests do all the time
def test_a_guest_migrates_between_hosts_of_one_guest_network() -> None:
    """By its second interface, on a network that both share, its own pause can be measured."""
    with Lab(same_guest_network=True) as lab:
        bystander = lab.join_hosts()
        for host in lab.hosts.values():
            host.libvirtd.start()
        shared = Interface("52:54:00:77:00:09", "shared0", "bridge")
        guest = lab["home1"].define_guest("mover", second=shared, second_address="10.77.0.9/24")
        guest.boot()
        with Pulse(bystander, "icmp", "10.77.0.9") as pulse:
            pulse.wait_moves()
            guest.migrate(lab["home2"])
            pulse.wait_moves()
            beat = pulse.stop()
        print(f"its own pause: {beat}")
        assert beat.broke == ""
        assert lab["home1"].virsh("list", "--name") == ""
        assert guest.state() == "running"
        assert guest.host is lab["home2"]
        wait_until(lambda: lab["home2"].reaches(guest.address), 20, "home2 reaches mover")
        assert lab["home2"].page(guest.address).name == "mover"
