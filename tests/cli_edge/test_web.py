"""``zthook edge web``: where the page is, and its token."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from tests.cli_edge.conftest import Answer, Canned
from zthook.edge.admin_views import WebView

Serve = Callable[[dict[str, Answer]], Canned]
Zthook = Callable[..., tuple[int, str, str]]
TOKEN = "aaaaa-bbbbb-ccccc-ddddd-eeeee"


def a_view(**changes: Any) -> WebView:
    usual = WebView(
        wanted="overlay:9444",
        url="https://192.168.193.222:9444/",
        certificate_sha256="ab01" * 16,
        token="",
        token_made=time.time() - 7300,
        logged_in=2,
        watching=3,
        why="",
    )
    return msgspec.structs.replace(usual, **changes)


def test_where_it_is_and_which_certificate_to_expect(serve_canned: Serve, zthook: Zthook) -> None:
    canned = serve_canned({"web": lambda _: a_view()})
    code, out, _ = zthook("edge", "web")
    assert code == 0
    assert canned.asked == [("web", {"new_token": False})]
    assert "https://192.168.193.222:9444/" in out
    assert ":".join(["AB", "01"] * 16) in " ".join(out.split())
    assert "made 2 h ago" in out
    assert "2, and 3 pages open" in out


def test_a_new_token_is_printed(serve_canned: Serve, zthook: Zthook) -> None:
    canned = serve_canned({"web": lambda _: a_view(token=TOKEN)})
    code, out, _ = zthook("edge", "web", "--new-token")
    assert code == 0
    assert canned.asked == [("web", {"new_token": True})]
    assert TOKEN in out
    assert TOKEN not in repr(a_view(token=TOKEN))


def test_where_it_is_off(serve_canned: Serve, zthook: Zthook) -> None:
    why = "it is off: nothing is set as [web] listen in edge.toml"
    serve_canned({"web": lambda _: a_view(wanted=None, url=None, why=why, token_made=None)})
    code, out, _ = zthook("edge", "web")
    assert code == 1
    assert why in out
    assert 'listen = "overlay:9444"' in out
    assert "zthook edge web --new-token" in out


def test_where_it_should_be_and_is_not(serve_canned: Serve, zthook: Zthook) -> None:
    serve_canned({"web": lambda _: a_view(url=None, why="Address already in use")})
    code, out, _ = zthook("edge", "web")
    assert code == 1
    assert "Address already in use" in out
    assert "to have it" not in out
