"""``zthook edge init --controller``: a ZeroTier network that this machine controls itself."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import click

from zthook.cli.progress import Awaited, wait_visibly
from zthook.config.settings import OverlaySettings
from zthook.errors import OverlayDown, Refused, UsageError
from zthook.overlay.own_network import USUAL_RANGE, OwnNetwork
from zthook.overlay.zerotier import ZeroTierOverlay

ONLINE_SECONDS = 20.0
"""A daemon that has just started takes a few to find a root."""
UP_SECONDS = 30.0
LONGEST_PREFIX = 29
EXAMPLE = f"as in --range {USUAL_RANGE}"


def read_range(text: str) -> IPv4Network:
    """A range for edge and hosts, as a click type. Raises BadParameter."""
    try:
        found = IPv4Network(text, strict=False)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no range of IPv4 addresses, {EXAMPLE}") from error
    if str(found) != text:
        raise click.BadParameter(f"{text!r}: a range begins at {found.network_address}: {found}")
    if found.is_global or found.is_multicast or found.is_loopback:
        raise click.BadParameter(f"{text} is not for private networks, {EXAMPLE}")
    if found.prefixlen > LONGEST_PREFIX:
        raise click.BadParameter(
            f"{text} is too small for an edge and its hosts: /{LONGEST_PREFIX} or more"
        )
    return found


def settings_of(home: Path) -> OverlaySettings:
    """The overlay as edge.toml will say it. Raises OverlayDown where no daemon answers."""
    return OverlaySettings("zerotier", network=OwnNetwork(home).id, home=home)


def check_own(settings: OverlaySettings, written: Path) -> None:
    """Raises Refused where edge.toml has another overlay than this node's own network."""
    network = OwnNetwork(settings.home).id if settings.home else ""
    if settings.network != network:
        has = f"ZeroTier network {settings.network}" if settings.network else settings.interface
        raise Refused(
            f"the overlay in {written} is {has}, and not a network of this node's own",
            hint="leave --controller out, or write driver, network and home there as for"
            f" {network or 'zerotier'}",
        )


def make_network(settings: OverlaySettings, wanted: IPv4Network | None) -> None:
    """Make the network, let this node in, and return when the overlay is up.

    Each step that has been taken before is left as it is. Raises OverlayDown, Refused,
    UsageError (its range is in use on this machine).
    """
    home = settings.home or Path()
    own = OwnNetwork(home)
    if own.range() is None:
        _check_free(wanted or USUAL_RANGE)
        _wait_until_online(own)
    made = own.make(wanted)
    what = "made" if made.new else "kept"
    click.echo(f"{what}   ZeroTier network {own.id}: {made.range}, controlled by this node")
    own.let_itself_in(made.range[1])
    overlay = ZeroTierOverlay(own.id, home)
    overlay.join()
    _wait_until_up(overlay)
    addresses = [one for one in overlay.observe().addresses if isinstance(one, IPv4Address)]
    click.echo(f"joined {own.id}: this edge is {addresses[0]} there")


def _check_free(wanted: IPv4Network) -> None:
    from zthook.kernel.links import connected_prefixes

    for one in connected_prefixes():
        if isinstance(one.prefix, IPv4Network) and one.prefix.overlaps(wanted):
            raise UsageError(
                f"{wanted} is in use on this machine: {one.device} is on {one.prefix}",
                hint="choose another range, which no host has at home either: --range"
                " 10.86.77.0/24",
            )


def _wait_until_online(own: OwnNetwork) -> None:
    waits = Awaited(f"this ZeroTier node, {own.node}, to reach the internet")
    if wait_visibly(lambda: None if own.online() else waits, seconds=ONLINE_SECONDS):
        raise OverlayDown(
            f"this ZeroTier node, {own.node}, is offline, so no host would find it",
            hint="does a firewall let UDP out, and UDP port 9993 in? `zerotier-cli info` says"
            " ONLINE then; run this again",
        )


def _wait_until_up(overlay: ZeroTierOverlay) -> None:
    last: list[OverlayDown] = []

    def look() -> Awaited | None:
        try:
            overlay.observe()
        except OverlayDown as error:
            last.append(error)
            return Awaited("the network to come up on this machine")
        return None

    if wait_visibly(look, seconds=UP_SECONDS):
        raise last[-1]
