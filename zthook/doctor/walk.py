"""Goes through checks in their order; one that hangs has failed, and the next has its turn."""

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, wait

from zthook.doctor.finding import Case, Check, Finding, Outcome, Told, fail, skipped
from zthook.errors import ZthookError

AS_ROOT = "run it as root (sudo)"
MORE = "journalctl -u zthook-agent -u zthook-edge says more"
STANDS = frozenset({Outcome.OK, Outcome.WARN})


def walk(checks: Iterable[Check[Case]], case: Case) -> Iterator[Told]:
    """What each check comes to, as soon as it is known."""
    outcomes: dict[str, Outcome] = {}
    for check in checks:
        lacking = [one for one in check.needs if outcomes.get(one) not in STANDS]
        if lacking:
            finding = skipped(f"nothing can be said of it without: {', '.join(lacking)}")
        else:
            finding = examine(check, case)
        outcomes[check.name] = finding.outcome
        yield Told(check.name, finding.outcome, finding.seen, finding.next)


def examine(check: Check[Case], case: Case) -> Finding:
    """One check in a thread of its own, which is left behind where it is late."""
    job: Future[Finding] = Future()
    threading.Thread(target=_settle, args=(job, check, case), name=check.name, daemon=True).start()
    done, _ = wait([job], check.seconds)
    if not done:
        return fail(f"no answer within {check.seconds:g} s", check.late or MORE)
    try:
        return job.result()
    except ZthookError as error:
        return fail(error.message, error.hint or MORE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        refused = isinstance(error, PermissionError) and os.geteuid() != 0
        return fail(f"{where}{error.strerror or error}", AS_ROOT if refused else MORE)


def _settle(job: "Future[Finding]", check: Check[Case], case: Case) -> None:
    try:
        job.set_result(check.look(case))
    except BaseException as error:
        job.set_exception(error)


def is_well(told: Iterable[Told]) -> bool:
    """Whether no check failed; warnings are fine."""
    return all(one.outcome is not Outcome.FAIL for one in told)
