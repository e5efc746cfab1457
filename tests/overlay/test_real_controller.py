"""An edge as controller and moon, and hosts that come to it, with real zerotier-ones."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network

import pytest

from tests.lab.commands import wait_until
from tests.overlay.real_lab import BINARY, Node, RealLab, real_lab
from zthook.errors import OverlayDown, Refused
from zthook.overlay import ZeroTierOverlay
from zthook.overlay.node_api import NodeApi
from zthook.overlay.own_network import OwnNetwork

pytestmark = [
    pytest.mark.zerotier,
    pytest.mark.netns,
    pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no zerotier-one binary"),
]
RANGE = IPv4Network("10.86.77.0/24")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLab]:
    with real_lab(tmp_path_factory.mktemp("zerotier")) as made:
        yield made


def up(node: Node, network: str) -> str:
    """This node's address there, once it has one."""

    def look() -> str:
        try:
            device = node.ask(ZeroTierOverlay(network, node.home).observe)
        except OverlayDown:
            return ""
        return str(next(one for one in device.addresses if isinstance(one, IPv4Address)))

    return wait_until(look, 60, f"{node.namespace.name} is in {network}")


def status(node: Node, network: str) -> str:
    view = node.ask(lambda: node.api.network(network))
    return view.status if view else "not joined"


def knocks(edge: Node) -> dict[str, str]:
    """Node → physical address."""
    told = json.loads(edge.zthook("edge", "host", "approve", "--json"))
    return {one["member"]: one["address"] for one in told}


def hosts(edge: Node) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(edge.zthook("edge", "host", "list", "--json"))
    return found


def test_the_real_api_is_as_the_recorded_one(lab: RealLab) -> None:
    """What `tests/overlay/fake_zerotier.py` does of it."""
    edge, home = lab.edge, lab.home
    own = edge.ask(lambda: OwnNetwork(edge.home))
    assert edge.ask(own.range) is None
    assert edge.ask(lambda: own.make(RANGE)).new
    assert edge.ask(lambda: own.make(None)).range == RANGE
    with pytest.raises(Refused, match="is there already, with the range"):
        edge.ask(lambda: own.make(IPv4Network("10.1.1.0/24")))
    edge.ask(lambda: own.let_itself_in(RANGE[1]))
    overlay = ZeroTierOverlay(own.id, edge.home)
    edge.ask(overlay.join)
    assert up(edge, own.id) == "10.86.77.1"

    home.ask(ZeroTierOverlay(own.id, home.home).join)
    (knock,) = wait_until(lambda: edge.ask(overlay.knocking), 30, "home knocks")
    assert (knock.member, knock.shut_out) == (home.id, None)
    assert knock.since
    assert str(knock.address).startswith(f"{home.address}/")
    with pytest.raises(Refused, match="is no member"):
        edge.ask(lambda: overlay.shut_out("00000000aa"))
    edge.ask(lambda: overlay.authorise("00000000aa"))
    edge.ask(lambda: overlay.shut_out("00000000aa"))
    edge.ask(lambda: overlay.authorise(home.id))
    assert edge.ask(overlay.knocking) == []
    address = up(home, own.id)
    assert IPv4Address(address) in RANGE

    assert_foreign_addresses_pass(edge, home, own.id, address)

    edge.ask(lambda: overlay.shut_out(home.id))
    wait_until_silent(edge, "10.86.77.1", home, address)
    (knock,) = edge.ask(overlay.knocking)
    assert knock.shut_out
    home.ask(lambda: home.api.leave(own.id))
    home.ask(lambda: home.api.leave(own.id))
    assert status(home, own.id) == "not joined"
    home.ask(lambda: home.api.deorbit(edge.id))
    edge.ask(lambda: edge.api.leave(own.id))


@contextmanager
def speaking(hearer: Node, at: str, speaker: Node, own: str) -> Iterator[Callable[[], str]]:
    """A call that says something from the speaker's ``own`` address, and returns whose words
    arrived ``at`` the hearer since; empty where none did.
    """

    def bound(address: str) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        made.settimeout(0)
        return made

    with hearer.ask(lambda: bound(at)) as ear, speaker.ask(lambda: bound(own)) as mouth:

        def say_and_listen() -> str:
            mouth.sendto(b"hello", ear.getsockname())
            ear.settimeout(1.0)
            with suppress(TimeoutError):
                return str(ear.recvfrom(100)[1][0])
            return ""

        yield say_and_listen


def wait_until_heard(hearer: Node, at: str, speaker: Node, own: str) -> None:
    with speaking(hearer, at, speaker, own) as say:
        wait_until(lambda: say() == own, 30, f"{own} is heard at {at}")


def wait_until_silent(hearer: Node, at: str, speaker: Node, own: str) -> None:
    """Nothing of it arrives any more. The speaker's own daemon learns why up to minutes later."""
    with speaking(hearer, at, speaker, own) as say:
        wait_until(lambda: not say(), 30, f"{own} is not heard at {at}")


def assert_foreign_addresses_pass(edge: Node, home: Node, network: str, address: str) -> None:
    """A client's address reaches a guest's, neither of which is a member's."""
    client, guest = "203.0.113.77", "192.168.122.50"
    for node, mine, theirs, via in (
        (edge, client, guest, address),
        (home, guest, client, RANGE[1]),
    ):
        device = node.ask(ZeroTierOverlay(network, node.home).observe).name
        node.namespace.ip(
            f"addr add {mine}/32 dev lo", f"route add {theirs} via {via} dev {device} src {mine}"
        )
    wait_until_heard(home, guest, edge, client)
    for node, mine in ((edge, client), (home, guest)):
        node.namespace.ip(f"addr del {mine}/32 dev lo")


def test_from_nothing_to_a_host_that_only_its_owner_let_in(lab: RealLab) -> None:
    edge, home, stranger = lab.edge, lab.home, lab.stranger
    network = f"{edge.id}7a7468"
    where = ("--controller", "--range", str(RANGE), "--zerotier-home", str(edge.home))
    told = edge.zthook("edge", "init", *where)
    assert f"this edge is {RANGE[1]} there" in told
    told = edge.zthook("edge", "init", "--moon", edge.address)
    assert "systemctl restart zerotier-one" in told
    edge.stop()
    edge.start()
    assert "kept   this node is a moon" in edge.zthook("edge", "init", "--moon", edge.address)
    edge.running("edge", "serve").wait_logged("listening on", 60)

    stranger.ask(ZeroTierOverlay(network, stranger.home).join)
    token = json.loads(edge.zthook("edge", "host", "add", "home1", "--json"))["token"]
    joining = home.running("join", token, "--zerotier-home", str(home.home))
    joining.wait_logged(f"on the edge: zthook edge host approve {home.id}", 60)
    known = wait_until(
        lambda: found if {home.id, stranger.id} <= set(found := knocks(edge)) else {},
        30,
        "both knock",
    )
    assert known[home.id].startswith(f"{home.address}/")
    assert known[stranger.id].startswith(f"{stranger.address}/")

    told = edge.zthook("edge", "host", "approve", home.id, "--host", "home1")
    assert f"knocking still: {stranger.id}" in told
    wait_until(lambda: not joining.running, 90, lambda: f"join ends: {joining.log_text()}")
    assert joining.exit_code == 0, joining.log_text()
    assert "this host is home1 at the edge 10.86.77.1:9443" in joining.log_text()
    own = up(home, network)
    wait_until_heard(edge, "10.86.77.1", home, own)
    assert set(knocks(edge)) == {stranger.id}
    assert status(stranger, network) == "ACCESS_DENIED"

    assert_the_moon_does_without_the_root(lab)

    assert hosts(edge)[0]["member"] == home.id
    told = edge.zthook("edge", "host", "remove", "home1")
    assert f"its node {home.id} is let into the overlay no more" in told
    wait_until_silent(edge, "10.86.77.1", home, own)
    told = home.zthook("leave", "--force")
    assert f"left ZeroTier network {network}" in told
    assert f"left the moon {edge.id}" in told
    assert status(home, network) == "not joined"

    added = edge.zthook("edge", "host", "add", "home1", "--member", home.id, "--json")
    told = home.zthook("join", json.loads(added)["token"])
    assert "to be let in" not in told
    assert "this host is home1" in told


def assert_the_moon_does_without_the_root(lab: RealLab) -> None:
    """A host that starts while no root of ZeroTier's answers is back by its moon."""
    edge, home = lab.edge, lab.home

    def role() -> bool:
        moons = home.ask(NodeApi(home.home).moons)
        return any(one.node == edge.id and not one.waiting for one in moons)

    wait_until(role, 60, "home goes by the moon")
    lab.root.stop()
    home.stop()
    for cached in (home.home / "peers.d").glob("*"):
        cached.unlink()
    home.start()
    wait_until(home.online, 60, "home is online by the moon alone")
    lab.root.start()
