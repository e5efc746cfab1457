"""The ``zthook`` command. A command's module is imported when it runs, not before."""

import sys
from collections.abc import Sequence

from click import version_option

from zthook import __version__
from zthook.cli.commands import LazyGroup
from zthook.cli.faults import guarded

COMMANDS = {
    "agent": ("zthook.cli.agent:agent", "Run this host's daemon."),
    "apply": ("zthook.cli.assign:apply", "Make a guest's edited annotation live."),
    "assign": ("zthook.cli.assign:assign", "Give a guest a public address."),
    "completion": ("zthook.cli.completion:completion", "Complete commands in your shell."),
    "doctor": ("zthook.cli.doctor:doctor", "Follow the packet's way and say what is amiss."),
    "edge": ("zthook.cli.edge:edge", "Set up, run and look at an edge."),
    "join": ("zthook.cli.join:join", "Enrol this host at an edge."),
    "leave": ("zthook.cli.join:leave", "End this host's enrolment and all its mappings."),
    "restore": ("zthook.cli.restore:restore", "Put back zerotier-one's settings."),
    "status": ("zthook.cli.status:status", "Who has which address, and whether it works."),
    "unassign": ("zthook.cli.assign:unassign", "Take a public address from a guest."),
    "validate": ("zthook.cli.validate:validate", "Check an annotation."),
}
"""Name → where it is defined, and the line that help prints for it."""


def root() -> LazyGroup:
    """The whole command line."""
    group = LazyGroup(
        "zthook",
        COMMANDS,
        help=(
            "Floating public addresses for KVM guests at home.\n\n"
            "A guest's libvirt XML names the address it wants; while the guest runs, the "
            "address reaches it through your edge."
        ),
        example="zthook assign web1 203.0.113.10",
    )
    return version_option(__version__, prog_name="zthook", message="%(prog)s %(version)s")(group)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    0 fine, 1 the answer is no, 2 wrong usage, 70 a fault of our own, 130 interrupted.
    """
    sys.exit(guarded(root(), arguments))
