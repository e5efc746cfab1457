"""Writes an annotation, as short as it can be said."""

from lxml import etree
from lxml.etree import _Element as Element

from zthook.annotation.reading import NAMESPACE, PREFIX
from zthook.model.publication import AddressRequest, Egress, Mode, PortRange, Publication


def write_publication(publication: Publication, *, namespace: bool = True) -> str:
    """The ``<publish>`` element; what ``read_publication`` reads back as the same.

    libvirt's virDomainSetMetadata wants it with ``namespace`` false, as it puts its own in.
    """
    return _Writer(namespace).publish(publication)


class _Writer:
    def __init__(self, namespace: bool) -> None:
        self._space = f"{{{NAMESPACE}}}" if namespace else ""
        self._prefixes = {PREFIX: NAMESPACE} if namespace else {}

    def publish(self, publication: Publication) -> str:
        root = etree.Element(f"{self._space}publish", nsmap=self._prefixes)
        for request in publication.requests:
            self._address(root, request)
        return etree.tostring(root, encoding="unicode", pretty_print=True)

    def _address(self, publish: Element, request: AddressRequest) -> None:
        attributes = {
            "public": str(request.public or "auto"),
            "pool": request.pool,
            "private": str(request.private) if request.private else None,
            "mode": request.mode.value if request.mode is not Mode.NAT else None,
            "client": request.client.value if request.client else None,
            "interface": request.interface,
            "egress": request.egress.value if request.egress is not Egress.HOME else None,
            "required": "yes" if request.required else None,
        }
        address = self._element(publish, "address", attributes)
        for ports in request.ports:
            self._element(address, "port", _port_attributes(ports))
        for network in request.allow:
            self._element(address, "allow", {"source": str(network)})

    def _element(self, parent: Element, name: str, attributes: dict[str, str | None]) -> Element:
        said = {key: value for key, value in attributes.items() if value is not None}
        return etree.SubElement(parent, f"{self._space}{name}", said)


def _port_attributes(ports: PortRange) -> dict[str, str | None]:
    single = ports.first == ports.last
    return {
        "protocol": ports.protocol.value,
        "listen": str(ports.first) if single else f"{ports.first}-{ports.last}",
        "target": str(ports.target) if ports.target != ports.first else None,
    }
