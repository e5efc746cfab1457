"""The agent ends between any two calls of its host's real kernel: the next one makes it whole."""

import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import pytest

from tests.faults.deaths import Fate
from tests.kernel_host.home import GUEST, NEIGHBOUR, POOLS, SIBLING, Home, plane, routed, rule
from zthook.kernel import sysctl
from zthook.kernel.edge.fake import Crash
from zthook.kernel.host.dataplane import KernelHostDataplane
from zthook.kernel.netlink import ACK, Netlink
from zthook.kernel.nft import Nft
from zthook.model.mappings import HostPlane
from zthook.model.publication import Egress

pytestmark = pytest.mark.netns

WEB = rule(GUEST, public="203.0.113.10")
OTHER = rule(NEIGHBOUR, "br0", hide=True, public="203.0.113.11")
PLANES = {
    "none": None,
    "one": plane(WEB, pools=POOLS),
    "two": plane(WEB, OTHER, pools=POOLS),
    "by ports": plane(rule(GUEST, public="203.0.113.10", ports=["tcp/80:8080"]), pools=POOLS),
    "routed": plane(routed(GUEST), routed(SIBLING, egress=Egress.PUBLIC), pools=POOLS),
}
CHANGES = [
    ("none", "two"),
    ("two", "none"),
    ("one", "routed"),
    ("routed", "by ports"),
    ("two", "one"),
]
MANY = 300
AT_LEAST = 5
REQUEST = struct.Struct("=IHH")
"""A netlink message begins with its length, type and flags."""


def _always(*_: object, **__: object) -> bool:
    return True


def _asks_for_more_than_a_look(_: Netlink, request: bytes, *__: object) -> bool:
    return bool(REQUEST.unpack_from(request)[2] & ACK)


def _is_fed(*_: object, **named: object) -> bool:
    return named.get("input") is not None


CALLS: tuple[tuple[Any, str, Callable[..., bool]], ...] = (
    (Nft, "run", _always),
    (Netlink, "_send", _asks_for_more_than_a_look),
    (sysctl, "write", _always),
    (subprocess, "run", _is_fed),
)
"""By which the kernel is changed, and whether this one does."""


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    home = Home()
    try:
        yield home
    finally:
        home.close()


@contextmanager
def mortal(fate: Fate) -> Iterator[None]:
    """Each of these calls is a moment."""

    def counted(name: str, call: Callable[..., Any], counts: Callable[..., bool]) -> Any:
        def counting(*arguments: Any, **named: Any) -> Any:
            if counts(*arguments, **named):
                fate.moment(f"before {name}")
            return call(*arguments, **named)

        return counting

    with ExitStack() as patches:
        for owner, name, counts in CALLS:
            call = counted(name, getattr(owner, name), counts)
            patches.enter_context(patch.object(owner, name, call))
        yield


class Host:
    """The kernel of ``home``'s host, and the agents' dataplanes that come and go."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.inside = home.inside["host"]

    def apply(self, desired: HostPlane | None, fate: Fate | None = None) -> bool:
        """Whether a new agent lives through it."""
        dataplane = self.inside(KernelHostDataplane)
        try:
            with mortal(fate) if fate is not None else nullcontext():
                self.inside(dataplane.apply, desired)
        except Crash:
            return False
        finally:
            self.inside(dataplane.close)
        return True

    @staticmethod
    def _apply(
        dataplane: KernelHostDataplane, desired: HostPlane | None, fate: Fate | None
    ) -> None:
        if fate is None:
            dataplane.apply(desired)
            return
        with mortal(fate):
            dataplane.apply(desired)


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_whatever_call_was_the_last_the_next_agent_makes_good(
    home: Home, before: str, after: str
) -> None:
    host, fate = Host(home), Fate()
    host.apply(PLANES[after])
    wanted = home.footprint()
    for moment in range(MANY):
        host.apply(PLANES[before])
        fate.end_at(moment)
        if host.apply(PLANES[after], fate):
            break
        host.apply(PLANES[after])
        assert home.footprint() == wanted, (moment, fate.moments[-1])
    host.apply(None)
    print(f"\n  from {before} to {after}: {moment} deaths")
    assert AT_LEAST <= moment < MANY - 1
