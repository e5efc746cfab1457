"""Does the edge answer this host, and take what it says?"""

from zthook.doctor.finding import Finding, fail, ok, warn
from zthook.doctor.host.asking import Asked
from zthook.doctor.host.case import HostCase
from zthook.host.health import Health

REACH = "is the overlay up on both (ping it)? on the edge: systemctl status zthook-edge"
AGAIN = "was the edge set up anew? then: zthook leave --force, and zthook join TOKEN"


def judge(where: str, asked: Asked, agents: Health | None) -> Finding:
    """``agents`` is how the agent finds it, None where that is not known."""
    if asked.stranger:
        return fail(f"what answers at {where} is not the edge this host joined", AGAIN)
    if asked.error and not asked.untimely:
        return fail(f"the edge at {where} does not answer: {asked.error}", REACH)
    if agents is not None and agents.up is False and not asked.untimely:
        if agents.refusing:
            return fail(f"the edge refuses this host: {agents.error}", agents.hint or AGAIN)
        return warn(
            f"{where} answers, and the agent says: {agents.error}",
            "it tries again by itself: look once more in a minute",
        )
    return ok(f"{where} answers")


def check(case: HostCase) -> Finding:
    """Ask it, and the agent about it."""
    agents = case.agent.edge_health if case.agent else None
    return judge(case.credential.where, case.asked, agents)
