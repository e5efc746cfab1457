"""``zthook agent``."""

from zthook.cli.commands import command
from zthook.cli.journal import start_logging
from zthook.config.places import Places


@command("agent", example="zthook agent")
def agent() -> None:
    """Run this host's daemon until SIGTERM.

    Stopping it withdraws nothing: addresses and connections stay as they are. Without an
    edge it waits to be enrolled (zthook join). The environment variable ZTHOOK_LOG sets how
    much is logged: debug, info, warning, error.
    """
    import asyncio

    from zthook.host.daemon import run_agent
    from zthook.host.parts import system_parts

    start_logging()
    asyncio.run(run_agent(Places.from_environment(), system_parts()))
