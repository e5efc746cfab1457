"""However a lab ends, nothing of it is left on the machine."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab import Lab, sweep, wait_until
from tests.lab.namespace import NETNS, processes_in

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.netns


def traces(prefix: str) -> list[str]:
    """Everything on this machine that bears a lab's name."""
    found = [str(path) for path in NETNS.glob(f"{prefix}*")]
    found += [str(path) for path in Path("/tmp").glob(f"{prefix}*")]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found += [line for line in mounts if prefix in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if prefix in words:
            found.append(f"{process.name}: {words}")
    return found


def links() -> str:
    """The links of the machine's own namespace."""
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def in_namespace(process: Path, identities: list[int]) -> bool:
    """Whether a process is in one of these network namespaces."""
    try:
        return (process / "ns/net").stat().st_ino in identities
    except OSError:
        return False


@contextmanager
def by_hand(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m tests.lab ARGUMENTS…`, in a session of its own."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.lab", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def await_directions(child: subprocess.Popen[str]) -> None:
    """Return once the lab says how to enter it."""
    assert child.stdout is not None
    while not (line := child.stdout.readline()).startswith("Everything"):
        assert line, "it ended before it was up"


def test_after_an_exception() -> None:
    before = links()
    lab = Lab(hosts=["home1"])
    seen: dict[str, list[int]] = {}

    def fails_in_the_lab() -> None:
        with lab:
            lab["home1"].start("sleeper", "sh", "-c", "setsid sleep 1000 & exec sleep 1000")
            lab["home1"].fake_guest("fake1")
            paths = list(NETNS.glob(f"{lab.prefix}*"))
            seen[lab.prefix] = [path.stat().st_ino for path in paths]
            assert len(processes_in(paths)) >= 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_in_the_lab()
    [(prefix, identities)] = seen.items()
    assert traces(prefix) == []
    processes = Path("/proc").glob("[0-9]*")
    assert not any(in_namespace(process, identities) for process in processes)
    assert links() == before
    lab.close()


@pytest.mark.lab
def test_after_ctrl_c_on_a_running_lab() -> None:
    with by_hand("up", "--host", "home1", "--guests") as child:
        await_directions(child)
        assert len(traces(f"zh{child.pid}.")) > 5
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
        assert traces(f"zh{child.pid}.") == []


def test_after_sigterm_while_it_is_built() -> None:
    with by_hand("up") as child:
        wait_until(lambda: list(NETNS.glob(f"zh{child.pid}.*")), 20, "a first namespace")
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 130
        assert traces(f"zh{child.pid}.") == []


@pytest.mark.lab
def test_a_killed_lab_is_swept_by_the_next_one() -> None:
    """Also where that is one of another process of these tests."""
    with by_hand("up", "--host", "home1", "--guests") as child:
        await_directions(child)
        child.kill()
        # Dead, but not gone while nobody has waited for it: nobody sweeps yet.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert traces(f"zh{child.pid}.") != []
        child.wait()
        sweep()
        assert traces(f"zh{child.pid}.") == []
