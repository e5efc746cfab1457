"""``python -m tests.lab COMMAND``: the lab by hand."""

import argparse
import signal
import sys

from tests.lab.commands import LabError
from tests.lab.debian13 import debian13_root
from tests.lab.demo import demo
from tests.lab.host import Host
from tests.lab.image import guest_image
from tests.lab.lab import Lab
from tests.lab.sweep import sweep


def main() -> int:
    """Carry out one command; its exit code."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "guest-image":
            print(guest_image().initrd)
        elif arguments.command == "debian13":
            print(debian13_root())
        elif arguments.command == "sweep":
            print("\n".join(sweep()) or "no lab was left behind")
        elif arguments.command == "demo":
            demo()
        else:
            up(arguments.host or ["home1", "home2"], guests=arguments.guests)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def up(hosts: list[str], *, guests: bool) -> None:
    """Keep a lab until Ctrl-C (or SIGTERM), with a libvirtd and a guest a host if wanted."""
    with Lab(hosts) as lab:
        for number, host in enumerate(lab.hosts.values() if guests else (), 1):
            _boot_guest(host, f"web{number}")
        print(_directions(lab), flush=True)
        while True:
            signal.pause()


def _boot_guest(host: Host, name: str) -> None:
    host.libvirtd.start()
    print(f"{name} on {host.name}: {host.define_guest(name).boot()}", flush=True)


def _directions(lab: Lab) -> str:
    lines = [f"Everything its programs write is in {lab.folder}. Ctrl-C ends it.", ""]
    for machine in lab.machines:
        words = [str(word) for word in machine.entering(["bash"])]
        settings = [f"{name}={value}" for name, value in machine.env.items()]
        lines.append(f"{machine.name}:  {' '.join(['env', *settings, *words])}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up_parser = commands.add_parser("up", help="keep a lab until Ctrl-C")
    up_parser.add_argument("--host", action="append", help="a host's name; repeatable")
    up_parser.add_argument("--guests", action="store_true", help="libvirtd and a guest on each")
    commands.add_parser("guest-image", help="build the guest's kernel and initramfs")
    commands.add_parser("debian13", help="make the root of Debian 13")
    commands.add_parser("demo", help="see a guest get its public address, and lose it")
    commands.add_parser("sweep", help="remove what killed labs left behind")
    return parser


if __name__ == "__main__":
    sys.exit(main())
