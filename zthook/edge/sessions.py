"""Which messages of a host still count: sessions, sequences, and one agent a credential.

A session is opened, and counts from the first message in it on. Whose request for one came
late, when it had ended already, never sends any, so that it takes nothing from its successor.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from msgspec.structs import replace

from zthook.errors import StaleMessage, StaleSession, TwoAgents
from zthook.store.rows import HostRow

REMEMBERED = 16
"""Superseded agents kept in mind for each host; older ones count as new."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that nobody has spoken in yet, and the agent that asked for it."""

    session: int
    instance: str
    agent: str


def check_alone(host: HostRow, instance: str, source: IPv4Address, *, here: bool) -> None:
    """Whether ``instance`` may have a session. ``here``: the present agent's lease is live.

    An agent that restarts is a new instance and takes over. One that was superseded and
    comes back while its successor lives shows that both run, and so does a new one that
    speaks from another address than the present one: raises TwoAgents, as the guests of a
    machine that has a copy of the credential are not this host's. Once the present one was
    silent for a lease, another may have the host.
    """
    other = instance in host.superseded or (host.instance and str(source) != host.address)
    if here and instance != host.instance and other:
        raise TwoAgents(
            f"two agents use the credential of {host.name}: "
            f"one at {host.address}, which is the valid one, and one at {source}",
            hint="stop the one that is not meant, or enrol its machine with a token of its own: "
            "zthook edge host add NAME",
        )


def begin(host: HostRow, opened: Opened) -> HostRow:
    """The host with this session as the valid one: all earlier ones are fenced off."""
    others = [one for one in (*host.superseded, host.instance) if one and one != opened.instance]
    return replace(
        host,
        session=opened.session,
        sequence=0,
        digest="",
        instance=opened.instance,
        agent=opened.agent,
        superseded=tuple(dict.fromkeys(others))[-REMEMBERED:],
    )


def check_session(host: HostRow, session: int) -> None:
    """Raises StaleSession where ``session`` is not the valid one."""
    if session != host.session:
        raise StaleSession(
            f"session {session} of {host.name} is not the valid one",
            hint="the agent opens a new session by itself",
        )


def check_sequence(host: HostRow, sequence: int, taken: int) -> None:
    """Raises StaleMessage where ``taken`` is not older than ``sequence``."""
    if sequence <= taken:
        raise StaleMessage(
            f"message {sequence} of {host.name} came after message {taken}",
            hint="the agent looks again and sends anew by itself",
        )
