"""docs/json/ has the schema of everything that is printed with --json, as it is now."""

import re

import pytest

from tests.documents import DOCS
from tests.documents.commands_page import every_command
from tests.documents.json_schemas import FOLDER, PRINTED, place, text
from tests.documents.markdown import code, read

ROWS = read(DOCS / "commands.md").rows("What --json prints")


@pytest.mark.parametrize("command", PRINTED)
def test_the_schema_is_that_of_what_is_printed_now(command: str) -> None:
    written = place(command).read_text(encoding="utf-8")
    assert written == text(command), "write it anew: python -m tests.documents"


def test_every_command_with_json_has_one() -> None:
    able = {
        context.command_path
        for command, context in every_command()
        if any("--json" in option.opts for option in command.params)
    }
    assert {name.removesuffix(" GUEST") for name in PRINTED} == able
    assert {path.name for path in FOLDER.iterdir()} == {place(one).name for one in PRINTED}


def test_every_one_has_a_row() -> None:
    listed = {code(row[0]): re.findall(r"\((json/[\w-]+\.json)\)", row[1]) for row in ROWS}
    assert listed == {one: [f"json/{place(one).name}"] for one in PRINTED}
