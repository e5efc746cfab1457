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
    parser.add_argument("--rounds", type=int, default=30, help="rounds of each benchmark")
    options = parser.parse_args()
    for name in options.names or BENCHMARKS:
        for lines in BENCHMARKS[name](options.rounds):
            print(lines, flush=True)


main()
