"""Looks through a libvirt connection; blocking, and each whole or none.

Every function may raise libvirt.libvirtError, and HypervisorUnavailable where libvirt shows
what can not be read.
"""

from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any, TypeVar
from uuid import UUID

import libvirt

from zthook.annotation import read_domain, read_network
from zthook.errors import AnnotationError, HypervisorUnavailable
from zthook.hypervisor.contract import Happened
from zthook.hypervisor.events import Connection
from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, GuestState, Network

T = TypeVar("T")

_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED,
    libvirt.VIR_DOMAIN_CRASHED,  # kept by on_crash="preserve"
    libvirt.VIR_DOMAIN_PMSUSPENDED,
}
_NOT_HERE = {
    libvirt.VIR_DOMAIN_PAUSED_STARTING_UP: GuestState.STARTING,
    libvirt.VIR_DOMAIN_PAUSED_POSTCOPY: GuestState.LEFT,
}
_NOT_LEAVING = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_OPERATION_INVALID,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED,  # "migration statistics are available only on the …"
}
_NO_AGENT = {
    libvirt.VIR_ERR_NO_DOMAIN,
    libvirt.VIR_ERR_OPERATION_INVALID,  # it does not run
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED,  # no agent is configured
    libvirt.VIR_ERR_NO_SUPPORT,
}


def guest_state(state: int, reason: int, leaving: Callable[[], bool]) -> GuestState | None:
    """What libvirt's state and reason mean; None: it does not run any more.

    Both ends of a migration are paused for its sake: ``leaving`` is asked then, and tells
    the source, which holds the guest until it is gone; INCOMING is the other end. With
    post-copy the guest runs there before all of it has left here.
    """
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        return None
    if state not in _PAUSED:
        return GuestState.RUNNING
    if state == libvirt.VIR_DOMAIN_PAUSED:
        if reason in _NOT_HERE:
            return _NOT_HERE[reason]
        if reason == libvirt.VIR_DOMAIN_PAUSED_MIGRATION and not leaving():
            return GuestState.INCOMING
    return GuestState.PAUSED


def guests(connection: Connection) -> list[Guest]:
    """All guests that run."""
    running = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
    return [guest for domain in running if (guest := _guest(domain)) is not None]


def networks(connection: Connection) -> dict[str, Network]:
    """All active networks by name."""
    active = connection.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    found = [_network(network) for network in active]
    return {network.name: network for network in found if network is not None}


def definitions(connection: Connection, guests: Collection[UUID]) -> dict[UUID, Domain]:
    """What counts from the next start of those of ``guests`` that are persistent."""
    found = (_definition(connection, guest) for guest in guests)
    return {domain.uuid: domain for domain in found if domain is not None}


def _definition(connection: Connection, guest: UUID) -> Domain | None:
    domain = _unless_gone(
        lambda: connection.lookupByUUIDString(str(guest)), libvirt.VIR_ERR_NO_DOMAIN
    )
    if domain is None or not domain.isPersistent():
        return None
    xml = _unless_gone(
        lambda: domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE), libvirt.VIR_ERR_NO_DOMAIN
    )
    return None if xml is None else _read(domain, xml)


def ending(connection: Connection, guest: UUID) -> Happened | None:
    """Why the guest does not run, where libvirt still knows of it."""
    said = _unless_gone(
        lambda: connection.lookupByUUIDString(str(guest)).state(), libvirt.VIR_ERR_NO_DOMAIN
    )
    if said is None or said[0] != libvirt.VIR_DOMAIN_SHUTOFF:
        return None
    left = said[1] == libvirt.VIR_DOMAIN_SHUTOFF_MIGRATED
    return Happened.MIGRATED if left else Happened.STOPPED


def agent_addresses(connection: Connection, uuid: UUID) -> list[tuple[str, IPAddress]]:
    """MACs and addresses that can be reached from outside, as the guest's agent tells them."""
    try:
        domain = connection.lookupByUUIDString(str(uuid))
        said = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NO_AGENT:
            return []
        raise
    return usable_addresses(said)


def usable_addresses(said: dict[str, dict[str, Any]]) -> list[tuple[str, IPAddress]]:
    """What is of use in a guest agent's words, which are the guest's and may be anything."""
    found = []
    for interface in said.values():
        for entry in interface.get("addrs") or ():
            try:
                address = ip_address(entry["addr"])
            except ValueError:
                continue
            if interface.get("hwaddr") and not (address.is_loopback or address.is_link_local):
                found.append((interface["hwaddr"].lower(), address))
    return found


def _guest(domain: Any) -> Guest | None:
    # The state last: where the guest ended in between, the XML may be that of its next start.
    xml = _unless_gone(lambda: domain.XMLDesc(0), libvirt.VIR_ERR_NO_DOMAIN)
    said = _unless_gone(lambda: domain.state(), libvirt.VIR_ERR_NO_DOMAIN)
    if xml is None or said is None:
        return None
    state, reason = said
    meant = guest_state(state, reason, lambda: _leaves(domain))
    return None if meant is None else Guest(_read(domain, xml), meant)


def _read(domain: Any, xml: str) -> Domain:
    try:
        return read_domain(xml.encode())
    except AnnotationError as error:
        raise HypervisorUnavailable(
            f"libvirt's XML of guest {domain.name()} can not be read: {error.message}"
        ) from error


def _network(network: Any) -> Network | None:
    xml = _unless_gone(lambda: network.XMLDesc(0), libvirt.VIR_ERR_NO_NETWORK)
    if xml is None:
        return None
    try:
        return read_network(xml.encode())
    except AnnotationError as error:
        raise HypervisorUnavailable(
            f"libvirt's XML of network {network.name()} can not be read: {error.message}"
        ) from error


def _leaves(domain: Any) -> bool:
    """Whether it is the source of a migration; at the destination libvirt refuses to say."""
    try:
        job = domain.jobStats()
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NOT_LEAVING:
            return False
        raise
    operation = job.get(libvirt.VIR_DOMAIN_JOB_OPERATION)
    return bool(operation == libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)


def _unless_gone(look: Callable[[], T], gone: int) -> T | None:
    try:
        return look()
    except libvirt.libvirtError as error:
        if error.get_error_code() == gone:
            return None
        raise
