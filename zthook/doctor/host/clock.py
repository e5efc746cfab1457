"""Is this machine's clock right, as the edge's certificate is judged by it?"""

from zthook.doctor.finding import Finding, fail, ok, skipped, warn
from zthook.doctor.host.asking import Asked
from zthook.doctor.host.case import HostCase

SET = "timedatectl set-ntp true, here and on the edge"
MOST_SECONDS = 60.0


def judge(asked: Asked) -> Finding:
    """Warns from a minute on; fails where the certificate does not count because of it."""
    if asked.untimely:
        return fail(f"by this clock the edge's certificate does not count: {asked.error}", SET)
    if asked.ahead is None:
        return skipped("the edge did not say what time it has")
    if abs(asked.ahead) > MOST_SECONDS:
        way = "ahead of" if asked.ahead > 0 else "behind"
        return warn(f"this clock is {abs(asked.ahead):.0f} s {way} the edge's", SET)
    return ok("as the edge's, within a minute")


def check(case: HostCase) -> Finding:
    """Compare with what the edge said."""
    return judge(case.asked)
