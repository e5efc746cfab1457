"""A stretch of the overlay on which packets are overtaken, doubled and lost."""

import sys

import pytest

from tests.lab import Lab, Machine, Shares

pytestmark = pytest.mark.netns

HEAR = """
import socket
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("", 5000))
heard.settimeout(10)
print("ready", flush=True)
try:
    while True:
        print(heard.recv(100).decode(), flush=True)
        heard.settimeout(1)
except TimeoutError:
    pass
"""
SAY = """
import socket, sys, time
said = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    said.sendto(str(number).encode(), (sys.argv[1], 5000))
    time.sleep(0.001)
"""


def heard_in_order(lab: Lab, count: int) -> list[int]:
    """Numbers that the edge sends, as the host hears them."""
    host: Machine = lab["home1"]
    hearing = host.start("hearing", sys.executable, "-c", HEAR)
    hearing.wait_logged("ready")
    lab.edge.run(sys.executable, "-c", SAY, lab["home1"].overlay_address, count)
    hearing.wait_ended()
    return [int(line) for line in hearing.log_text().splitlines() if line.isdigit()]


def test_it_reorders_doubles_and_loses_until_it_ends(lab: Lab) -> None:
    rough = lab.roughen("home1", Shares(late=0.3, doubled=0.2, lost=0.1))
    heard = heard_in_order(lab, 300)
    did = rough.end()
    assert heard != sorted(heard), "some were overtaken"
    assert len(set(heard)) < len(heard), "some came twice"
    assert len(set(heard)) < 300, "some were lost"
    assert min(did[what] for what in ("overtaken", "doubled", "lost")) > 0
    assert heard_in_order(lab, 100) == list(range(100)), "and then it is as ever"
