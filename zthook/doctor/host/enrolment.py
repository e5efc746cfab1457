"""Does this host belong to an edge, and can nobody else read how it proves that?"""

import stat
from dataclasses import dataclass
from pathlib import Path

from zthook.doctor.finding import Finding, fail, ok
from zthook.doctor.host.case import HostCase

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class EnrolmentSeen:
    """``modes``: the credential and its folder, with the permission bits of each."""

    host: str
    edge: str
    modes: tuple[tuple[Path, int], ...]


def judge(seen: EnrolmentSeen) -> Finding:
    """Fails where others than root may read the credential."""
    for path, mode in seen.modes:
        if mode & OTHERS:
            return fail(
                f"others than root can read {path} (mode {mode:04o})",
                f"chmod go-rwx {path}; if somebody may have read it, on the edge: "
                f"zthook edge host rotate {seen.host} --now",
            )
    return ok(f"this host is {seen.host} at the edge {seen.edge}")


def check(case: HostCase) -> Finding:
    """Read host.toml and the credential."""
    credential, path = case.credential, case.places.credential
    _ = case.settings
    modes = ((path, stat.S_IMODE(path.stat().st_mode)),)
    return judge(EnrolmentSeen(credential.host, credential.where, modes))
