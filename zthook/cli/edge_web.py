"""``zthook edge web``: where the edge's web page is, and the token that it is seen with."""

import time
from collections.abc import Iterator

import click

from zthook.cli import screen
from zthook.cli.commands import command, json_option
from zthook.cli.edge_ask import ask_edge_for
from zthook.cli.output import duration, print_json
from zthook.cli.screen import RED, styled
from zthook.cli.tables import labelled
from zthook.edge.admin_views import WebView

ON = 'to have it: [web] listen = "overlay:9444" in edge.toml, and systemctl reload zthook-edge'


def fingerprint(digest: str) -> str:
    """As browsers write it: pairs of capital digits."""
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)).upper()


def picture(web: WebView, now: float) -> Iterator[tuple[str, str]]:
    """What is told, as (label, text)."""
    yield "page", web.url or styled(web.why, RED if web.wanted else None)
    if web.wanted is None:
        yield "", ON
    yield "certificate", f"SHA-256 {fingerprint(web.certificate_sha256)}"
    yield "", "the browser warns of it, as this edge made it itself: compare it there once"
    if web.token:
        yield "token", web.token
        yield "", "told this once; who logged in with an earlier one is logged out"
    elif web.token_made is None:
        yield "token", "none yet: zthook edge web --new-token"
    else:
        ago = duration(now - web.token_made)
        yield "token", f"made {ago} ago (another one: zthook edge web --new-token)"
    yield "logins", f"{web.logged_in}, and {web.watching} pages open"


@command("web", example="zthook edge web --new-token")
@click.option(
    "--new-token",
    is_flag=True,
    help="Make a token to log in with, in place of the one before, and print it.",
)
@json_option
def web(*, new_token: bool, as_json: bool) -> int:
    """Where the web page is, the certificate to expect there, and who is logged in.

    The page shows what `zthook edge status`, `mappings` and `log` do, live, and changes
    nothing. It is off until edge.toml says where. Exits 1 where it is not served.
    """
    found = ask_edge_for(WebView, "web", new_token=new_token)
    if as_json:
        print_json(found)
    else:
        lines = labelled(list(picture(found, time.time())), width=screen.width())
        click.echo("\n".join(lines))
    return 0 if found.url or new_token else 1
