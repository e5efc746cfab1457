"""``zthook edge init``: the configuration, the keys and the store of a new edge."""

import datetime as dt
from ipaddress import IPv4Network
from pathlib import Path

import click

from zthook.cli import edge_controller, edge_moon
from zthook.cli.commands import command
from zthook.cli.edge_pools import NAMED, Named, pool_named, protect, uplink_or_default
from zthook.config.loading import load_edge, parse_edge
from zthook.config.places import Places
from zthook.config.settings import ZEROTIER_HOME, EdgeSettings, OverlaySettings
from zthook.config.writing import edge_text, write_edge
from zthook.edge.keys import load_keys, make_keys
from zthook.errors import UsageError
from zthook.model.addresses import Pool
from zthook.overlay.own_network import USUAL_RANGE
from zthook.store.sqlite import SqliteLedger

NEXT = """
Next:
  systemctl start zthook-edge          run it (without systemd: zthook edge serve)
  zthook edge host add home1           prints the command that enrols a host"""


@command(
    "init",
    example="zthook edge init --controller --pool hk=203.0.113.10-203.0.113.14\n"
    "zthook edge init --zerotier b87d70f46bc5c578 --pool hk=203.0.113.10-203.0.113.14",
)
@click.option("--zerotier", metavar="NETWORK", help="The overlay is this ZeroTier network.")
@click.option(
    "--controller",
    is_flag=True,
    help="The overlay is a new ZeroTier network that this machine controls: no account anywhere.",
)
@click.option(
    "--range",
    "wanted",
    type=edge_controller.read_range,
    metavar="CIDR",
    help=f"With --controller: the hosts' addresses. [default: {USUAL_RANGE}]",
)
@click.option(
    "--moon",
    "moons",
    type=edge_moon.read_endpoint,
    metavar=edge_moon.MOON,
    multiple=True,
    help="Make this machine a moon, at its own fixed address, by which hosts find the way sooner."
    " Repeatable.",
)
@click.option(
    "--restart-zerotier",
    is_flag=True,
    help="With --moon: restart zerotier-one, without which the moon does not count.",
)
@click.option(
    "--zerotier-home",
    type=click.Path(path_type=Path),
    default=ZEROTIER_HOME,
    show_default=True,
    help="Where zerotier-one keeps authtoken.secret.",
)
@click.option("--interface", metavar="NAME", help="The overlay is this interface instead.")
@click.option(
    "--pool",
    "pools",
    type=pool_named,
    metavar=NAMED,
    multiple=True,
    help="Public addresses, e.g. hk=203.0.113.10-203.0.113.14,203.0.113.64/28. Repeatable.",
)
@click.option(
    "--uplink", metavar="INTERFACE", help="The pools' uplink (default: of the default route)."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=9443,
    show_default=True,
    help="The API's port, on the overlay address alone.",
)
def init(
    *,
    zerotier: str | None,
    controller: bool,
    wanted: IPv4Network | None,
    moons: tuple[edge_moon.Endpoint, ...],
    restart_zerotier: bool,
    zerotier_home: Path,
    interface: str | None,
    pools: tuple[Named, ...],
    uplink: str | None,
    port: int,
) -> None:
    """Make this machine an edge: write edge.toml, keys and store.

    What is there already is kept as it is, so that this can be run again.

    With --controller zerotier-one makes a private network of its own, which this machine joins;
    whoever else wants to join waits until `zthook edge host approve` (or `add NAME --member`)
    lets exactly that node in.

    With --moon the hosts that join from then on learn a root of their own, at that address: this
    machine. zerotier-one has to be restarted for it, which --restart-zerotier does.
    """
    _check_words(interface, wanted, moons, controller=controller, restart=restart_zerotier)
    places = Places.from_environment()
    kept = places.edge_config.exists()
    if kept:
        settings = load_edge(places.edge_config)
        click.echo(f"kept   {places.edge_config} as it is (edit it to change it)")
        if controller:
            edge_controller.check_own(settings.overlay, places.edge_config)
    else:
        overlay = _overlay(zerotier, zerotier_home, interface, controller=controller)
        settings = EdgeSettings(overlay, api_port=port, pools=_pools(pools, uplink, overlay))
        # Read back as the daemon will, before anything is written.
        parse_edge(edge_text(settings), places.edge_config)
        protect(settings.pools, overlay)
    edge_moon.check_outside(settings.pools, moons)
    if controller:
        edge_controller.make_network(settings.overlay, wanted)
    _make_keys(places)
    _make_store(places)
    if not kept:
        write_edge(places.edge_config, settings)
        click.echo(f"wrote  {places.edge_config}")
    if moons:
        edge_moon.make_moon(places, settings.overlay, moons, restart=restart_zerotier)
    click.echo(NEXT)


def _check_words(
    interface: str | None,
    wanted: IPv4Network | None,
    moons: tuple[edge_moon.Endpoint, ...],
    *,
    controller: bool,
    restart: bool,
) -> None:
    """Raises UsageError where one of them has no meaning without another."""
    if wanted and not controller:
        raise UsageError("--range goes with --controller: another network has its range already")
    if restart and not moons:
        raise UsageError("--restart-zerotier goes with --moon: nothing else here wants it")
    if moons and interface:
        raise UsageError("--moon is for an overlay that is ZeroTier, and --interface is another")


def _overlay(
    zerotier: str | None, home: Path, interface: str | None, *, controller: bool
) -> OverlaySettings:
    if [zerotier is None, interface is None, not controller].count(False) != 1:
        raise UsageError(
            "which overlay? give one of --controller, --zerotier NETWORK and --interface NAME",
            hint="--controller makes a ZeroTier network here;"
            " zerotier-cli listnetworks shows the id of one that you have",
        )
    if controller:
        return edge_controller.settings_of(home)
    if zerotier is not None:
        return OverlaySettings("zerotier", network=zerotier, home=home)
    return OverlaySettings("interface", interface=interface)


def _pools(
    named: tuple[Named, ...], uplink: str | None, overlay: OverlaySettings
) -> tuple[Pool, ...]:
    device = (uplink or uplink_or_default()) if named else ""
    if device and device == overlay.interface:
        raise UsageError(
            f"{device} can not be both the overlay and the uplink",
            hint="--interface is the device toward the hosts, --uplink the one toward the internet",
        )
    return tuple(Pool(name, ranges, device) for name, ranges in named)


def _make_keys(places: Places) -> None:
    now = dt.datetime.now(dt.UTC)
    if places.edge_keys.exists():
        keys, what = load_keys(places.edge_keys, now), "kept"
    else:
        keys, what = make_keys(places.edge_keys, now), "made"
    click.echo(f"{what}   {places.edge_keys}: the keys of edge {keys.edge_id}")


def _make_store(places: Places) -> None:
    if places.store.exists():
        click.echo(f"kept   {places.store}: who holds what")
        return
    SqliteLedger(places.store).close()
    click.echo(f"made   {places.store}: who holds what (nobody yet)")
