"""Is libvirt's hook there, does it ask our agent, and has libvirtd looked for it?"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from zthook.doctor.finding import Finding, fail, ok, warn
from zthook.doctor.host.case import HostCase

PLACES = (Path("/etc/libvirt/hooks/qemu.d/zthook"), Path("/etc/libvirt/hooks/qemu"))
OURS, SOCKET = "urn:zthook:1", "socket="
DAEMONS = frozenset({"libvirtd", "virtqemud"})
RESTART = "systemctl restart libvirtd (guests keep running)"
SURE_SECONDS = 1.0
"""What two clocks may differ by, of which one counts in hundredths of a second."""
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class HookSeen:
    """``place`` None: there is no hook of ours. Times are seconds since the machine started.

    ``began`` is when libvirtd did, None where none runs; ``put`` when the file came.
    """

    place: Path | None
    runs: bool = False
    asks: str = ""
    put: float = 0.0
    began: float | None = None


def judge(seen: HookSeen, socket: Path) -> Finding:
    """Warns where libvirtd may not know of the hook yet: only required guests need it."""
    if seen.place is None:
        return fail(f"there is no hook of ours at {PLACES[0]}", "./install.sh host")
    if not seen.runs:
        return fail(f"{seen.place} is not executable", f"chmod 755 {seen.place}; then {RESTART}")
    if seen.asks != str(socket):
        return fail(
            f"{seen.place} asks {seen.asks or 'nobody'}, and the agent listens at {socket}",
            f"write {SOCKET}{socket} into {seen.place}, or run ./install.sh host again",
        )
    if seen.began is not None and seen.began + SURE_SECONDS < seen.put:
        return warn(
            f"libvirtd runs since before {seen.place} was written, so it may not call it: "
            'guests are noticed, but required="yes" keeps none from starting',
            RESTART,
        )
    return ok(f"{seen.place}, older than libvirtd" if seen.began is not None else f"{seen.place}")


def check(case: HostCase) -> Finding:
    """Look at the file, and for libvirtd among the processes."""
    return judge(look(), case.places.hook_socket)


def look() -> HookSeen:
    """The hook that is there."""
    place = next((one for one in PLACES if _is_ours(one)), None)
    if place is None:
        return HookSeen(None)
    lines = place.read_text(encoding="utf-8", errors="replace").splitlines()
    asks = next((one.removeprefix(SOCKET) for one in lines if one.startswith(SOCKET)), "")
    age = _now() - place.stat().st_ctime
    return HookSeen(place, os.access(place, os.X_OK), asks, _boottime() - age, libvirtd_began())


def _is_ours(place: Path) -> bool:
    return place.is_file() and OURS in place.read_text(encoding="utf-8", errors="replace")


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _now() -> float:
    return time.time()


def libvirtd_began(proc: Path = PROC) -> float | None:
    """When the libvirtd of this network namespace started, seconds after the machine did."""
    here = (proc / "thread-self" / "ns" / "net").stat().st_ino
    found = (_began(one, here) for one in proc.iterdir() if one.name.isdigit())
    return max((one for one in found if one is not None), default=None)


def _began(process: Path, network: int) -> float | None:
    try:
        name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
        if name not in DAEMONS or (process / "ns" / "net").stat().st_ino != network:
            return None
    except OSError:
        return None  # it ended while we looked
    return int(rest.split()[19]) / os.sysconf("SC_CLK_TCK")
