"""``python -m tests.documents``: write docs/commands.md, docs/json/ and docs/man/ anew."""

from tests.documents import json_schemas, man_pages
from tests.documents.commands_page import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
json_schemas.write()
man_pages.write()
