"""Does the running guest ask for an address, in words that are right?"""

from zthook.doctor.finding import Finding, fail, ok
from zthook.doctor.host.case import HostCase
from zthook.errors import NotFound
from zthook.model.guests import Domain


def judge(domain: Domain) -> Finding:
    """Fails with the first problem of the annotation, or where there is none."""
    if domain.problems:
        return fail(
            f"the annotation is wrong: {domain.problems[0]}",
            f"zthook validate {domain.name} names each problem; mend it with virsh edit",
        )
    if domain.publication is None:
        return fail(
            f"{domain.name} asks for no address as it runs",
            f"zthook assign {domain.name} PUBLIC, or zthook apply {domain.name} after virsh edit",
        )
    asked = [str(one.public or "auto") for one in domain.publication.requests]
    return ok(f"it asks for {', '.join(asked)}")


def check(case: HostCase) -> Finding:
    """Judge what the check before it found."""
    if case.live is None:
        raise NotFound(f"{case.guest} does not run")
    return judge(case.live)
