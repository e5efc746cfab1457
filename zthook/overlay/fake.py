"""An overlay that tests hold in their hands."""

from zthook.errors import OverlayDown
from zthook.model.mappings import OverlayDevice
from zthook.overlay.knocks import Knocking


class FakeOverlay:
    """An ``Overlay`` that is there while ``device`` is, else down for the reason ``why``.

    It lets members in too, as a ZeroTier controller does.
    """

    def __init__(self, device: OverlayDevice | None = None) -> None:
        self.device = device
        self.why = "the overlay's device zt0 is missing or down"
        self.members: dict[str, bool] = {}
        self.knocked: set[str] = set()

    def observe(self) -> OverlayDevice:
        """See ``Overlay.observe``."""
        if self.device is None:
            raise OverlayDown(self.why, hint="start it")
        return self.device

    def knock(self, member: str) -> None:
        """What a member does that joins."""
        self.members.setdefault(member, False)
        self.knocked.add(member)

    def authorise(self, member: str) -> None:
        """See ``ZeroTierOverlay.authorise``."""
        self.members[member] = True

    def shut_out(self, member: str) -> None:
        """See ``ZeroTierOverlay.shut_out``."""
        self.members[member] = False

    def knocking(self) -> list[Knocking]:
        """See ``ZeroTierOverlay.knocking``."""
        out = (member for member, inside in self.members.items() if not inside)
        return [Knocking(member) for member in sorted(out) if member in self.knocked]

    def moon(self) -> str:
        """See ``ZeroTierOverlay.moon``."""
        return ""
