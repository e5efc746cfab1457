"""The options of ``zthook assign``: one ``<zthook:address>`` as a command line."""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import click

from zthook.errors import UsageError
from zthook.host.publishing import read_port
from zthook.model.addresses import IPAddress
from zthook.model.publication import AddressRequest, Client, Egress, Mode

Read = Callable[[str], Any]
"""Makes a value of a word, or raises ValueError or UsageError, saying what is wrong."""


def reading(read: Read) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that reads what the command line holds, one word or several."""

    def one(context: click.Context, parameter: click.Parameter, word: str) -> Any:
        try:
            return read(word)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from error
        except UsageError as error:
            what = f"{error.message}: {error.hint}"
            raise click.BadParameter(what, context, parameter) from error

    def callback(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(one(context, parameter, word) for word in given)
        return None if given is None else one(context, parameter, given)

    return callback


def read_public(text: str) -> tuple[IPAddress | None]:
    """In a tuple, as a bare None is what click has for an argument that is not there."""
    return (None if text == "auto" else ip_address(text),)


OPTIONS = (
    click.option(
        "--port",
        "ports",
        multiple=True,
        callback=reading(read_port),
        metavar="PROTO/PORT[:TARGET]",
        help="Only this port, as tcp/80:8080 or udp/27000-27100; may be repeated.",
    ),
    click.option(
        "--mode",
        type=click.Choice([one.value for one in Mode]),
        default="nat",
        show_default=True,
        help="Who translates: the edge (nat) or the host (routed).",
    ),
    click.option(
        "--client",
        type=click.Choice([one.value for one in Client]),
        help="Whether the guest sees the client's own address; by default what fits its network.",
    ),
    click.option(
        "--egress",
        type=click.Choice([one.value for one in Egress]),
        default="home",
        show_default=True,
        help="By which line the guest's own connections leave.",
    ),
    click.option(
        "--allow",
        multiple=True,
        callback=reading(ip_network),
        metavar="CIDR",
        help="Only from these sources; may be repeated.",
    ),
    click.option(
        "--private",
        callback=reading(ip_address),
        metavar="ADDRESS",
        help="The guest's own address; else it is found.",
    ),
    click.option("--interface", metavar="MAC", help="The interface, where the guest has several."),
    click.option("--pool", metavar="NAME", help="The pool that `auto` takes an address from."),
    click.option("--required", is_flag=True, help="The guest may not start without it."),
)


def with_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give ``function`` the options that make an AddressRequest."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def request_of(public: IPAddress | None, options: dict[str, Any]) -> AddressRequest:
    """The request that the command line describes."""
    interface = options["interface"]
    return AddressRequest(
        public=public,
        pool=options["pool"],
        private=options["private"],
        mode=Mode(options["mode"]),
        client=Client(options["client"]) if options["client"] else None,
        interface=interface.lower() if interface else None,
        egress=Egress(options["egress"]),
        required=options["required"],
        ports=tuple(options["ports"]),
        allow=tuple(options["allow"]),
    )
