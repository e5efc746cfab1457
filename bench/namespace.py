"""A network namespace for the benchmarks that change a kernel's tables."""

import contextlib
import os
import subprocess
from collections.abc import Iterator


@contextlib.contextmanager
def network_namespace(purpose: str) -> Iterator[str]:
    """Make a namespace with its loopback up; it is gone afterwards."""
    name = f"zthook-bench-{purpose}-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)
