"""Rules of one version in place of another's: no packet is lost between them."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import pytest

from tests.kernel.driver import ON_LINK, ROUTED, Edge, both
from tests.kernel.questions import eventually
from tests.kernel.topology import Topology
from zthook.kernel.edge.chains.chain import Chain
from zthook.kernel.edge.replacing import Former, replaced
from zthook.kernel.edge.rules import Transaction

CROSSING = ((ON_LINK, 6000), (ROUTED, 7003))
"""By a whole address, and by one of a range of ports, which is in a set of another kind."""
TIMES = 10
UNDER_WAY = 50
"""Datagrams at most: no queue on their way overflows by so many."""
MEANWHILE = 500
"""Datagrams that go on between two replacements."""
ANOTHER = 'nft insert rule inet zthook own_ports counter comment "00000000 of another version"'
EXTRA = """
table inet zthook {
    set older { type inet_service; flags interval; elements = { 1-10 }; }
    map foremost { type inet_service : verdict; }
    ct timeout older { protocol tcp; l3proto ip; policy = { close : 10 }; }
    chain beside { type filter hook forward priority 7; policy accept; }
    chain aside { counter accept comment "00000000 of another version"; }
}
"""


class Flow:
    """Datagrams from the client to an address, as fast as they go: how many went, and came."""

    def __init__(self, top: Topology, public: str, port: int) -> None:
        self.sent = self.came = 0
        self._to = public, port
        self._from = top.client.socket(socket.SOCK_DGRAM)
        self._at = top.guest1.socket(socket.SOCK_DGRAM)
        self._at.bind(("", port))
        self._over = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._send, self._take)]

    def __enter__(self) -> Self:
        for one in self._threads:
            one.start()
        return self
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join()
        self._from.close()
        self._at.close()

    def goes_on(self) -> None:
        """Return once many more came."""
        enough = self.came + MEANWHILE
        assert eventually(lambda: self.came >= enough)

    def _send(self) -> None:
        while not self._over.is_set():
            if self.sent - self.came < UNDER_WAY:
                self._from.sendto(b"x", self._to)
                self.sent += 1
            else:
                time.sleep(0)

    def _take(self) -> None:
        self._at.settimeout(1)
        while True:
            try:
                self._at.recvfrom(16)
            except TimeoutError:
                if self._over.is_set():
                    return
            else:
                self.came += 1


@contextmanager
def flows(top: Topology, *to: tuple[str, int]) -> Iterator[list[Flow]]:
    """Datagrams go to these while inside; not one of them may be lost."""
    some = [Flow(top, *one) for one in to]
    with some[0], some[1]:
        for one in some:
            one.goes_on()
        yield some
    assert [one.sent - one.came for one in some] == [0] * len(some)


@pytest.mark.netns
@both
def test_no_packet_is_lost_while_rules_are_replaced(top: Topology, edge: Edge) -> None:
    mappings = [
        edge.mapping(ON_LINK),
        edge.mapping(ROUTED, private="192.168.122.51", ports=["udp/7000-7009"]),
    ]
    edge.apply(*mappings)
    with flows(top, *CROSSING) as some:
        for _ in range(TIMES):
            edge.inside.run(ANOTHER)
            edge.inside.nft(EXTRA)
            assert edge.apply()
            for one in some:
                one.goes_on()
    assert edge.apply() == []
    listed = edge.inside.run("nft list table inet zthook")
    assert not [word for word in ("older", "foremost", "beside", "aside") if word in listed]


def test_what_stays_the_same_is_not_touched() -> None:
    """But chains; their rules are others at once."""
    change = Transaction(
        rules=(Chain("forward", None, (("accept", "all of it"),)),),
        refill={"uplinks": frozenset({'"eth0"'})},
        add={
            "inward": frozenset({"203.0.113.1 : 10.0.0.1", "203.0.113.2 : 10.0.0.2"}),
            "answering": frozenset({"02:00:00:00:00:01 . 10.0.0.1 . 203.0.113.1"}),
        },
        counters={
            ("answering", "02:00:00:00:00:01 . 10.0.0.1 . 203.0.113.1"): "counter packets 1 bytes 2"
        },
    )
    former = Former(
        chains=("forward", "gone"),
        elements={
            "uplinks": frozenset({'"eth0"'}),
            "inward": frozenset({"203.0.113.1 : 10.0.0.1", "203.0.113.9 : 10.0.0.9"}),
            "returning": frozenset({"203.0.113.9 . 10.0.0.9"}),
        },
        others=("set answering", "ct timeout hidden"),
    )
    said = replaced(change, former).splitlines()
    begins, ends = said.index("table inet zthook {"), said.index("}")
    assert said[:begins] == [
        "flush chain inet zthook forward",
        "flush chain inet zthook gone",
        "delete element inet zthook inward { 203.0.113.9 }",
        "delete element inet zthook returning { 203.0.113.9 . 10.0.0.9 }",
        "delete ct timeout inet zthook hidden",
        "delete set inet zthook answering",
        "delete chain inet zthook gone",
    ]
    assert said[ends + 1 :] == [
        "add element inet zthook answering { 02:00:00:00:00:01 . 10.0.0.1 . 203.0.113.1"
        " counter packets 1 bytes 2 }",
        "add element inet zthook inward { 203.0.113.2 : 10.0.0.2 }",
    ]
