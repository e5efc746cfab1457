"""What changes under way: guests unmapped, the overlay away, others' hands on our things."""

import socket
from contextlib import closing

import pytest

from tests.kernel_host.home import (
    EDGE_MAC,
    GUEST,
    LONELY,
    NEIGHBOUR,
    PUBLIC,
    Home,
    Spoken,
    echoes,
    plane,
    read_exactly,
    rule,
)
from tests.kernel_host.overlay import lose_overlay, regain_overlay
from tests.lab.commands import wait_until
from zthook.errors import KernelError
from zthook.kernel.host import dataplane as dataplanes
from zthook.kernel.host import table as own_table
from zthook.kernel.nft import Nft

pytestmark = pytest.mark.netns
BOTH = pytest.mark.parametrize("version", [4, 6])


@BOTH
def test_no_trace_is_left(home: Home) -> None:
    before = home.footprint()
    inside, dataplane = home.inside["host"], home.dataplane()
    inside(dataplane.apply, plane(rule(GUEST), rule(NEIGHBOUR, "br0", hide=True)))
    assert home.footprint() != before
    assert inside(dataplane.apply, None) != []
    assert home.footprint() == before
    inside(dataplane.close)


@BOTH
def test_closing_leaves_the_kernel_as_it_is(home: Home, dataplane: Spoken) -> None:
    """A daemon that ends loses no packet, and the next one has nothing to do."""
    inside, ending = home.inside["host"], home.dataplane()
    inside(ending.apply, plane(rule(GUEST)))
    with home.tcp("client", PUBLIC[GUEST]) as connection:
        inside(ending.close)
        assert echoes(connection)
        assert inside(dataplane.apply, plane(rule(GUEST))) == []
        assert echoes(connection)


@BOTH
def test_unmapping_ends_the_connections_of_that_guest_alone(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST), rule(NEIGHBOUR, "br0", hide=True)))
    with (
        home.tcp("client", PUBLIC[GUEST]) as ended,
        home.tcp("client", PUBLIC[NEIGHBOUR]) as kept,
        home.tcp("host", GUEST) as own,
    ):
        assert echoes(ended)
        assert echoes(kept)
        assert echoes(own)
        inside(dataplane.apply, plane(rule(NEIGHBOUR, "br0", hide=True)))
        ended.settimeout(1)
        assert not echoes(ended)
        assert echoes(kept)
        assert echoes(own)
    assert not home.answers("client", PUBLIC[GUEST], seconds=0.5)


def test_a_crash_before_connections_were_ended_is_made_up_for(
    home: Home, dataplane: Spoken
) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, plane(rule(GUEST), rule(NEIGHBOUR, "br0", hide=True)))
    with home.tcp("client", PUBLIC[GUEST]) as connection:
        assert echoes(connection)
        for name in ("guests", "inbound", "outbound"):
            host.run("nft", f"delete element inet zthook_host {name} {{ {GUEST} }}")
        connection.settimeout(1)
        assert not echoes(connection)
        assert host.run("conntrack", "-L", "--mark", "0x8000000/0xc000000").stdout
        successor = home.dataplane()
        lines = inside(successor.apply, plane(rule(NEIGHBOUR, "br0", hide=True)))
        assert any("ended" in line for line in lines)
        assert not host.run("conntrack", "-L", "--mark", "0x8000000/0xc000000").stdout
        inside(successor.close)


def test_a_flush_before_the_last_mapping_went_is_made_up_for(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with home.tcp("client", PUBLIC[GUEST]) as connection:
        assert echoes(connection)
        host.run("nft", "flush", "ruleset")
        home.load_rules()
        assert host.run("conntrack", "-L", "--mark", "0x8000000/0xc000000").stdout
        inside(dataplane.apply, None)
        assert not host.run("conntrack", "-L", "--mark", "0x8000000/0xc000000").stdout


def test_a_flush_between_two_mappings_leaves_no_connection_of_the_first(
    home: Home, dataplane: Spoken
) -> None:
    """The second comes after this very process saw that nothing of ours was left."""
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, None)
    inside(dataplane.apply, plane(rule(GUEST)))
    with home.tcp("client", PUBLIC[GUEST]) as connection:
        assert echoes(connection)
        host.run("nft", "flush", "ruleset")
        home.load_rules()
        lines = inside(dataplane.apply, plane(rule(NEIGHBOUR, "br0", hide=True)))
        assert any("ended" in line for line in lines)
        assert not host.run("conntrack", "-L", "--mark", "0x8000000/0xc000000").stdout


def test_what_is_marked_while_the_table_goes_is_ended_too(
    home: Home, dataplane: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    remove = own_table.remove

    def marking(nft: Nft) -> None:
        host.run("conntrack", "-U", "-p", "tcp", "--orig-dst", GUEST, "--mark", "0x4000000")
        assert host.run("conntrack", "-L", "--mark", "0x4000000/0xc000000").stdout
        remove(nft)

    monkeypatch.setattr(own_table, "remove", marking)
    with home.tcp("host", GUEST) as own:
        assert echoes(own)
        inside(dataplane.apply, None)
        assert not host.run("conntrack", "-L", "--mark", "0x4000000/0xc000000").stdout


@pytest.mark.parametrize(
    ("name", "cleared"),
    [("forgive_marked", False), ("end_others", False), ("end_untranslated", True)],
)
def test_a_fault_while_connections_are_looked_at_is_made_up_for(
    home: Home, dataplane: Spoken, monkeypatch: pytest.MonkeyPatch, name: str, *, cleared: bool
) -> None:
    """``cleared``: this very process saw that nothing of ours was left."""
    inside = home.inside["host"]
    if cleared:
        inside(dataplane.apply, None)
    look, looks = getattr(dataplanes, name), 0

    def looked(*some: object) -> object:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise KernelError("planted")
        return look(*some)

    monkeypatch.setattr(dataplanes, name, looked)
    with pytest.raises(KernelError, match="planted"):
        inside(dataplane.apply, plane(rule(GUEST)))
    inside(dataplane.apply, plane(rule(GUEST)))
    assert looks > 1
    before = looks
    inside(dataplane.apply, plane(rule(GUEST)))
    assert looks == before


@BOTH
def test_connections_live_through_the_loss_of_the_overlay(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with home.tcp("client", PUBLIC[GUEST]) as connection, closing(home.leak()) as leak:
        assert echoes(connection)
        lose_overlay(home)
        try:
            assert inside(dataplane.drifted)
            inside(dataplane.apply, plane(rule(GUEST)))
        finally:
            regain_overlay(home)
        assert inside(dataplane.drifted)
        lines = inside(dataplane.apply, plane(rule(GUEST)))
        assert any("rp_filter" in line for line in lines)
        assert any("route" in line for line in lines)
        connection.settimeout(10)
        assert echoes(connection)
        assert home.reaches(GUEST)
        assert leak.packets() == []


@BOTH
def test_without_the_overlay_answers_go_nowhere(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with (
        home.open("guest", socket.SOCK_DGRAM) as speaker,
        home.open("client", socket.SOCK_DGRAM) as client,
        closing(home.leak()) as leak,
    ):
        speaker.bind(home.at(GUEST, 9000))
        client.sendto(b"hello", home.at(PUBLIC[GUEST], 9000))
        _, peer = speaker.recvfrom(10)
        lose_overlay(home)
        try:
            speaker.sendto(b"nobody has noticed yet", peer)
            inside(dataplane.apply, plane(rule(GUEST)))
            speaker.sendto(b"everybody knows", peer)
            # What comes after them on the same way shows that they would have been seen.
            assert home.answers("guest", "192.0.2.1")
            assert {destination for _, destination in leak.packets()} == {"192.0.2.1"}
        finally:
            regain_overlay(home)
        inside(dataplane.apply, plane(rule(GUEST)))
        speaker.sendto(b"back again", peer)
        assert client.recv(20) == b"back again"


@BOTH
def test_without_its_policy_rule_no_answer_leaves_by_the_home_line(
    home: Home, dataplane: Spoken
) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    with home.udp("client", PUBLIC[GUEST]) as one, closing(home.leak()) as leak:
        assert echoes(one)
        home.ip("host", "rule del preference 12300")
        one.settimeout(0.5)
        assert not echoes(one)
        assert leak.packets() == []
        assert inside(dataplane.drifted)
        inside(dataplane.apply, plane(rule(GUEST)))
        one.settimeout(3)
        one.send(b"again")
        assert one.recv(10) == b"again"


def test_what_was_changed_by_hand_is_put_right(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    desired = plane(rule(GUEST))
    inside(dataplane.apply, desired)
    right = home.footprint()
    for command in (
        "nft delete table inet zthook_host",
        "nft flush chain inet zthook_host forward",
        "nft insert rule inet zthook_host mark_arriving accept",
        "nft add element inet zthook_host guests { 10.20.0.1 }",
        "nft add chain inet zthook_host another",
        "ip route flush table 12300",
        "ip route add default dev wan0 table 12300 metric 5 proto 123",
        "ip rule add fwmark 0x8000000/0xc000000 lookup 12301 preference 12000 protocol 123",
    ):
        host.run(*command.split())
        assert inside(dataplane.drifted), command
        assert inside(dataplane.apply, desired), command
        assert home.footprint() == right, command
        assert not inside(dataplane.drifted), command


def test_traffic_goes_on_counting_in_a_table_made_anew(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    assert home.reaches(GUEST)
    before = inside(dataplane.traffic)
    home.spaces["host"].run("nft", "flush chain inet zthook_host hide_client")
    inside(dataplane.apply, plane(rule(GUEST)))
    [after] = inside(dataplane.traffic).values()
    assert after.bytes_in >= next(iter(before.values())).bytes_in > 0


def test_the_settings_it_needs_are_set_again(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    inside(dataplane.apply, plane(rule(GUEST)))
    host.sysctl(ipv4__conf__zt0__rp_filter=1)
    assert inside(dataplane.drifted)
    assert inside(dataplane.apply, plane(rule(GUEST))) == ["net.ipv4.conf.zt0.rp_filter set to 2"]
    assert home.reaches(GUEST)


def test_forwarding_that_was_off_is_on_for_mappings_alone(home: Home, dataplane: Spoken) -> None:
    inside, host = home.inside["host"], home.spaces["host"]
    home.spaces["router"].ip("route add 192.168.193.0/24 via 10.20.0.2")
    host.sysctl(ipv4__ip_forward=0)
    try:
        inside(dataplane.apply, plane(rule(GUEST)))
        assert home.reaches(GUEST)
        assert not home.answers("member", "10.20.0.1", seconds=0.5)
        assert home.answers("guest", "192.168.193.5")
        successor = home.dataplane()
        assert inside(successor.apply, plane(rule(GUEST))) == []
        assert not home.answers("member", "10.20.0.1", seconds=0.5)
        host.run("nft", "flush", "ruleset")
        assert inside(successor.apply, plane(rule(GUEST)))
        assert not home.answers("member", "10.20.0.1", seconds=0.5)
        inside(successor.close)
    finally:
        host.run("nft", "flush", "ruleset")
        home.load_rules()
        host.sysctl(ipv4__ip_forward=1)
        home.spaces["router"].ip("route del 192.168.193.0/24")


def test_a_device_name_that_would_be_code_is_refused(home: Home, dataplane: Spoken) -> None:
    inside = home.inside["host"]
    with pytest.raises(KernelError, match="no name"):
        inside(dataplane.apply, plane(rule(GUEST, 'x" }; flush', hide=True)))
    assert inside(dataplane.drifted)
    assert LONELY not in home.footprint()
    assert EDGE_MAC not in home.footprint()


def test_what_went_by_unseen_while_the_ruleset_was_away_is_forgiven(
    home: Home, dataplane: Spoken
) -> None:
    """The guest acknowledges more than the kernel, looking anew, saw the client send."""
    home.inside["host"](dataplane.apply, plane(rule(GUEST)))
    client, guest = home.spaces["client"], home.spaces["guest"]
    with home.tcp("client", PUBLIC[GUEST]) as one:
        assert echoes(one)
        client.run("nft", DEAF.format(chain="input", which=f"ip saddr {PUBLIC[GUEST]}"))
        for _ in range(3):
            one.send(b"x" * 1000)
        wait_until(lambda: retransmitted(one) > 1, 10, "the client repeats itself")
        guest.run("nft", DEAF.format(chain="output", which=""))
        home.spaces["host"].run("nft", "flush", "ruleset")
        home.load_rules()
        home.inside["host"](dataplane.apply, plane(rule(GUEST)))
        before = retransmitted(one)
        wait_until(lambda: retransmitted(one) > before, 20, "of the client something is seen")
        for place in (client, guest):
            place.run("nft", "delete", "table", "ip", "deaf")
        one.settimeout(20)
        assert read_exactly(one, 3000) == b"x" * 3000


DEAF = "table ip deaf {{ chain {chain} {{ type filter hook {chain} priority 0; {which} drop; }}; }}"


def retransmitted(one: socket.socket) -> int:
    """How often in a row (tcpi_retransmits of linux/tcp.h)."""
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[2]
