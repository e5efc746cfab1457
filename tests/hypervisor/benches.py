"""The hypervisors that the contract is tested on, each with the hands that move it."""

from ipaddress import ip_network
from typing import Any, Protocol
from uuid import UUID

import libvirt

from tests.hypervisor.domains import domain_xml
from zthook.annotation import read_domain
from zthook.hypervisor.contract import Hypervisor, OnHint
from zthook.hypervisor.fake import FakeHypervisor
from zthook.hypervisor.libvirt_hypervisor import LibvirtHypervisor
from zthook.model.guests import GuestState, Network, NetworkKind


class Bench(Protocol):
    """Hands for one hypervisor: what an owner of guests does with virsh."""

    def hypervisor(self, on_hint: OnHint) -> Hypervisor: ...
    def define(self, name: str, uuid: UUID, publish: str = "") -> None: ...
    def start(self, uuid: UUID) -> None: ...
    def start_transient(self, name: str, uuid: UUID) -> None: ...
    def stop(self, uuid: UUID) -> None: ...
    def pause(self, uuid: UUID) -> None: ...
    def resume(self, uuid: UUID) -> None: ...
    def annotate(self, uuid: UUID, publish: str) -> None: ...
    def stop_network(self) -> None: ...


class FakeBench:
    def __init__(self) -> None:
        self.fake = FakeHypervisor()
        self._names: dict[UUID, str] = {}
        self._add_network()

    def _add_network(self) -> None:
        prefix = ip_network("192.168.122.0/24")
        self.fake.add_network(
            Network("default", NetworkKind.NAT, "virbr0", (prefix[1],), (prefix,))
        )

    def hypervisor(self, on_hint: OnHint) -> Hypervisor:
        self.fake.on_hint = on_hint
        return self.fake

    def define(self, name: str, uuid: UUID, publish: str = "") -> None:
        self._names[uuid] = name
        self.fake.define(self._domain(uuid, publish))

    def _domain(self, uuid: UUID, publish: str) -> Any:
        return read_domain(domain_xml(self._names[uuid], str(uuid), publish=publish).encode())

    def start(self, uuid: UUID) -> None:
        self.fake.start(uuid)

    def start_transient(self, name: str, uuid: UUID) -> None:
        self._names[uuid] = name
        self.fake.run(self._domain(uuid, ""))

    def stop(self, uuid: UUID) -> None:
        self.fake.stop(uuid)

    def pause(self, uuid: UUID) -> None:
        self.fake.put(uuid, GuestState.PAUSED)

    def resume(self, uuid: UUID) -> None:
        self.fake.put(uuid, GuestState.RUNNING)

    def annotate(self, uuid: UUID, publish: str) -> None:
        self.fake.edit(self._domain(uuid, publish))

    def stop_network(self) -> None:
        self.fake.remove_network("default")


class LibvirtBench:
    """``kind`` is the domain type; the URI's libvirt is moved by a connection of its own."""

    def __init__(self, uri: str, kind: str) -> None:
        self.uri = uri
        self._kind = kind
        self._connection = libvirt.open(uri)
        self._end_all()

    def close(self) -> None:
        self._end_all()
        for domain in self._alive().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT):
            domain.undefine()
        if not self._network().isActive():
            self._network().create()
        self._connection.close()

    def _alive(self) -> Any:
        """The connection, a new one where tests took libvirtd away."""
        try:
            self._connection.getLibVersion()
        except libvirt.libvirtError:
            self._connection = libvirt.open(self.uri)
        return self._connection

    def _end_all(self) -> None:
        for domain in self._alive().listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            try:
                domain.destroy()
            except libvirt.libvirtError as error:
                # libvirtd, just started, was still reconnecting to it and ended it itself
                if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                    raise

    def hypervisor(self, on_hint: OnHint) -> Hypervisor:
        return LibvirtHypervisor(self.uri, on_hint)

    def _of(self, uuid: UUID) -> Any:
        return self._alive().lookupByUUIDString(str(uuid))

    def _network(self) -> Any:
        return self._alive().networkLookupByName("default")

    def define(self, name: str, uuid: UUID, publish: str = "") -> None:
        self._alive().defineXML(domain_xml(name, str(uuid), kind=self._kind, publish=publish))

    def start(self, uuid: UUID) -> None:
        self._of(uuid).create()

    def start_transient(self, name: str, uuid: UUID) -> None:
        self._alive().createXML(domain_xml(name, str(uuid), kind=self._kind))

    def stop(self, uuid: UUID) -> None:
        self._of(uuid).destroy()

    def pause(self, uuid: UUID) -> None:
        self._of(uuid).suspend()

    def resume(self, uuid: UUID) -> None:
        self._of(uuid).resume()

    def annotate(self, uuid: UUID, publish: str) -> None:
        self._annotate(uuid, publish, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def annotate_definition(self, uuid: UUID, publish: str) -> None:
        self._annotate(uuid, publish, libvirt.VIR_DOMAIN_AFFECT_CONFIG)

    def _annotate(self, uuid: UUID, publish: str, flags: int) -> None:
        bare = publish.replace(' xmlns:zthook="urn:zthook:1"', "").replace("zthook:", "") or None
        self._of(uuid).setMetadata(
            libvirt.VIR_DOMAIN_METADATA_ELEMENT,
            bare,
            "zthook",
            "urn:zthook:1",
            flags,
        )

    def stop_network(self) -> None:
        self._network().destroy()
