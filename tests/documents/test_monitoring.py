"""docs/monitoring.md lists the metrics and figures there are; nothing asks for others."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli_edge.test_screens import a_report
from tests.cli_host.conftest import STATUS
from tests.documents import DOCS, ROOT
from tests.documents.markdown import code, read
from zthook.cli.edge_check import check_edge
from zthook.cli.status_check import check_host
from zthook.edge import metrics as edge
from zthook.host import metrics as host
from zthook.metrics.readings import Metric

PAGE = read(DOCS / "monitoring.md")
DASHBOARD = DOCS / "monitoring" / "grafana-dashboard.json"
ALERTS = DOCS / "monitoring" / "alerts.yml"
TABLES = {"Metrics of a host": host.METRICS, "Metrics of an edge": edge.METRICS}
PROCESS = {code(row[0]) for row in PAGE.rows("Metrics of both")}
SUFFIXES = {"gauge": ("",), "counter": ("",), "histogram": ("_bucket", "_sum", "_count")}
KNOWN = {
    one.name + suffix
    for metrics in TABLES.values()
    for one in metrics
    for suffix in SUFFIXES[one.kind]
}


@pytest.mark.parametrize("heading", TABLES)
def test_the_table_lists_exactly_the_metrics_there_are(heading: str) -> None:
    rows = [(code(row[0]), row[1], re.findall(r"`(\w+)`", row[2])) for row in PAGE.rows(heading)]
    assert rows == [(one.name, one.kind, list(one.labels)) for one in TABLES[heading]]


@pytest.mark.parametrize("metric", [*host.METRICS, *edge.METRICS], ids=lambda one: one.name)
def test_names_are_as_prometheus_wants_them(metric: Metric) -> None:
    side = "host" if metric in host.METRICS else "edge"
    assert re.fullmatch(rf"zthook_{side}_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") is (metric.kind == "counter")
    assert metric.help.endswith(".")
    assert not set(metric.labels) & {"le", "job", "instance", "quantile"}


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions(path: Path) -> list[str]:
    if path == ALERTS:
        return re.findall(r"^ +expr: (.+)$", path.read_text(), re.MULTILINE)
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=lambda path: path.name)
def test_what_is_asked_for_exists(path: Path) -> None:
    asked = [re.findall(r"\b(?:zthook|process)_\w+|\bup\b", one) for one in expressions(path)]
    assert all(asked), "each asks for something"
    assert {name for names in asked for name in names} <= KNOWN | PROCESS | {"up"}


@pytest.mark.parametrize("path", [DASHBOARD, ALERTS], ids=lambda path: path.name)
def test_the_labels_asked_for_exist(path: Path) -> None:
    labels = {name for one in (*host.METRICS, *edge.METRICS) for name in one.labels}
    for expression in expressions(path):
        matched = re.findall(r"(\w+)(?:=~|!~|!=|=)\"", expression)
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        asked = {*matched, *(name for group in grouped for name in group.split(", "))}
        assert asked <= labels | {"job", "instance", "le"}, expression


def test_every_alert_is_tried_and_told_of() -> None:
    rules = ALERTS.read_text()
    named = re.findall(r"- alert: (\w+)", rules)
    tried = re.findall(r'alertname="(\w+)"', (ROOT / "tests/metrics/alerts.test.yml").read_text())
    assert named == tried
    assert len(
        re.findall(r"severity: (?:critical|warning)$", ALERTS.read_text(), re.MULTILINE)
    ) == len(named)


def test_no_panel_lies_on_another() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_figure_of_check_has_a_row() -> None:
    listed = {name for row in PAGE.rows("One line and an exit code") for name in _names(row)}
    told = [*check_host(STATUS, 0.0).measures, *check_edge(a_report(), 0.0).measures]
    assert {re.sub(r"^pool_.*", "pool_NAME", one.name) for one in told} <= listed


def _names(row: tuple[str, ...] | list[str]) -> list[str]:
    return re.findall(r"`(\w+)`", row[0])
