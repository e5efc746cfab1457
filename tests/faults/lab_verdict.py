"""What must be so after a storm over a lab: as the client, the kernels and the screens show it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tests.end_to_end.seen import answering
from tests.lab.commands import LabError
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab

Row = dict[str, Any]
"""One of `zthook edge mappings`."""

NEXT_START = "waits for the guest's next start"


def reached(lab: Lab, publics: Iterable[str], active: Mapping[str, Row]) -> Iterator[str]:
    """Who answers the client at each address; nobody where none is active."""
    for public in publics:
        expected = active[public]["guest"] if public in active else ""
        if (found := answering(lab, public)) != expected:
            yield f"{found or 'nobody'} answers at {public}, not {expected or 'nobody'}"


def kernels(lab: Lab, guests: Iterable[Guest], active: Sequence[Row]) -> Iterator[str]:
    """Routes are what mappings have in every mode: none lacks, and none is left; and each host
    has rules for its own guests alone.
    """
    routes = lab.edge.run("ip", "route", "show", "proto", "123").stdout.splitlines()
    there = {line.split()[0] for line in routes}
    needed = {row["public" if row["mode"] == "routed" else "private"] for row in active}
    if not needed <= there <= needed | {row["public"] for row in active}:
        yield f"the edge's routes are {sorted(there)}, needed {sorted(needed)}"
    addresses = {guest.address for guest in guests}
    for host in lab.hosts.values():
        table = host.run("nft", "list", "table", "inet", "zthook_host", check=False).stdout
        found = addresses & set(re.findall(r"[0-9.]+", table))
        mine = {row["private"] for row in active if row["host"] == host.name}
        if found != mine:
            yield f"{host.name}'s table has {sorted(found)}, not {sorted(mine)}"


def told(host: Host, rows: Iterable[Row]) -> Iterator[str]:
    """What `zthook status` shows there."""
    try:
        status = host.agent.asked("status")
    except LabError as error:
        yield str(error)
        return
    said = sorted(
        (row["guest"], row["public"], row["state"])
        for row in status["mappings"]
        if NEXT_START not in row["reason"]  # what was changed live only
    )
    if said != sorted((row["guest"], row["public"], row["state"]) for row in rows):
        yield f"{host.name} is told {said}"
    if status["faults"]:
        yield f"{host.name} names {status['faults']}"
