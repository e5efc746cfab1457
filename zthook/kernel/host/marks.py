"""What the bits of packet and connection marks that are ours mean on a host."""

from dataclasses import dataclass

from zthook.errors import KernelError

BITS = 2


@dataclass(frozen=True, slots=True)
class Marks:
    """The values of a connection mark under ``mask``, which has two bits; 0 is none of ours.

    ``brought``: the edge brought the connection, its answers go back there. ``leaving``: it
    began here and leaves by the edge. ``local``: it goes from this host's public address to
    a guest here, and never to the edge. Raises KernelError for a mask of another kind.
    """

    mask: int

    def __post_init__(self) -> None:
        if self.mask.bit_count() != BITS or not 0 < self.mask < 1 << 32:
            raise KernelError(
                f"0x{self.mask:x} can not be the mask of our marks: it has to have two bits",
                hint="set [host] mark in host.toml, or leave it out",
            )

    @property
    def brought(self) -> int:
        """The higher bit alone."""
        return self.mask & ~self.leaving

    @property
    def leaving(self) -> int:
        """The lower bit alone."""
        return self.mask & -self.mask

    @property
    def local(self) -> int:
        """Both."""
        return self.mask
