"""A real zerotier-one as a service of systemd; of its planet there is one root, of our own."""

import json
from pathlib import Path

from tests.lab.namespace import Namespace, cable
from tests.overlay.real_lab import QUIET, Node, planet_of

HOME = "/var/lib/zerotier-one"
SETTINGS = json.dumps({"settings": QUIET, "physical": {"192.168.193.0/24": {"blacklist": True}}})
"""What its owner has in local.conf already: the plain overlay that is there too is no path."""
ROOT, TO_ROOT = 2, "192.0.2.1"
UNIT = """
[Unit]
Description=ZeroTier One
After=network-online.target
[Service]
ExecStart=/usr/sbin/zerotier-one
Restart=always
KillMode=process
[Install]
WantedBy=multi-user.target
"""
INSTALL = f"""
command -v zerotier-cli >/dev/null && exit 0
install {{folder}}/{{binary}} /usr/sbin/zerotier-one
ln -s zerotier-one /usr/sbin/zerotier-cli
ln -s zerotier-one /usr/sbin/zerotier-idtool
mkdir -p {HOME}
cp {{folder}}/planet {HOME}/planet
printf '%s' '{SETTINGS}' >{HOME}/local.conf
printf '%s' '{UNIT}' >/etc/systemd/system/zerotier-one.service
systemctl enable --now zerotier-one
"""


def installing(binary: str, folder: str) -> str:
    """What a root shell has to do, once, where that binary and ``planet`` are in a folder."""
    return INSTALL.replace("{folder}", folder).replace("{binary}", binary)


def lone_root(folder: Path) -> tuple[Node, Path]:
    """The only root that anybody knows, with no way to anywhere yet; and the planet with it."""
    root = Node("root", folder, ROOT)
    planet = root.home / "planet"
    planet.write_bytes(planet_of(root))
    return root, planet


def start_at(hub: Namespace, root: Node) -> None:
    """Start a root where a router's machines reach it."""
    cable(root.namespace, "up0", hub, "root")
    hub.ip(f"addr add {TO_ROOT}/24 dev root")
    root.namespace.ip(f"addr add {root.address}/24 dev up0", f"route add default via {TO_ROOT}")
    root.start()
