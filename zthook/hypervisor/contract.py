"""What the agent needs of a hypervisor."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from zthook.model.addresses import IPAddress
from zthook.model.guests import Domain, Guest, Network


class Happened(StrEnum):
    """What is said of a guest that no later look shows, or not for certain.

    MIGRATED: it stopped here, as it runs on another host now. STOPPED: it stopped for any
    other reason. DEFINED: what counts from its next start may be another, or nothing.
    """

    MIGRATED = "migrated"
    STOPPED = "stopped"
    DEFINED = "defined"


@dataclass(frozen=True, slots=True)
class Hint:
    """Something may have changed, with ``guest`` and ``what`` where more is known of it."""

    guest: UUID | None = None
    what: Happened | None = None


OnHint = Callable[[Hint], None]


class Hypervisor(Protocol):
    """Opened by ``async with``; what changes is hinted through a callback in the event loop.

    No call blocks the loop. Each has a deadline, and raises HypervisorUnavailable where
    libvirt can not be reached or does not answer in time; while one hangs, those after it
    raise at once. An answer is whole or it is none.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def guests(self) -> list[Guest]:
        """The guests that run now, each as its live XML describes it."""
        ...

    async def networks(self) -> dict[str, Network]:
        """The active networks by name."""
        ...

    async def definitions(self, guests: Collection[UUID]) -> dict[UUID, Domain]:
        """What counts from their next start, of those guests that outlive their end."""
        ...

    async def ending(self, guest: UUID) -> Happened | None:
        """Why a guest does not run: MIGRATED or STOPPED; None where it runs, or is not known
        any more.
        """
        ...

    async def agent_addresses(self, uuid: UUID) -> list[tuple[str, IPAddress]]:
        """MACs (lower case) and addresses as the agent inside the guest tells them.

        Empty where the guest has no agent or does not run.
        """
        ...
