"""Runs a target so many times, and counts."""

import logging
import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

from tests.fuzz.targets import Target


def run(target: Target, examples: int, seed: int | None = None) -> tuple[int, float]:
    """How often its reader ran, and in how many seconds.

    Raises what a broken promise raised, with the smallest input that does it. Without a seed
    it is the same each time.
    """
    ran = 0

    def once(given_input: Any) -> None:
        nonlocal ran
        ran += 1
        target.act(given_input)

    tried = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(given(target.inputs)(once))
    began = time.perf_counter()
    logging.disable(logging.WARNING)  # what a reader says of bad input, a million times
    try:
        (tried if seed is None else seeded(seed)(tried))()
    finally:
        logging.disable(logging.NOTSET)
    return ran, time.perf_counter() - began
