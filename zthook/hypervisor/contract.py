"""What the agent needs of a hypervisor."""

from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from zthook.model.addresses import IPAddress
from zthook.model.guests import Guest, Network


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

    async def agent_addresses(self, uuid: UUID) -> list[tuple[str, IPAddress]]:
        """MACs (lower case) and addresses as the agent inside the guest tells them.

        Empty where the guest has no agent or does not run.
        """
        ...
