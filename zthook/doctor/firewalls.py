"""Is our rule in each firewall that could stop what is mapped? On hosts and edges."""

from collections.abc import Sequence

from zthook.doctor.finding import Finding, fail, ok, warn
from zthook.kernel.firewalls.firewalld import TABLE
from zthook.kernel.firewalls.inspecting import Standing


def judge(found: Sequence[Standing], daemon: str, amiss: Sequence[str] = ()) -> Finding:
    """Fails where one stops what is mapped, and has no rule of ours before that.

    Of firewalld's own table it is not to be seen: ``amiss`` is what it lacks, a line each.
    """
    if amiss:
        return fail(
            amiss[0], 'docs/troubleshooting.md has it, under "It is active, and nothing answers"'
        )
    for one in found:
        if one.stops and not one.opened and not one.owned:
            return fail(
                f"{_named(one)} can stop what is mapped, and our rule is not before that",
                f"systemctl restart {daemon}, which puts it in; what takes it out?",
            )
    for one in found:
        if one.owned and one.stops and f" {TABLE} " not in one.where:
            return warn(
                f"{_named(one)} may stop what is mapped, and only its owner can change it",
                "let that program forward the overlay's packets",
            )
    standing = [_named(one) for one in found if one.stops]
    return ok(f"open: {'; '.join(standing)}" if standing else "none stops what is forwarded")


def _named(one: Standing) -> str:
    return f"{one.where} ({', '.join(one.whose)})" if one.whose else one.where
