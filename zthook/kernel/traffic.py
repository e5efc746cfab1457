"""What passed through a mapping, as the kernel counted it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """Since the mapping entered the kernel; ``in`` is toward the guest, bytes are of IP packets."""

    bytes_in: int = 0
    packets_in: int = 0
    bytes_out: int = 0
    packets_out: int = 0
