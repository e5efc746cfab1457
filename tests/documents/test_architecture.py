"""docs/architecture.md has every room of the house, and its layers as they are enforced."""

import re
import tomllib

from tests.documents import DOCS, ROOT
from tests.documents.markdown import code, read

PAGE = read(DOCS / "architecture.md")


def test_every_package_has_a_row_and_every_row_is_a_folder() -> None:
    rows = {code(row[0]) for row in PAGE.rows("The rooms")}
    packages = {f"zthook/{path.parent.name}/" for path in (ROOT / "zthook").glob("*/__init__.py")}
    assert packages == {row for row in rows if row.startswith("zthook/")}
    assert [row for row in rows if not (ROOT / row).is_dir()] == []


def test_the_layers_are_those_that_are_enforced() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    names = (re.sub(r" [:|] ", ", ", layer.replace("zthook.", "")) for layer in layers)
    assert " → ".join(names) in [text for _, text in PAGE.spans]
