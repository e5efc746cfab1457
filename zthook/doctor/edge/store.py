"""Can the store be read, and only by root?"""

import stat
from contextlib import closing
from pathlib import Path

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, counted, fail, ok
from zthook.store.reading import ReadLedger
from zthook.store.rows import Standing

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def judge(hosts: int, held: int, modes: tuple[tuple[Path, int], ...]) -> Finding:
    """``modes``: what nobody else may read, with the permission bits of each."""
    for path, mode in modes:
        if mode & OTHERS:
            return fail(
                f"others than root can read {path} (mode {mode:04o})", f"chmod go-rwx {path}"
            )
    return ok(f"{counted(hosts, 'host')}, {counted(held, 'address')} held")


def check(case: EdgeCase) -> Finding:
    """Read it; raises StoreError."""
    with closing(ReadLedger(case.places.store)) as ledger:
        hosts, held = len(ledger.hosts()), len(ledger.claims(Standing.HOLDING))
    secret = [case.places.store, *sorted(case.places.edge_keys.glob("*.key"))]
    return judge(hosts, held, tuple((one, stat.S_IMODE(one.stat().st_mode)) for one in secret))
