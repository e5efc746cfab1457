"""A disk of a machine's own, that can fail as disks do: it turns read-only under programs."""

from collections.abc import Sequence
from pathlib import Path

from tests.lab.commands import run, wait_until
from tests.lab.keeper import Keeper

MEGABYTES = 32
MOUNT = "mount -o loop,errors=remount-ro"


class Disk:
    """An ext4 file system in ``image``, mounted over ``folder`` for those that run ``entering`` it.

    Raises LabError where it can not be made.
    """

    def __init__(self, image: Path, folder: Path) -> None:
        self._image, self._folder = image, folder
        run(["truncate", "-s", f"{MEGABYTES}M", image])
        run(["mkfs.ext4", "-q", "-F", image])
        # Slave: the network namespaces of machines that reboot appear in it too.
        words = ["unshare", "--mount", "--propagation", "slave", "sh", "-euc"]
        script = f"{MOUNT} {image} {folder}; echo ready; exec cat >/dev/null"
        self._keeper = Keeper([*words, script], f"the disk at {folder}")

    def entering(self, command: Sequence[object]) -> list[object]:
        """``command`` as it must be called to see it."""
        return ["nsenter", "-t", self._keeper.pid, "-m", "--", *command]

    def fail(self) -> None:
        """It turns read-only at once, as after a fault of the medium, whoever writes.

        What had been synced before is kept. Of a sync that is under way the kernel may say that
        it succeeded and lose it all the same (seen once in eight of a program that does nothing
        else).
        """
        run(self.entering(["mount", "-o", "remount,abort", self._folder]), check=False)

    def repair(self) -> None:
        """Check it and mount it anew; whoever has files there open must have ended."""
        run(self.entering(["umount", self._folder]))
        wait_until(lambda: not self._attached(), 10, lambda: f"in use as {self._attached()}")
        run(["e2fsck", "-p", self._image], check=False)
        run(self.entering(["sh", "-ec", f"{MOUNT} {self._image} {self._folder}"]))

    def _attached(self) -> str:
        return run(["losetup", "-j", self._image]).stdout.strip()

    def close(self) -> None:
        """Let go of it."""
        self._keeper.close()
