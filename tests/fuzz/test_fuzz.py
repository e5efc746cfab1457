"""A short run of each target, the same each time; ``python -m tests.fuzz`` searches."""

import pytest

from tests.fuzz.running import run
from tests.fuzz.targets import TARGETS, Target

EXAMPLES = 150


@pytest.mark.parametrize("name", TARGETS)
def test_no_promise_is_broken(name: str) -> None:
    ran, _ = run(TARGETS[name], EXAMPLES)
    assert ran >= EXAMPLES


def test_a_broken_promise_is_seen() -> None:
    def breaks(content: bytes) -> None:
        assert b"<" not in content

    with pytest.raises(AssertionError):
        run(Target(TARGETS["annotation"].inputs, breaks), EXAMPLES)
