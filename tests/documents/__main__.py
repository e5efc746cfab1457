"""``python -m tests.documents``: write docs/commands.md anew from the commands' help."""

from tests.documents.commands_page import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
