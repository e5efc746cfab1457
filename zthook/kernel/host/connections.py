"""Which of the connections with our marks still are some mapping's, and the end of all others."""

import socket
from collections import defaultdict
from collections.abc import Collection, Iterable

from zthook.kernel import connection_table
from zthook.kernel.connection_table import Connection, Listing, begun_to, is_liberal, marked
from zthook.kernel.conntrack import end_marked
from zthook.kernel.host.marks import Marks
from zthook.kernel.host.translations import Translation, arrival, arriving, brought, leavers, nearby
from zthook.model.addresses import AddressRange, IPAddress
from zthook.model.mappings import GuestRule
from zthook.model.publication import PortRange, Protocol

NUMBERS = {socket.IPPROTO_TCP: Protocol.TCP, socket.IPPROTO_UDP: Protocol.UDP}
ABOUT = "ending connections"
LOOKING = "looking for connections"
Pairs = dict[tuple[bytes, bytes], list[PortRange | None]]


class Standing:
    """``own`` are this host's addresses."""

    def __init__(
        self,
        rules: Collection[GuestRule],
        pools: Iterable[AddressRange],
        own: Collection[IPAddress],
    ) -> None:
        self._brought = _pairs(brought(rules))
        self._nearby = _pairs(nearby(rules))
        self._outgoing = {
            private.packed: source.packed
            for private, rule in leavers(rules).items()
            if (source := arrival(rule))
        }
        self._speaking = {rule.private.packed for rule in rules if not rule.hide and _speaks(rule)}
        self._pools = [(one.first.packed, one.last.packed) for one in pools]
        self._own = {one.packed for one in own}

    def is_brought(self, one: Connection) -> bool:
        """The edge brought it to a guest that is mapped, at a port that is."""
        return _is_of(self._brought, one)

    def is_local(self, one: Connection) -> bool:
        """This host brought it to a guest that is mapped, at a port that is; or it is buried."""
        return one.destination == one.answered_by or _is_of(self._nearby, one)

    def is_leaving(self, one: Connection) -> bool:
        """It may go on leaving by the edge."""
        if self._outgoing.get(one.source) == one.answered_to:
            return True
        if self.would_resume(one) and is_liberal(one):
            return True
        masqueraded = self._own & {one.source, one.answered_to}
        return bool(masqueraded) and self._is_elsewhere(one.destination)

    def would_resume(self, one: Connection) -> bool:
        """Were it forgotten, the guest's next packet would be taken for one under way."""
        return one.protocol == socket.IPPROTO_TCP and one.source in self._speaking

    def _is_elsewhere(self, address: bytes) -> bool:
        size = len(address)
        return any(len(low) == size and low <= address <= high for low, high in self._pools)


def end_others(marks: Marks, standing: Standing) -> int:
    """End every connection of ours that stands no more; how many there were.

    What a guest began and would go on with as if the edge had brought it, where the edge
    can not tell either, is not forgotten but buried: as one of this host's that leads to
    no guest it is dropped, for as long as anybody speaks.
    """
    leaving = [marked(marks.leaving, marks.mask)]

    def is_to_bury(one: Connection) -> bool:
        return standing.would_resume(one) and not standing.is_leaving(one)

    return (
        end_marked(marks.brought, marks.mask, standing.is_brought)
        + end_marked(marks.local, marks.mask, standing.is_local)
        + connection_table.remark(leaving, is_to_bury, marks.local, marks.mask, ABOUT)
        + end_marked(marks.leaving, marks.mask, standing.is_leaving)
    )


def any_left(marks: Marks) -> bool:
    """Whether any connection has a mark of ours."""
    with_higher_bit = marked(marks.brought, marks.brought)
    return connection_table.any_of([with_higher_bit, marked(marks.leaving, marks.mask)], LOOKING)


def end_untranslated(marks: Marks, rules: Collection[GuestRule]) -> int:
    """End what came from the edge while the rules were away, and passed by unchanged.

    A connection of TCP whose source was translated is somebody's here, by the home line.
    """
    publics = {one.address.packed for one in arriving(rules)}
    unmarked = marked(0, marks.mask).wanted
    listings = {Listing(one.family, one.wanted + unmarked) for one in map(begun_to, publics)}

    def went_by(one: Connection) -> bool:
        from_here = one.protocol == socket.IPPROTO_TCP and one.source != one.answered_to
        to_public = one.destination in publics and one.destination == one.answered_by
        return to_public and not from_here

    return connection_table.forget(listings, went_by, ABOUT)


def _speaks(rule: GuestRule) -> bool:
    return not rule.ports or any(ports.protocol is Protocol.TCP for ports in rule.ports)


def _pairs(translations: Iterable[Translation]) -> Pairs:
    found: Pairs = defaultdict(list)
    for one in translations:
        found[one.address.packed, one.to.packed].append(one.ports)
    return found


def _is_of(pairs: Pairs, one: Connection) -> bool:
    some = pairs.get((one.destination, one.answered_by), ())
    return any(ports is None or _answers_from(ports, one) for ports in some)


def _answers_from(ports: PortRange, one: Connection) -> bool:
    same = NUMBERS.get(one.protocol) is ports.protocol
    return same and ports.target <= one.answering_port <= ports.last_target
