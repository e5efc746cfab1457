"""``zthook join`` and ``leave``: this host's enrolment at an edge."""

import sys
from ipaddress import IPv4Address, ip_address

import click

from zthook.cli.address_options import reading
from zthook.cli.agent_ask import START_HINT, hint_agent, wait_for
from zthook.cli.commands import command
from zthook.config.places import Places
from zthook.config.settings import OverlaySettings
from zthook.errors import ConfigError, UsageError
from zthook.model.addresses import IPAddress

REACH_SECONDS = 10.0


def overlay_toward(address: str) -> OverlaySettings:
    """The device on whose network ``address`` lies, as the overlay's settings.

    Raises ConfigError where no device is on it.
    """
    from zthook.kernel.links import connected_prefixes

    near = [one for one in connected_prefixes() if ip_address(address) in one.prefix]
    if not near:
        raise ConfigError(
            f"no device of this machine is on the network of the edge at {address}",
            hint="join the overlay first, or name it: --zerotier NETWORK or --interface DEVICE",
        )
    return OverlaySettings("interface", interface=near[0].device)


def device_toward(address: str) -> OverlaySettings:
    """The device toward the LAN gateway by which ``address`` is reached.

    Raises ConfigError where no route leads there.
    """
    from zthook.kernel import near

    device = near.device_toward(ip_address(address))
    if device is None:
        raise ConfigError(
            f"no route of this machine leads to the edge at {address}",
            hint="give it one by the LAN gateway: ip route add OVERLAY via GATEWAY",
        )
    return OverlaySettings("interface", interface=device)


def _overlay(
    address: str, zerotier: str | None, interface: str | None, via: IPAddress | None
) -> OverlaySettings:
    from zthook.config.settings import ZEROTIER_HOME

    if zerotier and interface:
        raise UsageError("--zerotier and --interface are two answers to one question")
    if zerotier:
        return OverlaySettings("zerotier", network=zerotier, home=ZEROTIER_HOME)
    if interface:
        return OverlaySettings("interface", interface=interface)
    return device_toward(address) if via is not None else overlay_toward(address)


@command("join", example="zthook join zthook1.eyJlZGdl…")
@click.argument("token")
@click.option("--zerotier", metavar="NETWORK", help="The overlay's ZeroTier network id.")
@click.option("--interface", metavar="DEVICE", help="The overlay's device, whatever makes it.")
@click.option(
    "--via",
    callback=reading(IPv4Address),
    metavar="ADDRESS",
    help="Overlay address of the LAN gateway, where this host is no member itself.",
)
def join(token: str, zerotier: str | None, interface: str | None, via: IPv4Address | None) -> None:
    """Enrol this host at the edge that made TOKEN (zthook edge host add NAME prints it).

    The edge is known by the fingerprint in the token and by nothing else. Writes host.toml
    where there is none; without --zerotier or --interface with the device through which
    the edge's address is reached. A running agent goes on with it at once.

    A host that belongs to that edge already gets a new credential in place of the one it has
    (zthook edge host rotate NAME), and its mappings stay.

    With - in its place TOKEN is read from stdin, where no list of processes and no shell's
    history has it; as an argument it can be seen until it is spent, a moment later.

    A host that is behind a LAN gateway on the overlay says so with --via. The gateway has to
    forward, and to MASQUERADE toward the overlay.
    """
    from zthook.config.settings import HostSettings
    from zthook.config.writing import write_host
    from zthook.host.enrolment import join as enrol
    from zthook.wire.token import read_token

    if token == "-":  # noqa: S105 - a word, no token
        token = sys.stdin.read()
    places = Places.from_environment()
    known = places.host_config.exists()
    if known and (zerotier or interface or via):
        raise UsageError(f"{places.host_config} names the overlay already", hint="edit it there")
    overlay = None if known else _overlay(read_token(token).address, zerotier, interface, via)
    credential = enrol(places.credential, token)
    if overlay is not None:
        write_host(places.host_config, HostSettings(overlay, via=via))
        click.echo(f"wrote {places.host_config}: overlay {overlay.interface or overlay.network}")
    click.echo(f"this host is {credential.host} at the edge {credential.where}")
    _tell_reached(places)


def _tell_reached(places: Places) -> None:
    if not hint_agent(places):
        click.echo(f"no agent runs here yet. {START_HINT}")
        return
    status = wait_for(
        places,
        lambda found: found.edge_health is not None and found.edge_health.up is not None,
        seconds=REACH_SECONDS,
    )
    health = status.edge_health if status else None
    if health is not None and health.up:
        click.echo("the agent reached the edge; give a guest an address: zthook assign")
    else:
        why = f": {health.error}" if health and health.error else ""
        click.echo(f"the agent has not reached the edge yet{why}; see zthook status")


@command("leave", example="zthook leave")
@click.option("--force", is_flag=True, help="Forget the edge here even where it does not answer.")
def leave(*, force: bool) -> None:
    """End this host's enrolment: the edge withdraws all its mappings and forgets it.

    host.toml stays. With --force and an edge that does not answer, the edge goes on holding
    the addresses until `zthook edge host remove` there, or until the lease's grace is over.
    """
    from zthook.host.enrolment import leave as end

    places = Places.from_environment()
    credential = end(places.credential, force=force)
    if not hint_agent(places):
        _clear_kernel(places)
    click.echo(f"this host, {credential.host}, belongs to the edge {credential.where} no more")


def _clear_kernel(places: Places) -> None:
    """No agent runs that would take our rules out of the kernel."""
    import asyncio

    from zthook.config.loading import load_host
    from zthook.host.opening import clear_kernel
    from zthook.host.parts import system_parts

    if places.host_config.exists():
        asyncio.run(clear_kernel(load_host(places.host_config), system_parts()))
