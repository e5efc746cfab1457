"""A store as an edge has it that gave away so many addresses: written by the ledger itself."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

from zthook.edge.enrolment import hashed
from zthook.store.rows import ClaimRow, HostRow, Standing
from zthook.store.sqlite import SqliteLedger

GUESTS = 50
"""Of each host."""
FIRST_PUBLIC = IPv4Address("198.18.0.0")  # RFC 2544: for benchmarks
FIRST_PRIVATE = IPv4Address("10.0.0.1")


def write_store(path: Path, mappings: int, next_hop: IPv4Address, mac: str) -> None:
    """Hosts that hold ``mappings`` whole addresses, all reached by that one neighbour."""
    ledger = SqliteLedger(path)
    try:
        with ledger.transaction():
            for number in range(-(-mappings // GUESTS)):
                ledger.put_host(
                    HostRow(
                        name=f"host{number}",
                        credential=f"{number:064x}",
                        address=str(next_hop),
                        mac=mac,
                        seen=0.0,
                    )
                )
            for row in _claims(mappings):
                ledger.put_claim(row)
            ledger.raise_to("epoch", mappings)
            ledger.raise_to("place", mappings)
    finally:
        ledger.close()


def let_leases_last(settings: Path) -> None:
    """For a day, in an edge.toml: nobody renews those of hosts that are only stored."""
    said = settings.read_text(encoding="utf-8")
    lasting = said.replace("seconds = 60", "seconds = 86400", 1)
    if lasting == said:
        raise RuntimeError(f"{settings} has no lease of 60 s")
    settings.write_text(lasting, encoding="utf-8")


def write_hosts(path: Path, credentials: Sequence[str]) -> None:
    """Hosts that joined, and of which nothing was heard since."""
    ledger = SqliteLedger(path)
    try:
        with ledger.transaction():
            for number, credential in enumerate(credentials):
                ledger.put_host(HostRow(name=f"host{number}", credential=hashed(credential)))
    finally:
        ledger.close()


def _claims(mappings: int) -> Iterator[ClaimRow]:
    for number in range(mappings):
        public = str(FIRST_PUBLIC + number)
        yield ClaimRow(
            host=f"host{number // GUESTS}",
            guest=str(UUID(int=number + 1)),
            name=f"guest{number}",
            asked=public,
            public=public,
            private=str(FIRST_PRIVATE + number),
            mode="nat",
            client="keep",
            rewriter="edge",
            standing=Standing.HOLDING,
            place=number + 1,
            since=0.0,
            epoch=number + 1,
        )
