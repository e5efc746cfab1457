"""What others do to the kernel is noticed, and mended by the next pass."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.kernel.driver import CONFIGURED, ON_LINK, PLANE, ROUTED, Edge, both
from tests.kernel.questions import SILENCE, connection, echoes, eventually, reaches, silent
from tests.kernel.shown import settled
from tests.kernel.topology import Topology
from zthook.errors import KernelError
from zthook.kernel.edge.boot import drop_rules
from zthook.kernel.edge.dataplane import KernelEdgeDataplane
from zthook.kernel.nft import Nft
from zthook.model.mappings import EdgePlane

pytestmark = pytest.mark.netns

DAMAGE = {
    "ruleset flushed": "nft flush ruleset",
    "table deleted": "nft delete table inet zthook",
    "chain emptied": "nft flush chain inet zthook to_guests",
    "rule added": "nft insert rule inet zthook to_guests counter accept",
    "rule deleted": "nft delete rule inet zthook forward handle HANDLE",
    "mapping deleted": "nft delete element inet zthook inward { 203.0.113.30 }",
    "mapping bent": "nft add element inet zthook arriving { 203.0.113.30 . 10.0.0.1 }",
    "mapping invented": "nft add element inet zthook inward { 203.0.113.31 : 192.168.122.50 }",
    "uplinks emptied": "nft flush set inet zthook uplinks",
    "pool bent": "nft add element inet zthook pool { 10.0.0.0/8 }",
    "route deleted": "ip route del 192.168.122.50",
    "route of the address deleted": "ip route del 203.0.113.30",
    "route bent": "ip route replace 192.168.122.50 via 192.168.193.3 proto 123",
    "route invented": "ip route add 192.168.122.99 via 192.168.193.3 proto 123",
    "host asked for": "ip neigh replace 192.168.193.2 lladdr 02:00:00:00:00:66 dev zt0 nud stale",
    "host invented": "ip neigh add 192.168.193.9 lladdr 02:00:00:00:00:09 dev zt0 protocol 123",
    "forwarding off": "sysctl -qw net.ipv4.conf.zt0.forwarding=0",
    "forwarding off everywhere": "sysctl -qw net.ipv4.conf.eth0.forwarding=0",
    "forwarding on for everybody": "sysctl -qw net.ipv4.ip_forward=1",
    "strict filter": "sysctl -qw net.ipv4.conf.zt0.rp_filter=1",
    "overlay down": "ip link set zt0 down",
}


def first_forward_rule(edge: Edge) -> str:
    listed = edge.inside.run("nft -a list chain inet zthook forward")
    return next(line for line in listed.splitlines() if "vmap" in line).rpartition(" ")[2]


def test_who_asks_for_a_neighbour_while_it_looks_is_told_of_that_one(edge: Edge) -> None:
    """In another thread: a host's heartbeat does not wait for a look at everything."""
    some = [edge.mapping(ON_LINK), edge.mapping(CONFIGURED, home=2)]
    edge.apply(*some)
    more = edge.mapping(ROUTED, private="192.168.122.51")
    planes = [edge.plane, replace(edge.plane, forwardings=frozenset((*some, more)))]

    def both(dataplane: KernelEdgeDataplane) -> Counter[tuple[str | None, ...]]:
        told = Counter[tuple[str | None, ...]]()
        with ThreadPoolExecutor(1) as aside:
            looks = aside.submit(lambda: [dataplane.apply(planes[n % 2]) for n in range(30)])
            while not looks.done():
                told[tuple(dataplane.mac_of(one.next_hop) for one in some)] += 1
            looks.result()
        return told

    told = edge.ask(both)
    assert told.keys() == {(edge.macs[1], edge.macs[2])}
    assert told.total() > 30


@pytest.mark.parametrize("command", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_noticed_and_mended(top: Topology, edge: Edge, command: str) -> None:
    edge.apply(edge.mapping(ON_LINK), edge.mapping(CONFIGURED, hide=True))
    edge.change(withdraw=[edge.mapping(CONFIGURED, hide=True)])
    edge.change(grant=[edge.mapping(CONFIGURED, hide=True)])
    # The first pass looks at all of it, the second one only glances.
    assert edge.apply() == edge.apply() == []
    settled = state(edge)
    assert not edge.drifted()
    edge.inside.run(command.replace("HANDLE", first_forward_rule(edge)))
    assert edge.drifted()
    assert edge.apply()
    if command == DAMAGE["overlay down"]:
        edge.inside.run("ip link set zt0 up")
        assert edge.drifted()
    assert eventually(lambda: edge.apply() == [] and not edge.drifted())
    assert edge.apply() == []
    assert eventually(lambda: reaches(top.client, ON_LINK, wait=SILENCE))
    assert reaches(top.client, CONFIGURED)
    if "ip_forward" not in command:
        assert state(edge) == settled


OTHER_FORM = """
delete table inet zthook
table inet zthook {
    set inward { type ipv4_addr; flags interval; elements = { 203.0.113.30 }; }
    map answering { type ipv4_addr : ipv4_addr; elements = { 10.0.0.1 : 10.0.0.2 }; }
    set arriving { type ether_addr; elements = { 02:00:00:00:00:01 }; }
    chain forward { type filter hook forward priority 0; policy accept; }
}
"""


def test_a_table_of_another_version_is_made_anew(top: Topology, edge: Edge) -> None:
    """Some sets are not there, and others have another form under a name of ours."""
    edge.apply(edge.mapping(ON_LINK))
    ours = state(edge)
    edge.inside.nft(OTHER_FORM)
    assert edge.drifted()
    assert edge.apply()
    assert state(edge) == ours
    assert reaches(top.client, ON_LINK)


def state(edge: Edge) -> tuple[str, ...]:
    """All of ours in the kernel, without counters, and without what the kernel counts itself."""
    return (
        settled(edge.inside.run("nft -s list table inet zthook")),
        edge.inside.run("ip route show proto 123"),
        edge.inside.run("ip neigh show proxy"),
        edge.inside.run("ip neigh show nud permanent"),
        edge.inside.run("sysctl net.ipv4.conf.eth0 net.ipv4.conf.zt0 net.ipv4.neigh.eth0"),
    )


def test_what_was_made_for_many_mappings_is_no_drift(top: Topology, edge: Edge) -> None:
    """More routes than the notifications of fit a socket's buffer."""
    places = [f"{n // 250}.{n % 250}" for n in range(1000)]
    edge.apply(*(edge.mapping(f"198.18.{n}", private=f"10.9.{n}") for n in places))
    assert not edge.drifted()
    assert edge.apply() == []


@both
def test_a_stopped_arp_answer_is_mended(top: Topology, edge: Edge) -> None:
    """The kernel tells nobody of it, so only a pass finds it."""
    edge.apply(edge.mapping(ON_LINK))
    assert edge.apply() == []
    edge.inside.run(f"ip neigh del proxy {ON_LINK} dev eth0")
    assert silent(reaches, top.client, ON_LINK)
    asked = "ARP" if top.version == 4 else "solicitations"
    assert edge.apply() == [f"answering {asked} for {edge.inside.spoken(ON_LINK)} was off: started"]
    top.router.run("ip neigh flush dev wire")
    assert reaches(top.client, ON_LINK)


def test_what_is_not_ours_stays(top: Topology, edge: Edge) -> None:
    edge.inside.run(
        "ip route add 10.1.1.0/24 via 203.0.113.1",
        "ip neigh add proxy 203.0.113.99 dev eth0",
        "nft add table inet owner",
        "sysctl -qw net.ipv4.conf.eth0.rp_filter=1",
    )
    edge.apply(edge.mapping(ON_LINK))
    edge.change(withdraw=[edge.mapping(ON_LINK)])
    assert edge.apply() == []
    assert "10.1.1.0/24" in edge.inside.run("ip route")
    assert "203.0.113.99" in edge.inside.run("ip neigh show proxy")
    assert "table inet owner" in edge.inside.run("nft list tables")
    assert edge.inside.run("sysctl -n net.ipv4.conf.eth0.rp_filter") == "1\n"
    assert edge.inside.run("sysctl -n net.ipv4.ip_forward") == "0\n"


def test_the_overlay_device_goes_and_comes_back(top: Topology, edge: Edge) -> None:
    mappings = [edge.mapping(ON_LINK), edge.mapping(ROUTED, hide=True)]
    edge.apply(*mappings)
    with connection(top.client, ON_LINK, 80) as tcp:
        assert echoes(tcp)
        address = edge.inside.run("cat /sys/class/net/zt0/address")
        edge.inside.run("ip link del zt0")
        assert edge.drifted()
        assert edge.apply() == ["the device zt0 is away: the routes of 2 mappings wait for it"]
        assert not edge.drifted()
        assert silent(reaches, top.client, ROUTED)
        top.plug_overlay(edge.inside, "192.168.193.222/24")
        edge.inside.run(f"ip link set zt0 address {address.strip()}")
        assert edge.drifted()
        repairs = edge.apply()
        assert "route 192.168.122.50/32 via 192.168.193.2 was missing: added" in repairs
        assert "net/ipv4/conf/zt0/rp_filter was 0: set to 2" in repairs
        assert eventually(lambda: echoes(tcp, wait=SILENCE)), "the connection outlives its device"
    assert reaches(top.client, ROUTED)
    assert edge.apply() == []


def test_translated_packets_go_nowhere_else_while_the_overlay_is_away(
    top: Topology, edge: Edge
) -> None:
    """The edge may have a network with the guest's private address itself."""
    lan = top.namespace("lan")
    top.cable(edge.inside, "lan0", lan, "eth0")
    edge.inside.run("sysctl -qw net.ipv4.ip_forward=1")
    edge.apply(edge.mapping(ON_LINK), edge.mapping(CONFIGURED))
    edge.inside.run("ip link del zt0", "ip addr add 192.168.122.1/24 dev lan0")
    top.address(lan, "192.168.122.50/24", "192.168.122.1")
    server = top.serve(lan, 80)
    assert edge.apply()
    assert reaches(edge.inside, "192.168.122.50")
    server.peers.clear()
    assert silent(reaches, top.client, CONFIGURED)
    assert not server.peers


@both
def test_an_address_that_becomes_configured_is_no_longer_answered_for(
    top: Topology, edge: Edge
) -> None:
    edge.apply(edge.mapping(ON_LINK))
    edge.configure(ON_LINK)
    assert edge.drifted()
    assert len(edge.apply()) == 2, "neither a route nor an ARP answer of ours is left"
    assert reaches(top.client, ON_LINK)
    edge.inside.run(f"ip addr del {ON_LINK}/32 dev eth0")
    assert edge.drifted()
    assert len(edge.apply()) == 2
    assert eventually(lambda: reaches(top.client, ON_LINK, wait=SILENCE))


@both
def test_neighbours_are_told_of_an_address_that_came(top: Topology, edge: Edge) -> None:
    """The router believes that another machine has it, as after a move to this edge."""
    top.neighbour.run(f"ip addr add {ON_LINK}/32 dev eth0")
    top.serve(top.neighbour, 80)
    edge.apply(edge.mapping(ROUTED))
    assert reaches(top.client, ON_LINK)
    assert not top.server1.peers
    top.neighbour.run(f"ip addr del {ON_LINK}/32 dev eth0")
    edge.change(grant=[edge.mapping(ON_LINK)])
    assert reaches(top.client, ON_LINK)
    assert top.server1.peers


def test_an_increment_that_the_kernel_refuses_changes_no_element(top: Topology, edge: Edge) -> None:
    mapping, other = edge.mapping(CONFIGURED), edge.mapping(ROUTED)
    edge.apply(mapping)
    edge.inside.run(f"nft add element inet zthook inward {{ {ROUTED} : 10.0.0.1 }}")
    with pytest.raises(KernelError, match="changing inward"):
        edge.change(grant=[other])
    assert edge.drifted()
    with pytest.raises(KernelError, match="not been looked at"):
        edge.change(grant=[other])
    assert reaches(top.client, CONFIGURED)
    edge.apply(mapping, other)
    assert reaches(top.client, ROUTED)


def load(edge: Edge, plane: EdgePlane) -> None:
    """The rules of early boot, which say themselves which IP version they are for."""
    edge.inside.call(lambda: Nft().run(drop_rules(plane)))


@both
def test_the_rules_of_early_boot_close_the_edge(top: Topology, edge: Edge) -> None:
    for overlay in ("zt0", "zt*"):
        edge.inside.run("sysctl -qw net.ipv4.ip_forward=1", "nft flush ruleset")
        edge.inside.run("ip route replace 192.168.122.50 via 192.168.193.2")
        top.neighbour.run("ip route replace 192.168.0.0/16 via 203.0.113.2")
        assert reaches(top.neighbour, "192.168.122.50")
        load(edge, replace(edge.plane, overlay=overlay))
        assert silent(reaches, top.neighbour, "192.168.122.50")


def test_the_rules_of_early_boot_leave_mappings_alone(top: Topology, edge: Edge) -> None:
    edge.inside.nft(drop_rules(replace(PLANE, overlay="zt*")))
    edge.apply(edge.mapping(CONFIGURED))
    with connection(top.client, CONFIGURED, 80) as tcp:
        assert echoes(tcp)
        for _ in range(2):
            edge.inside.nft(drop_rules(PLANE))
            assert echoes(tcp)
        (line,) = edge.apply()
        assert line.endswith("were others: replaced"), "they are for every edge, and these are not"
        assert echoes(tcp)
    assert edge.apply() == []


def test_an_overlay_not_known_yet_stays_closed(top: Topology, edge: Edge) -> None:
    """After a reboot the daemon may run before ZeroTier has told its device's name."""
    unknown = replace(PLANE, overlay="zt*", overlay_address=None)
    edge.inside.run("sysctl -qw net.ipv4.ip_forward=1")
    edge.inside.run("ip route add 192.168.122.50 via 192.168.193.2")
    top.neighbour.run("ip route add 192.168.0.0/16 via 203.0.113.2")
    edge.plane = replace(unknown, forwardings=frozenset({edge.mapping(CONFIGURED)}))
    assert "the device zt* is away: the routes of 1 mappings wait for it" in edge.apply()
    assert silent(reaches, top.neighbour, "192.168.122.50")
    assert edge.apply() == []
    edge.plane = replace(PLANE, forwardings=edge.plane.forwardings)
    edge.apply()
    assert silent(reaches, top.neighbour, "192.168.122.50")
    assert reaches(top.client, CONFIGURED)


@pytest.mark.parametrize("name", ["", "zt*"])
def test_an_overlay_not_known_for_a_while_changes_nothing(
    top: Topology, edge: Edge, name: str
) -> None:
    edge.apply(edge.mapping(CONFIGURED), edge.mapping(ON_LINK, hide=True))
    before = edge.inside.run("nft -s list table inet zthook")
    edge.stop()
    known, edge.plane = edge.plane, replace(edge.plane, overlay=name, overlay_address=None)
    edge.apply()
    assert edge.inside.run("nft -s list table inet zthook") == before
    edge.plane = known
    edge.apply()
    assert reaches(top.client, ON_LINK)
