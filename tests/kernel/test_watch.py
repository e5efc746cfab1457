"""The kernel's notifications, and a loop that is woken by them."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from tests.kernel.namespace import Namespace
from zthook.kernel.watch import Subscription, Watch

pytestmark = pytest.mark.netns

CHANGES = {
    "link": "ip link add one type veth peer name other",
    "address": "ip addr add 10.0.0.1/32 dev lo",
    "route": "ip route add 10.0.0.0/24 dev lo",
    "rule": "ip rule add from 10.0.0.1 lookup 100",
    "neighbour": "ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev lo",
    "nft": "nft add table inet other",
}

CHANGES6 = {
    "address": "ip addr add 2001:db8::1/128 dev lo",
    "route": "ip route add 2001:db8:1::/64 dev lo",
    "rule": "ip -6 rule add from 2001:db8::1 lookup 100",
    "neighbour": "ip neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev lo",
}


@pytest.fixture
def where() -> Iterator[Namespace]:
    made = Namespace("watch")
    yield made
    made.close()


@pytest.mark.parametrize("kind", CHANGES)
def test_each_kind_is_told(where: Namespace, kind: str) -> None:
    with where.call(lambda: Subscription(kind)) as told:
        assert list(told.drain()) == []
        for change in CHANGES.values():
            where.run(change)
        assert {one.kind for one in told.drain()} == {kind}
        assert list(told.drain()) == []


@pytest.mark.parametrize("kind", CHANGES6)
def test_ipv6_is_told_too(where: Namespace, kind: str) -> None:
    with where.call(lambda: Subscription(kind)) as told:
        for changed, change in CHANGES6.items():
            where.run(change)
            found = list(told.drain())
            # An address comes with a route of its own.
            assert {one.kind for one in found} <= {kind}
            assert bool(found) or changed != kind
            assert all(one.payload[0] == socket.AF_INET6 for one in found)


def test_rules_and_routes_that_go_are_told(where: Namespace) -> None:
    where.run(*CHANGES.values(), *CHANGES6.values())
    with where.call(lambda: Subscription("route", "rule")) as told:
        for change in (CHANGES["route"], CHANGES6["route"]):
            where.run(change.replace(" add ", " del "))
            assert {one.kind for one in told.drain()} == {"route"}
        for change in (CHANGES["rule"], CHANGES6["rule"]):
            where.run(change.replace(" add ", " del "))
            assert {one.kind for one in told.drain()} == {"rule"}


def test_what_was_lost_is_told(where: Namespace) -> None:
    with where.call(lambda: Subscription("route")) as told:
        told.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for number in range(64):
            where.run(f"ip route add 10.0.{number}.0/24 dev lo")
        assert "lost" in {one.kind for one in told.drain()}


def test_a_loop_is_woken(where: Namespace) -> None:
    async def wait() -> None:
        told: asyncio.Queue[str] = asyncio.Queue()
        watch = Watch(told.put_nowait, ("address", "nft"))
        try:
            for kind in ("address", "nft"):
                await asyncio.to_thread(where.run, CHANGES[kind])
                assert await asyncio.wait_for(told.get(), 5) == kind
        finally:
            watch.close()
        await asyncio.to_thread(where.run, "ip addr add 10.0.0.2/32 dev lo")
        assert told.empty()

    where.call(lambda: asyncio.run(wait()))
