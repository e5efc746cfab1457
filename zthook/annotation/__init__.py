"""XML and the model: the annotation, and what we need of libvirt's own documents."""

from zthook.annotation.checking import check, read_publication
from zthook.annotation.domain import read_domain
from zthook.annotation.network import read_network
from zthook.annotation.reading import NAMESPACE, PREFIX
from zthook.annotation.writing import write_publication

__all__ = [
    "NAMESPACE",
    "PREFIX",
    "check",
    "read_domain",
    "read_network",
    "read_publication",
    "write_publication",
]
