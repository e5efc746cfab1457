"""``zthook edge pool``: pools are in edge.toml; the daemon goes by them at once or says no."""

from collections.abc import Callable
from pathlib import Path

import click

from zthook.cli.commands import LazyGroup, command, json_option
from zthook.cli.edge_ask import ask_edge, ask_edge_for
from zthook.cli.edge_pools import (
    NAMED,
    Named,
    gateway_named,
    pool_named,
    protect,
    uplink_or_default,
)
from zthook.cli.edge_words import POOL_COLUMNS, pool_row
from zthook.cli.output import print_json, print_table
from zthook.config.loading import load_edge
from zthook.config.places import Places
from zthook.config.writing import add_pool, remove_pool
from zthook.edge.views import PoolUse
from zthook.errors import DaemonUnreachable, NotEnrolled, ZthookError
from zthook.model.addresses import IPAddress, Pool

pool = LazyGroup(
    "pool",
    {
        "add": ("zthook.cli.edge_pool:add", "Add a pool of public addresses."),
        "list": ("zthook.cli.edge_pool:list_pools", "Every pool, and how much of it is used."),
        "remove": ("zthook.cli.edge_pool:remove", "Remove a pool none of whose is in use."),
    },
    help="The public addresses of this edge: list, add and remove pools.",
    example="zthook edge pool add hk=203.0.113.10-203.0.113.14 --uplink eth0",
)


@command("list", example="zthook edge pool list")
@json_option
def list_pools(*, as_json: bool) -> None:
    """Every pool, how much of it is used, and how much reserved for guests that are not here."""
    found = ask_edge_for(list[PoolUse], "pools")
    if as_json:
        print_json(found)
        return
    rows = [pool_row(one) for one in found]
    print_table(POOL_COLUMNS, rows, loose=("ADDRESSES",), empty="no pools: zthook edge pool add")


@command("add", example="zthook edge pool add hk=203.0.113.10-203.0.113.14,203.0.113.64/28")
@click.argument("named", metavar=NAMED, type=pool_named)
@click.option("--uplink", metavar="INTERFACE", help="Default: that of the default route.")
@click.option(
    "--gateway",
    "gateways",
    type=gateway_named,
    metavar="ADDRESS",
    multiple=True,
    help="The uplink's router. Default: that of its default route. Repeatable: IPv4, IPv6.",
)
def add(named: Named, uplink: str | None, gateways: tuple[IPAddress, ...]) -> None:
    """Add a pool of public addresses, e.g. hk=203.0.113.10-203.0.113.14."""
    name, ranges = named
    made = Pool(name, ranges, uplink or uplink_or_default(), gateways=gateways)
    protect([made], load_edge(_edge_config()).overlay)
    _change(lambda path: add_pool(path, made))
    click.echo(f"pool {name} is added: {', '.join(map(str, ranges))} on {made.uplink}")


@command("remove", example="zthook edge pool remove hk")
@click.argument("name")
def remove(name: str) -> None:
    """Remove the pool NAME. Refused while an address of it is in use or reserved."""
    _change(lambda path: remove_pool(path, name))
    click.echo(f"pool {name} is removed")


def _change(change: Callable[[Path], None]) -> None:
    """Change edge.toml and have the daemon go by it; where it refuses, the file is as before."""
    path = _edge_config()
    before = path.read_bytes()
    change(path)
    try:
        ask_edge("reload")
    except DaemonUnreachable:
        click.echo("the edge's daemon does not run: this counts when it starts", err=True)
    except ZthookError:
        _restore(path, before)
        raise


def _edge_config() -> Path:
    path = Places.from_environment().edge_config
    if not path.exists():
        raise NotEnrolled(f"this machine is no edge: {path} is not there", hint="zthook edge init")
    return path


def _restore(path: Path, content: bytes) -> None:
    whole = path.resolve()
    draft = whole.with_name(f".{whole.name}.before")
    draft.write_bytes(content)
    draft.chmod(whole.stat().st_mode & 0o7777)
    draft.replace(whole)
