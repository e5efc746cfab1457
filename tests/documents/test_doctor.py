"""docs/troubleshooting.md has a row for each check of `zthook doctor`, in their order."""

from tests.documents import DOCS
from tests.documents.markdown import code, read
from zthook.doctor.edge_walk import EDGE
from zthook.doctor.host_walk import host_checks


def test_every_check_has_a_row() -> None:
    rows = read(DOCS / "troubleshooting.md").rows("What zthook doctor looks at")
    checks = [one.name for one in host_checks("GUEST")] + [one.name for one in EDGE]
    assert [code(row[0]) for row in rows] == checks
