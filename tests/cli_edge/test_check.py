"""``zthook edge status --check``: what monitoring hears of an edge."""

import time
from collections.abc import Callable

import msgspec
import pytest

from tests.cli_edge.conftest import Answer, Canned, Places
from tests.cli_edge.test_screens import a_host, a_report
from zthook.cli.check import Severity
from zthook.cli.edge_check import check_edge
from zthook.edge.admin_views import EdgeReport

Serve = Callable[[dict[str, Answer]], Canned]
Zthook = Callable[..., tuple[int, str, str]]

NOW = time.time()
"""When what is looked at was said, however much later a test runs."""
DOWN = "the overlay is down"
TWICE = "web1 runs on home1 and home2: the same UUID twice"
MISLED = "the router of uplink eth1 is not known"
FINE = a_report(hosts=[a_host()])


def deaf(report: EdgeReport, started: float) -> EdgeReport:
    status = msgspec.structs.replace(report.status, started=started)
    return msgspec.structs.replace(report, listening=None, status=status)


def pageless(report: EdgeReport) -> EdgeReport:
    why = "the web page can not be served at 192.168.193.222:9444: Address already in use"
    return msgspec.structs.replace(report, problems=[why], web=why)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (FINE, Severity.OK),
        (a_report(hosts=[], mappings={}), Severity.OK),
        (a_report(), Severity.WARNING),
        (a_report(hosts=[a_host(fault="two agents use the credential")]), Severity.WARNING),
        (a_report(TWICE, hosts=[a_host()], twice=[TWICE]), Severity.WARNING),
        (a_report(MISLED, hosts=[a_host()], misled=[MISLED]), Severity.WARNING),
        (pageless(FINE), Severity.WARNING),
        (a_report(DOWN, hosts=[a_host()]), Severity.CRITICAL),
        (a_report(TWICE, DOWN, twice=[TWICE]), Severity.CRITICAL),
        (deaf(FINE, NOW - 5), Severity.WARNING),
        (deaf(FINE, NOW - 300), Severity.CRITICAL),
    ],
)
def test_how_bad_it_is(report: EdgeReport, expected: Severity) -> None:
    assert check_edge(report, NOW).severity is expected


def test_one_line_with_what_can_be_drawn(serve_canned: Serve, zthook: Zthook) -> None:
    serve_canned({"status": lambda _: a_report()})
    code, out, err = zthook("edge", "status", "--check")
    assert (code, err) == (1, "")
    text, figures = out.splitlines()[0].split(" | ")
    assert text == "ZTHOOK EDGE WARNING - home2 is silent for 6 min, addresses held: 1"
    assert figures.split() == [
        *("hosts_up=1;;;0", "hosts_silent=1;0;;0", "active=3;;;0", "pending=1;;;0"),
        *("conflict=1;;;0", "refused=0;;;0", "withdrawn=0;;;0", "repairs=3c;;;0"),
        "pool_hk=5;;;0;21",
    ]


def test_a_daemon_that_is_away_is_critical_where_this_is_an_edge(
    zthook: Zthook, places: Places
) -> None:
    code, out, _ = zthook("edge", "status", "--check")
    assert (code, out[:19]) == (3, "ZTHOOK EDGE UNKNOWN")
    places.config.mkdir()
    (places.config / "edge.toml").touch()
    code, out, _ = zthook("edge", "status", "--check")
    assert (code, out[:20]) == (2, "ZTHOOK EDGE CRITICAL")
