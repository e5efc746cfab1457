"""``zthook restore``: zerotier-one's settings as they were before zthook."""

from collections.abc import Sequence
from pathlib import Path

import click

from zthook.cli.commands import command
from zthook.config.places import Places

STAYS = "bonds that are in use stay until zerotier-one is restarted"


def restore_settings(journals: Sequence[Path]) -> None:
    """Put back what these tell of, and say so. Raises OverlayDown, StoreError."""
    if not any(one.exists() for one in journals):
        return
    from zthook.overlay.own_settings import restore

    for journal in journals:
        home = restore(journal)
        if home is not None:
            click.echo(f"put back {home / 'local.conf'}; {STAYS}")


@command("restore", example="zthook restore")
def restore() -> None:
    """Put zerotier-one's local.conf back to what it was before zthook changed it.

    What others wrote there since stays. A daemon of zthook that runs sets it up anew: first
    `fast_redial = false` in edge.toml or host.toml, or stop it. `zthook leave` and
    `install.sh uninstall` do this by themselves. zerotier-one may run or not; it is not
    restarted.
    """
    places = Places.from_environment()
    journals = (places.edge_journal, places.host_journal)
    if not any(one.exists() for one in journals):
        click.echo("nothing was changed there")
    restore_settings(journals)
