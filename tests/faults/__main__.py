"""`python -m tests.faults --seed N --faults 1000`: a storm by hand, as root."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.faults.storm import Counts, storming

BURST = 100
"""Faults after which everything has to settle."""


def blow(seed: int, faults: int, folder: Path) -> Counts:
    """A storm in bursts, after each of which all is as it should be."""
    with storming(folder, seed) as storm:
        left = faults
        while left:
            burst = min(BURST, left)
            left -= burst
            storm.blow(burst)
            seconds = storm.settle()
            print(f"{faults - left} faults, settled in {seconds:.1f} s", flush=True)
        print(f"all guests stopped: nothing left after {storm.end():.1f} s", flush=True)
        storm.count_messages()
    return storm.counts


def report(counts: Counts) -> None:
    """The figures."""
    print(f"{counts.faults.total()} faults of {len(counts.faults)} kinds:")
    for name, number in sorted(counts.faults.items()):
        print(f"  {number:5} {name}")
    print(f"{counts.lives} guests started, {counts.refused_starts} that insist were refused;")
    print("  " + ", ".join(f"{number} {name}" for name, number in counts.loads.items()))
    print("messages: " + ", ".join(f"{number} {name}" for name, number in counts.messages.items()))
    print(f"settled within {max(counts.settled):.1f} s, {len(counts.settled)} times,")
    print(f"  with mappings of IPv6: {', '.join(map(str, counts.with_ipv6))};")
    print(f"flushed then, and right again within {max(counts.repaired):.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=1000)
    asked = parser.parse_args()
    logging.disable()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as folder:
        report(blow(asked.seed, asked.faults, Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
