"""Hosts and pools of an edge as lines of a table."""

import time

from zthook.cli.output import duration, words_of
from zthook.cli.tables import Cell
from zthook.edge.views import HostView, PoolUse

HOST_COLUMNS = ("HOST", "STATE", "ADDRESS", "SEEN", "HELD", "PATH", "MEMBER", "AGENT", "NOTE")
POOL_COLUMNS = ("POOL", "UPLINK", "SIZE", "USED", "RESERVED", "FREE", "ADDRESSES")


def _note(host: HostView, now: float) -> str:
    notes = [host.fault]
    if host.invited_until is not None:
        left = host.invited_until - now
        notes.append(f"token good for {duration(left)}" if left > 0 else "token expired")
    if host.lease == "ended" and host.held:
        notes.append("its addresses can be claimed by others")
    if host.group:
        notes.append(f"group {host.group}")
    if host.pools:
        notes.append(f"only {', '.join(host.pools)}")
    return "; ".join(note for note in notes if note)


def host_row(host: HostView, now: float) -> list[Cell]:
    """``now`` is Unix time."""
    seen = f"{duration(now - host.last_seen)} ago" if host.last_seen else ""
    return [
        host.name,
        host.state,
        host.address,
        seen,
        host.held,
        words_of(host.path),
        host.member,
        host.agent.removeprefix("zthook "),
        _note(host, now),
    ]


def pool_row(pool: PoolUse) -> list[Cell]:
    return [
        pool.name,
        pool.uplink,
        pool.size,
        pool.used,
        pool.reserved,
        pool.free,
        ", ".join(pool.addresses),
    ]


def clock_time(seconds: float) -> str:
    """Unix time as the machine's local one, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
