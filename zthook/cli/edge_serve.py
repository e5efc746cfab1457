"""``zthook edge serve``."""

from zthook.cli.commands import command
from zthook.cli.journal import start_logging
from zthook.config.places import Places


@command("serve", example="zthook edge serve")
def serve() -> None:
    """Run the edge's daemon until SIGTERM; SIGHUP reads edge.toml again.

    Stopping it withdraws nothing: the kernel goes on forwarding what it has. The
    environment variable ZTHOOK_LOG sets how much is logged: debug, info, warning, error.
    """
    from zthook.edge.daemon import run_edge

    start_logging()
    run_edge(Places.from_environment())
