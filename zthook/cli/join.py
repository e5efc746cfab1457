"""``zthook join`` and ``leave``: this host's enrolment at an edge."""

import sys
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zthook.cli.address_options import reading
from zthook.cli.agent_ask import START_HINT, hint_agent, wait_for
from zthook.cli.commands import command
from zthook.cli.restore import restore_settings
from zthook.config.places import Places
from zthook.config.settings import ZEROTIER_HOME, OverlaySettings
from zthook.errors import ConfigError, UsageError
from zthook.model.addresses import IPAddress

if TYPE_CHECKING:
    from zthook.wire.token import Token

REACH_SECONDS = 10.0
LEAVING_SECONDS = 10.0


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
    token: "Token", home: Path, zerotier: str | None, interface: str | None, via: IPAddress | None
) -> OverlaySettings:
    if zerotier and interface:
        raise UsageError("--zerotier and --interface are two answers to one question")
    if zerotier:
        return OverlaySettings("zerotier", network=zerotier, home=home)
    if interface:
        return OverlaySettings("interface", interface=interface)
    if via is not None:
        return device_toward(token.address)
    if token.network and not _bridged(token.address, home):
        return OverlaySettings("zerotier", network=token.network, home=home)
    return overlay_toward(token.address)


def _bridged(address: str, home: Path) -> bool:
    """Whether this machine is on the edge's network without a ZeroTier of its own."""
    from zthook.overlay.zerotier_api import TOKEN

    try:
        return not (home / TOKEN).exists() and bool(overlay_toward(address))
    except ConfigError:
        return False


def _same_network(overlay: OverlaySettings, token: "Token", where: str) -> bool:
    """Whether the overlay is the ZeroTier network that the token names.

    Raises UsageError where it is another one.
    """
    if not token.network or overlay.driver != "zerotier":
        return False
    if overlay.network != token.network:
        raise UsageError(
            f"{where} names ZeroTier network {overlay.network}, and the token's edge is in"
            f" {token.network}",
            hint="is it the right edge's token? Then have it say the token's network, or leave it"
            " out",
        )
    return True


@command("join", example="zthook join zthook2.eyJlZGdl…")
@click.argument("token")
@click.option("--zerotier", metavar="NETWORK", help="The overlay's ZeroTier network id.")
@click.option(
    "--zerotier-home",
    type=click.Path(path_type=Path),
    default=ZEROTIER_HOME,
    show_default=True,
    help="Where zerotier-one keeps authtoken.secret.",
)
@click.option("--interface", metavar="DEVICE", help="The overlay's device, whatever makes it.")
@click.option(
    "--via",
    callback=reading(IPv4Address),
    metavar="ADDRESS",
    help="Overlay address of the LAN gateway, where this host is no member itself.",
)
def join(
    token: str,
    zerotier: str | None,
    zerotier_home: Path,
    interface: str | None,
    via: IPv4Address | None,
) -> None:
    """Enrol this host at the edge that made TOKEN (zthook edge host add NAME prints it).

    The edge is known by the fingerprint in the token and by nothing else. Writes host.toml
    where there is none; without --zerotier or --interface with the overlay that the token
    names, else with the device through which the edge's address is reached. A running agent
    goes on with it at once.

    A token of an edge on ZeroTier takes this machine into the edge's network first. It shows
    this node's id and waits, ten minutes at most, until the edge has let exactly that node in
    (zthook edge host approve NODEID there). Nothing is spent before.

    A host that belongs to that edge already gets a new credential in place of the one it has
    (zthook edge host rotate NAME), and its mappings stay.

    With - in its place TOKEN is read from stdin, where no list of processes and no shell's
    history has it; as an argument it can be seen until it is spent: a moment, or for as long as
    this waits.

    A host that is behind a LAN gateway on the overlay says so with --via. The gateway has to
    forward, and to MASQUERADE toward the overlay.
    """
    from zthook.config.loading import load_host
    from zthook.config.settings import HostSettings
    from zthook.config.writing import write_host
    from zthook.host.enrolment import join as enrol
    from zthook.host.enrolment import known_there
    from zthook.wire.token import read_token

    if token == "-":  # noqa: S105 - a word, no token
        token = sys.stdin.read()
    places = Places.from_environment()
    known = places.host_config.exists()
    if known and (zerotier or interface or via):
        raise UsageError(f"{places.host_config} names the overlay already", hint="edit it there")
    told = read_token(token)
    overlay = (
        load_host(places.host_config).overlay
        if known
        else _overlay(told, zerotier_home, zerotier, interface, via)
    )
    known_there(places.credential, told)
    if _same_network(overlay, told, str(places.host_config) if known else "--zerotier"):
        from zthook.cli.entering import into_overlay

        into_overlay(told, overlay.home or zerotier_home, places.entry)
    credential = enrol(places.credential, token)
    if not known:
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

    host.toml stays. A ZeroTier network (or moon) that `zthook join` took this machine into is
    left, one that it was in before is not; zerotier-one's settings are put back.

    With --force and an edge that does not answer, the edge goes on holding the addresses until
    `zthook edge host remove` there, or until the lease's grace is over.
    """
    from zthook.host.enrolment import leave as end

    places = Places.from_environment()
    # Who broke off joining, or leaving, belongs to no edge and may be in its network.
    if places.credential.exists() or not places.entry.exists():
        credential = end(places.credential, force=force)
        if hint_agent(places):
            _wait_for_its_end(places)
        else:
            _clear_kernel(places)
        click.echo(f"this host, {credential.host}, belongs to the edge {credential.where} no more")
    restore_settings([places.host_journal])
    _leave_overlay(places)


def _wait_for_its_end(places: Places) -> None:
    """Until the agent sets up nothing any more that would have to be put back."""
    if places.host_journal.exists():
        wait_for(places, lambda found: found.host is None, seconds=LEAVING_SECONDS)


def _leave_overlay(places: Places) -> None:
    from zthook.host.entry import undo

    undone = undo(places.entry)
    if undone and undone.network:
        click.echo(f"left ZeroTier network {undone.network}, which join had entered")
    if undone and undone.moon:
        click.echo(f"left the moon {undone.moon}")


def _clear_kernel(places: Places) -> None:
    """No agent runs that would take our rules out of the kernel."""
    import asyncio

    from zthook.config.loading import load_host
    from zthook.host.opening import clear_kernel
    from zthook.host.parts import system_parts

    if places.host_config.exists():
        asyncio.run(clear_kernel(load_host(places.host_config), system_parts()))
