"""Reads and writes guests' annotations through libvirt, for commands: blocking."""

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import libvirt

from zthook.annotation import NAMESPACE, PREFIX, read_domain
from zthook.errors import HypervisorUnavailable, NotFound, Refused
from zthook.hypervisor.events import start_event_loop
from zthook.hypervisor.lane import Lane
from zthook.model.guests import Domain

T = TypeVar("T")

SECONDS = 10.0
"""How long libvirt may take; a hook may hold a guest for five of them."""


def find(uri: str, guest: str) -> tuple[Domain, Domain | None]:
    """The guest of that name or UUID: its definition, and its live one where it runs.

    A transient guest's definition is its live one. Raises NotFound, naming what is near,
    and HypervisorUnavailable.
    """

    def look(connection: Any) -> tuple[Domain, Domain | None]:
        domain = _domain(connection, guest)
        defined = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        live = domain.XMLDesc(0) if domain.isActive() else None
        return read_domain(defined.encode()), read_domain(live.encode()) if live else None

    return _through(uri, look)


def set_annotation(
    uri: str, guest: str, element: str | None, *, live: bool, persistent: bool
) -> None:
    """Replace the guest's annotation, or remove it (None); live ones count at once.

    ``element`` is what ``write_publication(…, namespace=False)`` gives, as libvirt adds the
    namespace. Both places change, or none. Raises NotFound, HypervisorUnavailable, and
    Refused where libvirt does not take it: a guest that does not run has nothing live, a
    transient one nothing persistent.
    """
    flags = libvirt.VIR_DOMAIN_AFFECT_LIVE if live else 0
    flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG if persistent else 0
    if not flags:
        raise ValueError("an annotation is live, persistent, or both")

    def write(connection: Any) -> None:
        domain = _domain(connection, guest)
        try:
            domain.setMetadata(
                libvirt.VIR_DOMAIN_METADATA_ELEMENT, element, PREFIX, NAMESPACE, flags
            )
        except libvirt.libvirtError as error:
            if connection.isAlive():
                raise Refused(f"libvirt does not take {guest}'s annotation: {error}") from error
            raise

    _through(uri, write)


def _domain(connection: Any, guest: str) -> Any:
    by_uuid = [connection.lookupByUUIDString] if _is_uuid(guest) else []
    for look in (*by_uuid, connection.lookupByName):
        try:
            return look(guest)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
    names = [domain.name() for domain in connection.listAllDomains()]
    near = difflib.get_close_matches(guest, names)
    raise NotFound(
        f"libvirt knows no guest {guest!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else "virsh list --all shows them",
    )


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@contextmanager
def _connected(uri: str) -> Iterator[Any]:
    start_event_loop()
    connection = libvirt.open(uri)
    try:
        yield connection
    finally:
        connection.close()


def _through(uri: str, work: Callable[[Any], T]) -> T:
    """``work``'s result with a connection of its own, in a thread that may be left behind."""

    def call() -> T:
        try:
            with _connected(uri) as connection:
                return work(connection)
        except libvirt.libvirtError as error:
            raise HypervisorUnavailable(
                f"libvirt at {uri}: {error}", hint="is libvirtd running? (virsh list)"
            ) from error

    lane = Lane(f"libvirt at {uri}")
    job = lane.submit(call)
    try:
        return job.result(SECONDS)
    except TimeoutError:
        raise lane.give_up(job, SECONDS) from None
    finally:
        lane.close()
