"""``python -m bench [NAME…] [--rounds N]``: run benchmarks, print their tables."""

import argparse

from bench import (
    claims,
    commands,
    dataplane,
    edge,
    floods,
    guests,
    hook,
    load,
    redial,
    strangers,
)

BENCHMARKS = {
    "hook": hook.run,
    "guests": guests.run,
    "commands": commands.run,
    "claims": claims.run,
    "dataplane": dataplane.run,
    "edge": edge.run,
    "floods": floods.run,
    "load": load.run,
    "redial": redial.run,
    "strangers": strangers.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="install.sh bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    parser.add_argument("--rounds", type=int, help="rounds of each (10 of all, 30 of those named)")
    options = parser.parse_args()
    rounds = options.rounds or (30 if options.names else 10)
    for name in options.names or BENCHMARKS:
        for lines in BENCHMARKS[name](rounds):
            print(lines, flush=True)


main()
