"""Pools as the command line takes them, and what may not be in one."""

from collections.abc import Iterable

import click

from zthook.config.pools import address_range, gateways_of
from zthook.config.settings import OverlaySettings
from zthook.errors import OverlayDown, Refused, UsageError
from zthook.model.addresses import AddressRange, IPAddress, Pool

NAMED = "NAME=RANGE[,RANGE...]"
Named = tuple[str, tuple[AddressRange, ...]]


def pool_named(text: str) -> Named:
    """Read ``NAME=RANGE[,RANGE...]``, as a click type. Raises BadParameter."""
    name, _, ranges = text.partition("=")
    if not name or not ranges:
        raise click.BadParameter(f"{text!r}: write it as hk=203.0.113.10-203.0.113.14")
    try:
        return name, tuple(address_range(one.strip()) for one in ranges.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{ranges!r}: it must be {error}") from error


def gateway_named(text: str) -> IPAddress:
    """Read a router's address, as a click type. Raises BadParameter."""
    try:
        return gateways_of(text)[0]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: it must be {error}") from error


def uplink_or_default() -> str:
    """The device of the default route. Raises UsageError where there is none, or several."""
    from zthook.kernel.links import default_devices

    devices = sorted(default_devices())
    if len(devices) != 1:
        found = f"the default routes leave by {', '.join(devices)}" if devices else "there is none"
        raise UsageError(
            f"the uplink can not be told from the default route: {found}",
            hint="say it: --uplink INTERFACE (ip -brief link shows them)",
        )
    return devices[0]


def protect(pools: Iterable[Pool], overlay: OverlaySettings) -> None:
    """Refuse pools that hold an address which this machine itself needs. Raises Refused."""
    from zthook.kernel.protected import needed

    own = needed(_own_on(overlay))
    taken = [
        f"{address} in pool {pool.name} is {why}"
        for pool in pools
        for address, why in own.items()
        if address in pool
    ]
    if taken:
        raise Refused(
            f"this edge can not give away what it needs itself: {'; '.join(taken)}",
            hint="leave it out of the range: 203.0.113.10-203.0.113.11,203.0.113.13",
        )


def _own_on(overlay: OverlaySettings) -> tuple[IPAddress, ...]:
    """This machine's addresses on the overlay, none where it is down: the daemon looks again."""
    from zthook.overlay import open_overlay

    try:
        return open_overlay(overlay).observe().addresses
    except OverlayDown:
        return ()
