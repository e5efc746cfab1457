"""A home, an edge and a client on one machine: what tests and the demo share.

It runs zthook's command, libvirtd, guests and packets in network namespaces of its own, and
imports nothing of zthook. Begin at Lab; by hand: ``python -m tests.lab up``.
"""

from tests.lab.beside import Broken
from tests.lab.commands import LabError, TooLate, wait_until
from tests.lab.daemons import Agent, EdgeDaemon, Zthook
from tests.lab.domain import address, annotation, publish
from tests.lab.edge import Edge
from tests.lab.fake_guest import FakeGuest
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Page, Unreached
from tests.lab.pattern import pattern
from tests.lab.process import Process
from tests.lab.pulse import Beat, Pulse
from tests.lab.rough import Rough, Shares
from tests.lab.stand_in import StandIn
from tests.lab.stream import Stream
from tests.lab.sweep import sweep

__all__ = [
    "Agent",
    "Beat",
    "Broken",
    "Edge",
    "EdgeDaemon",
    "FakeGuest",
    "Guest",
    "Host",
    "Lab",
    "LabError",
    "Machine",
    "Page",
    "Process",
    "Pulse",
    "Rough",
    "Shares",
    "StandIn",
    "Stream",
    "TooLate",
    "Unreached",
    "Zthook",
    "address",
    "annotation",
    "pattern",
    "publish",
    "sweep",
    "wait_until",
]
