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
    import sys

    # httpx has a command line of its own where rich is installed: 4 MB that nobody here uses.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # "is not to be had"
    from zthook.host.daemon import run_agent
    from zthook.host.parts import system_parts

    start_logging()
    asyncio.run(run_agent(Places.from_environment(), system_parts()))
