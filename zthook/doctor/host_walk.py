"""A host's checks, in the order in which a packet, and what decides over it, meets them."""

from zthook.doctor.finding import Check
from zthook.doctor.host import (
    agent,
    annotation,
    answer,
    clock,
    edge,
    enrolment,
    firewalls,
    foreign,
    forwarding,
    guest,
    hook,
    libvirt,
    mapping,
    neighbour,
    overlay,
    path,
    private,
    redial,
    return_filter,
    table,
    traffic,
    way,
)
from zthook.doctor.host.case import HostCase

LIBVIRT_SECONDS, GUEST_SECONDS = 4.0, 6.0
"""A hook may hold its own guest up for five."""

HOST = (
    Check("enrolment", enrolment.check),
    Check("hook", hook.check),
    Check("libvirt", libvirt.check, ("enrolment",), LIBVIRT_SECONDS, libvirt.LATE),
    Check("agent", agent.check, late=agent.LATE),
    Check("overlay", overlay.check, ("enrolment",)),
    Check("neighbour", neighbour.check, ("overlay",)),
    Check("path", path.check, ("overlay",)),
    Check("packet size", path.check_size, ("path",), 20.0),
    Check("redial", redial.check, ("overlay", "agent")),
    Check("edge", edge.check, ("path",), late=edge.REACH),
    Check("clock", clock.check, ("edge",)),
    Check("flow rules", foreign.check, ("path",)),
    Check("rp_filter", return_filter.check, ("overlay",)),
    Check("our table", table.check, ("enrolment",)),
    Check("forwarding", forwarding.check, ("enrolment",)),
    Check("firewalls", firewalls.check, ("enrolment",), 30.0),
    Check("way back", way.check, ("overlay",)),
)
"""Without a guest."""

GUEST = (
    Check("guest", guest.check, ("libvirt",), GUEST_SECONDS, libvirt.LATE),
    Check("annotation", annotation.check, ("guest",)),
    Check("mapping", mapping.check, ("annotation", "agent")),
    Check("private address", private.check, ("annotation", "agent")),
    Check("answer", answer.check, ("private address",), 30.0),
    Check("traffic", traffic.check, ("mapping",)),
)
"""Of one guest, after those."""


def host_checks(guest: str) -> tuple[Check[HostCase], ...]:
    """All of them; ``guest`` "" for none."""
    return HOST + GUEST if guest else HOST
