"""docs/troubleshooting.md has every reason that a mapping can be given, and no other."""

import pytest

from tests.documents import DOCS
from tests.documents.markdown import code, read
from tests.documents.reasons import filling, reasons, texts
from zthook.model.mappings import MappingState

PAGE = read(DOCS / "troubleshooting.md")
TOLD_IN_FULL = (
    "zthook/host/claims.py",
    "zthook/host/finding.py",
    "zthook/host/placement.py",
    "zthook/host/addresses.py",
    "zthook/host/report.py",
    "zthook/host/sharing.py",
    "zthook/host/later.py",
    "zthook/host/gateway.py",
    "zthook/host/hooks.py",
    "zthook/edge/grounds.py",
    "zthook/edge/verdicts.py",
    "zthook/edge/granting.py",
    "zthook/edge/reservations.py",
    "zthook/edge/sight.py",
    "zthook/edge/outlook.py",
)
"""Every text of these is a reason, or part of one."""
TOLD_IN_PART = (
    "hooks/qemu",
    "zthook/host/daemon.py",
    "zthook/host/edge_http.py",
    "zthook/host/enrolment.py",
    "zthook/edge/requests.py",
    "zthook/edge/presence.py",
    "zthook/edge/enrolment.py",
    "zthook/edge/sessions.py",
    "zthook/edge/macs.py",
    "zthook/kernel/protected.py",
    "zthook/wire/token.py",
    "zthook/wire/tls.py",
    "zthook/cli/join.py",
    "zthook/cli/entering.py",
    "zthook/cli/edge_controller.py",
    "zthook/overlay/zerotier.py",
    "zthook/overlay/zerotier_api.py",
)
TABLES = (
    "Refused by the host",
    "Refused by the edge",
    "Conflict",
    "Pending",
    "Active, with a reason",
    "The guest does not start",
    "Something does not answer",
    "Joining",
)
PARTS = ("edge", "guests", "via", "overlay", "libvirt", "this host's kernel")
"""The names under which `zthook status` tells what does not answer."""

REASONS = [code(row[0]) for heading in TABLES for row in PAGE.rows(heading)]
TOLD = [one for file in (*TOLD_IN_FULL, *TOLD_IN_PART) for one in reasons(file)]
FILLING = filling(one for file in TOLD_IN_FULL for one in texts(file))
SPANS = "\n".join(text for _, text in PAGE.spans)


@pytest.mark.parametrize("file", TOLD_IN_FULL)
def test_every_reason_is_on_the_page(file: str) -> None:
    said = reasons(file)
    assert said
    assert [one.shown for one in said if not one.is_in(SPANS)] == []


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_on_the_page_can_be_given(reason: str) -> None:
    part, _, rest = reason.partition(": ")
    said = rest if part in PARTS else reason
    if said == "REASON":
        return  # whatever that part says of itself
    lines = {said, said.removeprefix("waits ")}
    assert any(one.can_be(line, FILLING) for one in TOLD for line in lines)


@pytest.mark.parametrize(
    "reason",
    [
        "the token for HOST has been eaten",
        "waits for the moon",
        "ADDRESS is held by guest NAME on HOST.",
    ],
)
def test_a_reason_that_nobody_gives_is_found(reason: str) -> None:
    with pytest.raises(AssertionError):
        test_every_reason_on_the_page_can_be_given(reason)


def test_the_parts_that_may_not_answer_are_those_of_status() -> None:
    rows = [code(row[0]) for row in PAGE.rows("Something does not answer")]
    assert {row.partition(": ")[0] for row in rows} == set(PARTS)


def test_every_state_is_explained() -> None:
    rows = {code(row[0]) for row in PAGE.rows("Troubleshooting")}
    assert rows == {state.value for state in MappingState}
