"""Routes as ``ip`` lists them: a full edge has tens of thousands, which it reads in a blink.

Single routes are set and asked for over our own socket; decoding each of 10,000 there takes
seconds, the program and its JSON take some 40 ms.
"""

import json
import subprocess
from typing import Any

from zthook.errors import KernelError

DEADLINE = 30.0


def listed_routes(family: int, *selectors: str) -> list[dict[str, Any]]:
    """The routes of a family (4 or 6) that match, as `ip -N -j -d route show` has them."""
    command = ["ip", "-N", "-j", "-d", f"-{family}", "route", "show", *selectors]
    try:
        done = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=True)
    except subprocess.CalledProcessError as error:
        raise KernelError(f"listing routes: {error.stderr.decode().strip()}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"listing routes: `ip` did not run: {error}") from error
    found: list[dict[str, Any]] = json.loads(done.stdout or b"[]")
    return found
