"""``python -m tests.fuzz [TARGET…] [--examples N] [--seed N]``: fuzz, and count the executions."""

import argparse
import secrets

from tests.fuzz.running import run
from tests.fuzz.targets import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--examples", type=int, default=10_000, help="of each target")
    parser.add_argument("--seed", type=int, help="repeats a run")
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    total = 0
    for name in options.targets or TARGETS:
        ran, seconds = run(TARGETS[name], options.examples, seed)
        total += ran
        print(f"{name:<14} {ran:>9} executions in {seconds:7.1f} s, no promise broken", flush=True)
    print(f"{'all':<14} {total:>9}")


main()
