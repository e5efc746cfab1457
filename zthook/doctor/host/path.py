"""Do packets come to the edge and back, small ones and whole ones of the device's size?"""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address

from zthook.doctor.finding import Finding, fail, ok, skipped, warn
from zthook.doctor.host.case import HostCase
from zthook.doctor.host.pinging import echoed
from zthook.errors import OverlayDown
from zthook.host.echo import SHORTEST
from zthook.model.mappings import OverlayDevice

TRIED = (1500, 1420, 1400, 1280, 576)
"""Sizes below the device's own, of usual tunnels and lines."""


def judge(edge: IPv4Address, *, pinged: bool, connected: bool) -> Finding:
    """``connected``: the edge answers otherwise."""
    if pinged:
        return ok(f"{edge} answers pings")
    if connected:
        return warn(
            f"{edge} answers, but no pings, so its path can not be measured",
            "let the edge answer pings on the overlay",
        )
    return fail(
        f"{edge} does not answer pings",
        "is the edge up, and are both members of one overlay? (zerotier-cli peers)",
    )


def judge_size(device: OverlayDevice, passed: Mapping[int, bool]) -> Finding:
    """``passed``: size of a whole packet → whether it came back."""
    if passed.get(device.mtu):
        return ok(f"packets of {device.mtu} bytes, all that {device.name} takes, come whole")
    most = max((size for size, came in passed.items() if came), default=SHORTEST)
    return fail(
        f"packets of {device.mtu} bytes are lost on the way, and {device.name} takes them; "
        f"{most} bytes come through",
        f"ip link set {device.name} mtu {most} on hosts and edge, or find what drops them",
    )


def check(case: HostCase) -> Finding:
    """Ping the edge."""
    return judge(case.edge, pinged=case.pinged, connected=not case.asked.error)


def check_size(case: HostCase) -> Finding:
    """Ping it with whole packets: first the largest, and smaller ones where that is lost."""
    device = case.device
    if device is None:
        raise OverlayDown(f"no route leads to {case.edge}")
    if not case.pinged:
        return skipped(f"{case.edge} answers no pings")
    return judge_size(device, asyncio.run(_sizes(case.edge, device.mtu)))


async def _sizes(edge: IPv4Address, mtu: int) -> dict[int, bool]:
    passed: dict[int, bool] = {}
    for size in (mtu, *(one for one in TRIED if one < mtu)):
        passed[size] = await echoed(edge, size)
        if passed[size]:
            break
    return passed
