"""``zthook edge init --moon``: this machine helps hosts and edge to find each other."""

from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import click

from zthook.cli.progress import Awaited, wait_visibly
from zthook.config.places import Places
from zthook.config.settings import OverlaySettings
from zthook.errors import OverlayDown, Refused, UsageError
from zthook.model.addresses import Pool
from zthook.overlay.making_moon import MoonMaker, restart_daemon

MOON = "ADDRESS[/PORT]"
BACK_SECONDS = 60.0
COST = "the edge's hosts are cut off for about two seconds"

Endpoint = tuple[str, int | None]


def read_endpoint(text: str) -> Endpoint:
    """Read ``ADDRESS[/PORT]``, as a click type. Raises BadParameter."""
    address, slash, port = text.partition("/")
    try:
        found = ip_address(address)
    except ValueError as error:
        raise click.BadParameter(
            f"{address!r} is no address: write this machine's own fixed one, 203.0.113.2 or"
            " 203.0.113.2/9993"
        ) from error
    if found.is_unspecified or found.is_loopback or found.is_multicast or found.is_link_local:
        raise click.BadParameter(f"{address} is not where hosts could reach this machine")
    if slash and not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise click.BadParameter(f"{port!r} is no UDP port (ZeroTier's own is 9993)")
    return str(found), int(port) if slash else None


def check_outside(pools: Iterable[Pool], given: Iterable[Endpoint]) -> None:
    """Raises Refused where a guest could be given a moon's address."""
    for pool in pools:
        for address, _ in given:
            if ip_address(address) in pool:
                raise Refused(
                    f"{address} is in the pool {pool.name}: a guest that has it would hear what"
                    " is meant for the moon",
                    hint="give --moon the address that this edge itself is reached at, outside of"
                    " its pools",
                )


def make_moon(
    places: Places, overlay: OverlaySettings, given: tuple[Endpoint, ...], *, restart: bool
) -> None:
    """Make this node a moon at ``given``, and restart the daemon only where that was asked for.

    Raises UsageError (the overlay is not ZeroTier), Refused, OverlayDown.
    """
    if overlay.home is None:
        raise UsageError("--moon is for an overlay that is ZeroTier: --controller or --zerotier")
    maker = MoonMaker(overlay.home, places.edge_keys / "moon.json")
    endpoints = maker.endpoints(given)
    shown = ", ".join(endpoints)
    if maker.counts(endpoints):
        click.echo(f"kept   this node is a moon at {shown}")
        return
    click.echo(f"made   {maker.make(endpoints)}: a moon at {shown}")
    if not restart:
        click.echo("       It counts, and is in new tokens, once zerotier-one is restarted:")
        click.echo(f"       systemctl restart zerotier-one   ({COST})")
        return
    click.echo(f"restarts zerotier-one: {COST}")
    restart_daemon()
    _wait_until_it_counts(maker, endpoints, overlay.home)


def _wait_until_it_counts(maker: MoonMaker, endpoints: list[str], home: Path) -> None:
    waits = Awaited("for zerotier-one to be back")

    def look() -> Awaited | None:
        try:
            return None if maker.counts(endpoints) else waits
        except OverlayDown:
            return waits

    if wait_visibly(look, seconds=BACK_SECONDS):
        raise OverlayDown(
            "zerotier-one is not back as a moon",
            hint=f"journalctl -u zerotier-one; is its home {home}?",
        )
