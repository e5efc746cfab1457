"""Into the overlay and to the edge: what ``zthook join`` waits for, and how it is seen."""

import time
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import click

from zthook.cli.output import duration
from zthook.cli.progress import Awaited, wait_visibly
from zthook.errors import ConfigError, EdgeUnreachable, OverlayDown
from zthook.host.entry import enter
from zthook.overlay.node_api import NodeApi
from zthook.overlay.zerotier import ZeroTierOverlay
from zthook.wire.tls import fetch_ca
from zthook.wire.token import Token

LET_IN_SECONDS = 600.0
"""Somebody has to type one command on the edge."""
REACH_SECONDS = 60.0
"""Two nodes that never met find each other within seconds, or not at all."""
DENIED_SECONDS = 2.0
"""For so long a node that was let in meanwhile may tell what it was told when it asked before."""
USUAL_SECONDS = 5.0
"""What takes so long is nothing to wonder at yet."""
FINAL = ("NOT_FOUND", "CLIENT_TOO_OLD", "AUTHENTICATION_REQUIRED")
"""What waiting does not cure."""
AGAIN = "the token is not spent: run the same command again"


def into_overlay(token: Token, home: Path, record: Path) -> None:
    """Join the token's network, go by its moon, and return once this node was let in.

    Raises OverlayDown (no daemon, no such network, nobody let it in), ConfigError (its range is
    in use here). ``record`` is for `leave`.
    """
    api = NodeApi(home)
    node = api.node_id()
    if api.network(token.network) is None:
        _check_free(token.address)
    click.echo(f"node    this machine is ZeroTier node {node}")
    before = enter(record, home, token.network, token.moon)
    if before.moon:
        click.echo(f"moon    the edge, node {before.moon}, helps to find the way")
    try:
        _wait_until_let_in(node, token, home)
        _wait_for_edge(token)
    except KeyboardInterrupt:
        click.echo(AGAIN)
        raise


def _check_free(address: str) -> None:
    """Raises ConfigError where another device is on the overlay's range: it would lose its own."""
    from zthook.kernel.links import connected_prefixes

    for one in connected_prefixes():
        if ip_address(address) in one.prefix:
            raise ConfigError(
                f"{one.device} of this machine is on {one.prefix} already, and the edge's overlay"
                f" address is {address}",
                hint=f"is that the overlay? Then: --interface {one.device}. Else the edge needs a"
                " network with another range",
            )


def _wait_until_let_in(node: str, token: Token, home: Path) -> None:
    network = token.network
    whose = f" --host {token.host}" if token.host else ""
    let_in = Awaited(
        f"to be let in: node {node} is not authorised in network {network} yet",
        f"on the edge: zthook edge host approve {node}{whose}   (if another node is the"
        f" controller, there: {network[:10]}, or my.zerotier.com)",
    )
    overlay, api = ZeroTierOverlay(network, home), NodeApi(home)
    began = time.monotonic()

    def look() -> Awaited | None:
        view = api.network(network)
        try:
            overlay.observe()
        except OverlayDown as error:
            if view is not None and view.status in FINAL:
                raise
            passed = time.monotonic() - began
            denied = view is not None and view.status == "ACCESS_DENIED"
            if denied and passed >= DENIED_SECONDS:
                return let_in
            if passed < USUAL_SECONDS:
                return Awaited(f"for network {network} to answer")
            return Awaited(f"as {error.message}", error.hint)
        return None

    awaited = wait_visibly(look, seconds=LET_IN_SECONDS)
    if awaited:
        raise OverlayDown(
            f"waited {duration(LET_IN_SECONDS)} {awaited.what}", hint=f"{awaited.hint}; {AGAIN}"
        )
    device = overlay.observe()
    own = [str(one) for one in device.addresses if isinstance(one, IPv4Address)]
    click.echo(f"joined  network {network}: this machine is {', '.join(own)} on {device.name}")


def _wait_for_edge(token: Token) -> None:
    began = time.monotonic()

    def look() -> Awaited | None:
        try:
            fetch_ca(token, deadline=3.0)
        except EdgeUnreachable as error:
            if time.monotonic() - began < USUAL_SECONDS:
                return Awaited(f"for the edge to answer at {token.address}:{token.port}")
            return Awaited(error.message, error.hint)
        return None

    awaited = wait_visibly(look, seconds=REACH_SECONDS)
    if awaited:
        raise EdgeUnreachable(awaited.what, hint=f"{awaited.hint}; {AGAIN}")
