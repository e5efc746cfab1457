"""Alerts, dashboard and metrics as Prometheus' own tool sees them (Debian's package)."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli_edge.test_screens import a_mapping, a_report
from tests.cli_host.conftest import STATUS
from tests.documents.test_monitoring import ALERTS, DASHBOARD, expressions
from tests.lab.commands import run
from tests.lab.image import cache_folder
from zthook.edge import metrics as edge
from zthook.host import metrics as host
from zthook.metrics.exposition import written
from zthook.metrics.readings import Readings
from zthook.model.durations import Durations

pytestmark = pytest.mark.long

TRIALS = Path(__file__).with_name("alerts.test.yml")


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Kept beside the lab's guest image: the package is 19 MB."""
    kept = cache_folder() / "promtool"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            # apt's own user may not write into our folder, and says so at length.
            download = "apt-get -q -o APT::Sandbox::User=root download prometheus"
            run(["sh", "-c", f"cd {scratch} && {download}"], timeout=300)
            run(["dpkg", "-x", next(Path(scratch).glob("*.deb")), f"{scratch}/unpacked"])
            (Path(scratch) / "unpacked/usr/bin/promtool").rename(kept)
    return kept


def test_the_alert_rules_are_rules_and_fire_when_they_should(promtool: Path) -> None:
    run([promtool, "check", "rules", ALERTS], timeout=60)
    run([promtool, "test", "rules", TRIALS], timeout=60)


def test_what_the_dashboard_asks_can_be_asked(promtool: Path, tmp_path: Path) -> None:
    asked = [
        re.sub(r"\$__rate_interval", "5m", one).replace("$host", ".*")
        for one in expressions(DASHBOARD)
    ]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(asked)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    run([promtool, "check", "rules", file], timeout=60)


def of_a_host() -> Readings:
    return host.readings(STATUS, Durations(), 3, now=0.0)


def of_an_edge() -> Readings:
    return edge.readings(edge.Seen(a_report(), [a_mapping()], {401: 1}, Durations()))


@pytest.mark.parametrize("read", [of_a_host, of_an_edge], ids=["host", "edge"])
def test_names_and_kinds_are_as_they_should_be(
    promtool: Path, read: Callable[[], Readings]
) -> None:
    body, _ = written(read(), "")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=body, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
