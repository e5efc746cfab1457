"""How a host gets in: invitations, one-time secrets, credentials."""

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from ipaddress import ip_network

from msgspec.structs import replace

from zthook.errors import TokenError, UsageError
from zthook.model.addresses import Pool
from zthook.store.ledger import Ledger
from zthook.store.rows import HostRow, InvitationRow

KEPT_SECONDS = 30 * 24 * 3600.0
"""How long an invitation that ended is kept, so that its token is named as used or expired."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_AGAIN = "ask for a new one on the edge: zthook edge host add NAME"


def hashed(secret: str) -> str:
    """What the store keeps of a secret; secrets have 256 random bits, so no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> str:
    """256 random bits, in letters that any shell leaves alone."""
    return secrets.token_urlsafe(32)


def invite(ledger: Ledger, host: HostRow, secret: str, *, expires: float, now: float) -> None:
    """Record the host and its invitation, and end that host's earlier unused ones."""
    for row in ledger.invitations():
        if (row.host == host.name and not row.used) or row.expires + KEPT_SECONDS < now:
            ledger.drop_invitation(row.secret)
    ledger.put_host(host)
    ledger.put_invitation(InvitationRow(secret=hashed(secret), host=host.name, expires=expires))


def enrol(
    ledger: Ledger, secret: str, credential: str, hostname: str, *, known: str, now: float
) -> HostRow:
    """Spend a secret: its host has ``credential`` from now on, and no other. Raises TokenError.

    ``known`` is the credential that the asking machine has here already, empty where it has
    none: a machine that is another host is not made this one.
    """
    invitation = ledger.invitation(hashed(secret))
    host = ledger.host(invitation.host) if invitation is not None else None
    if invitation is None or host is None or host.leaving:
        raise TokenError(
            "this edge does not know the token, or a newer one replaced it", hint=_AGAIN
        )
    if invitation.used:
        raise TokenError(f"the token for {host.name} has been used already", hint=_AGAIN)
    if now >= invitation.expires:
        raise TokenError(f"the token for {host.name} has expired", hint=_AGAIN)
    asking = ledger.host_with(hashed(known)) if known else None
    if asking is not None and asking.name != host.name:
        raise TokenError(
            f"the token is for {host.name}, and this machine is {asking.name} here",
            hint="zthook leave ends that; or have a token for this host: "
            f"zthook edge host rotate {asking.name}",
        )
    ledger.put_invitation(replace(invitation, used=True))
    # Who spoke for it before can not any more: its first agent is no second one.
    enrolled = replace(
        host, credential=hashed(credential), hostname=hostname, instance="", superseded=()
    )
    ledger.put_host(enrolled)
    return enrolled


def named(host: HostRow | None, name: str) -> HostRow:
    """The host, or a new one of this name. Raises UsageError where it can not be a name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can not be a host's name",
            hint="letters, digits, '.', '_' and '-', at most 63, the first a letter or digit",
        )
    if host is not None and host.leaving:
        raise UsageError(
            f"{name} was removed, and the kernel has yet to let go of its mappings",
            hint="try again in a moment; zthook edge status says what the kernel refuses",
        )
    return host or HostRow(name=name)


def permitted(
    host: HostRow,
    *,
    member: str | None,
    prefixes: Sequence[str] | None,
    pools: Sequence[str] | None,
    group: str | None,
    known: Iterable[Pool],
) -> HostRow:
    """The host with what is not None; empty clears. Raises UsageError: a prefix, a pool."""
    names = [pool.name for pool in known]
    for pool in pools or ():
        if pool not in names:
            raise UsageError(
                f"this edge has no pool {pool!r}", hint=f"it has: {', '.join(names) or 'none'}"
            )
    return replace(
        host,
        member=host.member if member is None else member or None,
        prefixes=host.prefixes if prefixes is None else _prefixes(prefixes) or None,
        pools=host.pools if pools is None else tuple(dict.fromkeys(pools)),
        group=host.group if group is None else group or None,
    )


def _prefixes(texts: Sequence[str]) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(str(ip_network(text)) for text in texts))
    except ValueError as error:
        raise UsageError(f"not a prefix: {error}", hint="for example 192.168.122.0/24") from error
