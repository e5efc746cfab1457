"""``zthook edge rules``."""

import click

from zthook.cli.commands import command


@command("rules", example="zthook edge rules | nft -f -")
def rules() -> None:
    """Print the edge's constant rules, for nft, as a unit loads them before the network is up.

    With them alone nothing is forwarded between uplink and overlay; the daemon adds the
    mappings when it starts.
    """
    from zthook.config.loading import load_edge
    from zthook.config.places import Places
    from zthook.kernel.edge.boot import boot_rules

    click.echo(boot_rules(load_edge(Places.from_environment().edge_config)), nl=False)
