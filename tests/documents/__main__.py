"""``python -m tests.documents``: write docs/commands.md and docs/json/ anew."""

from tests.documents import json_schemas
from tests.documents.commands_page import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
json_schemas.write()
