"""docs/api.md names every request and every error of the API."""

from tests.documents import DOCS
from tests.documents.markdown import code, read
from zthook import errors
from zthook.edge.openapi import OPERATIONS
from zthook.errors import ZthookError
from zthook.wire.faults import to_reply
from zthook.wire.messages import CHANGES_SECONDS, LONGEST_CHANGES_SECONDS

PAGE = read(DOCS / "api.md")
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ZthookError)
]


def test_every_request_has_a_row_in_the_order_of_the_description() -> None:
    rows = [code(row[0]) for row in PAGE.rows("The edge's API")]
    assert rows == [f"{one.method} {one.path}" for one in OPERATIONS]


def test_the_first_ones_are_those_that_want_no_credential() -> None:
    wanted = [one.authenticated for one in OPERATIONS]
    assert wanted == [False] * 4 + [True] * (len(OPERATIONS) - 4)


def test_every_error_has_a_row_with_its_status() -> None:
    replies = [to_reply(kind("it is so")) for kind in KINDS]
    rows = {(code(row[0]), int(row[1])) for row in PAGE.rows("Errors")}
    assert rows == {(body.error, status) for status, body in replies}


def test_the_long_request_is_as_long_as_the_page_says() -> None:
    row = next(row for row in PAGE.rows("The edge's API") if "changes" in row[0])
    assert f"after {CHANGES_SECONDS:.0f} seconds" in row[1]
    assert f"({LONGEST_CHANGES_SECONDS:.0f} at most)" in row[1]
