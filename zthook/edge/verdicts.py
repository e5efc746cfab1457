"""Whether a claim can be granted at all, as things are in one transaction."""

from collections.abc import Callable, Collection
from ipaddress import ip_address

from zthook.edge.asking import from_row
from zthook.edge.grounds import Ground, objection, private_prefixes, served_objection
from zthook.model.addresses import IPNetwork
from zthook.model.mappings import Claim
from zthook.model.publication import Mode
from zthook.store.ledger import Ledger
from zthook.store.rows import ClaimRow, HostRow, Standing


class Verdicts:
    """``leased`` tells whether a host's lease is live. ``shared`` are the private addresses of
    several claims, where that is known: while nobody else's changes, as it is of many at once.
    """

    shared: Collection[str] | None = None

    def __init__(self, ledger: Ledger, ground: Ground, leased: Callable[[str], bool]) -> None:
        self._ledger = ledger
        self._ground = ground
        self._leased = leased
        self._prefixes: dict[str, tuple[IPNetwork, ...]] = {}

    def on_row(self, row: ClaimRow) -> str:
        """Why what a row claims can not be had, or ""."""
        host = self._ledger.host(row.host)
        return self.on_claim(host, from_row(row), row) if host is not None else "its host is gone"

    def on_claim(self, host: HostRow, claim: Claim, row: ClaimRow) -> str:
        """Why what the host says of that row now can not be had, or ""."""
        public = ip_address(row.public) if row.public else None
        why = objection(claim, public, host, self._prefixes_of(host), self._ground)
        why = why or self._used_by(host, claim)
        if why or public is None:
            return why
        # A mapping that is there has its port: what the edge opened since gets no packets.
        had = row.ports if row.standing is Standing.HOLDING else ()
        new = tuple(one for one in claim.ports if str(one) not in had)
        return served_objection(new, public, self._ground)

    def _prefixes_of(self, host: HostRow) -> tuple[IPNetwork, ...]:
        if host.name not in self._prefixes:
            self._prefixes[host.name] = private_prefixes(host, self._ground.connected)
        return self._prefixes[host.name]

    def _used_by(self, host: HostRow, claim: Claim) -> str:
        """In nat mode a private address is one guest's: why this one can not have it."""
        if claim.private is None or claim.mode is Mode.ROUTED:
            return ""
        if self.shared is not None and str(claim.private) not in self.shared:
            return ""
        for other in self._ledger.claims_using(str(claim.private)):
            held = other.standing is Standing.HOLDING and other.mode == Mode.NAT
            if held and other.guest != str(claim.guest) and self._leased(other.host):
                advice = (
                    "give one of them another address"
                    if other.host == host.name
                    else 'give one of them another address, or use mode="routed"'
                )
                return f"{claim.private} is used by {other.name} on {other.host}; {advice}"
        return ""
