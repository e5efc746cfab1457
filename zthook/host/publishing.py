"""What a guest's publication asks for, and changes to it: pure."""

from collections import Counter

from zthook.errors import NotFound, UsageError
from zthook.model.addresses import IPAddress
from zthook.model.mappings import Auto
from zthook.model.publication import AddressRequest, PortRange, Publication


def read_port(text: str) -> PortRange:
    """See ``PortRange.parse``. Raises UsageError that says what is right."""
    try:
        return PortRange.parse(text)
    except ValueError as error:
        hint = "tcp/80, tcp/80:8080 (public:guest), udp/27000-27100"
        raise UsageError(str(error), hint=hint) from error


def asked_for(publication: Publication | None) -> list[tuple[AddressRequest, IPAddress | Auto]]:
    """Each request, and what it asks for: the autos of a pool are counted from 0."""
    autos: Counter[str] = Counter()
    found: list[tuple[AddressRequest, IPAddress | Auto]] = []
    for request in publication.requests if publication else ():
        pool = request.pool or ""
        found.append((request, request.public or Auto(pool, autos[pool])))
        autos[pool] += request.public is None
    return found


def with_request(before: Publication | None, request: AddressRequest) -> Publication:
    """``before`` and ``request``, which replaces one for the same address (or ``auto`` pool)."""
    kept = before.requests if before else ()
    same = [one for one in kept if _asks_for(one) == _asks_for(request)]
    if not same:
        return Publication((*kept, request))
    return Publication(tuple(request if one is same[0] else one for one in kept))


def _asks_for(request: AddressRequest) -> tuple[IPAddress | None, str | None]:
    return request.public, request.pool if request.public is None else None


def without(before: Publication | None, public: IPAddress | None) -> Publication | None:
    """``before`` less the requests for ``public`` (None: ``auto``); None where none is left.

    Raises NotFound where it asks for no such address.
    """
    requests = before.requests if before else ()
    kept = tuple(one for one in requests if one.public != public)
    if len(kept) == len(requests):
        listed = ", ".join(str(one.public or "auto") for one in requests) or "none"
        raise NotFound(
            f"this guest does not ask for {public or 'auto'}", hint=f"it asks for: {listed}"
        )
    return Publication(kept) if kept else None
