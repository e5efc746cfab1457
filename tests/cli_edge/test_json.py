"""What is printed with --json is what its schema says, command by command."""

import json
from collections.abc import Callable

import jsonschema_rs
import msgspec
import pytest

from tests.cli_edge.conftest import Answer, Canned
from tests.cli_edge.test_screens import HK, TestHost, a_host, a_mapping, a_report, an_event
from tests.documents.json_schemas import PRINTED, check
from zthook.edge.admin_views import Knock, WebView
from zthook.edge.views import Released

Serve = Callable[[dict[str, Answer]], Canned]
Zthook = Callable[..., tuple[int, str, str]]

ANSWERS: dict[str, Answer] = {
    "status": lambda _: a_report("the overlay is down", overlay=None),
    "mappings": lambda _: [a_mapping(), a_mapping(public=None, private=None, traffic=None)],
    "hosts": lambda _: [a_host(), a_host(enrolled=False, lease="none", path=None, mac=None)],
    "pools": lambda _: [HK],
    "events": lambda _: [an_event(), an_event(private=None)],
    "host_add": lambda _: TestHost.ADDED,
    "host_rotate": lambda _: msgspec.structs.replace(TestHost.ADDED, member=None),
    "knocking": lambda _: [Knock(member="5d4548d482")],
    "web": lambda _: WebView(
        wanted="overlay:9444",
        url=None,
        certificate_sha256="ab" * 32,
        token="",
        token_made=None,
        logged_in=0,
        watching=0,
        why="the overlay is down",
    ),
    "release": lambda _: Released(public="203.0.113.10", guest="web1", host="home1"),
}
MORE = {
    "zthook edge host add": ["home1"],
    "zthook edge host rotate": ["home1"],
    "zthook edge release": ["203.0.113.10"],
}


@pytest.mark.parametrize("command", [one for one in PRINTED if one.startswith("zthook edge")])
def test_it_is_as_its_schema_says(serve_canned: Serve, zthook: Zthook, command: str) -> None:
    serve_canned(ANSWERS)
    _, out, err = zthook(*command.split()[1:], *MORE.get(command, ()), "--json")
    assert check(out, command), err


def test_the_schema_notices_what_is_missing_or_otherwise(
    serve_canned: Serve, zthook: Zthook
) -> None:
    serve_canned(ANSWERS)
    whole = json.loads(zthook("edge", "mappings", "--json")[1])
    for field in whole[0]:
        less = [{name: value for name, value in whole[0].items() if name != field}]
        with pytest.raises(jsonschema_rs.ValidationError):
            check(json.dumps(less), "zthook edge mappings")
    with pytest.raises(jsonschema_rs.ValidationError):
        check(json.dumps([whole[0] | {"state": "odd"}]), "zthook edge mappings")
    check(json.dumps([whole[0] | {"newer": 1}]), "zthook edge mappings")
