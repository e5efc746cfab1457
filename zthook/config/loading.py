"""Reads edge.toml and host.toml."""

from ipaddress import IPv4Address
from pathlib import Path

from zthook.config.pools import read_pools
from zthook.config.reader import Document, Table
from zthook.config.settings import ZEROTIER_HOME, EdgeSettings, HostSettings, OverlaySettings
from zthook.config.values import (
    DEVICE,
    boolean,
    endpoint,
    folder,
    integer,
    listen,
    matching,
    one_of,
    seconds,
)
from zthook.errors import ConfigError, NotEnrolled

NETWORK_ID = matching(r"[0-9a-f]{16}", "a ZeroTier network's id: 16 hexadecimal digits, lower case")
LIBVIRT_URI = matching(r"[a-z][a-z0-9+.-]*:[!-~]+", 'a libvirt URI such as "qemu:///system"')

DAY = 86400.0
RESERVED_TABLES = {253, 254, 255}
"""The kernel's tables default, main and local (linux/rtnetlink.h)."""
MARK_BITS = 2
"""One tells what the edge brings, one what leaves by it, both what stays on the host."""


def load_edge(path: Path) -> EdgeSettings:
    """The settings of edge.toml at ``path``.

    Raises NotEnrolled where there is no such file, ConfigError naming ``path:line:`` of
    everything that is wrong with it.
    """
    missing = NotEnrolled(
        f"this machine is no edge: there is no {path}",
        hint="`zthook edge init` writes it",
    )
    return parse_edge(_read(path, missing), path)


def load_host(path: Path) -> HostSettings:
    """The settings of host.toml at ``path``; errors as ``load_edge``."""
    missing = NotEnrolled(
        f"this host is not set up: there is no {path}",
        hint="`zthook edge host add NAME` on the edge prints the command that enrols this host",
    )
    return parse_host(_read(path, missing), path)


def parse_edge(content: str, path: Path) -> EdgeSettings:
    """The settings in ``content``; ``path`` is for errors. Raises ConfigError."""
    document = Document(content, path)
    root = document.root
    overlay = _overlay(root.table("overlay"))
    usual = EdgeSettings(overlay)
    with (
        root.table("api") as api,
        root.table("lease") as lease,
        root.table("edge") as edge,
        root.table("metrics") as metrics,
        root.table("web") as web,
    ):
        settings = EdgeSettings(
            overlay=overlay,
            api_port=api.take("port", integer(1, 65535), usual.api_port),
            lease_seconds=lease.take("seconds", seconds(1, DAY), usual.lease_seconds),
            grace_seconds=lease.take("grace_seconds", seconds(0, 30 * DAY), usual.grace_seconds),
            resync_seconds=edge.take("resync_seconds", seconds(0.1, 3600), usual.resync_seconds),
            pools=read_pools(root.tables("pool"), overlay),
            metrics=metrics.take("listen", listen, None),
            web=web.take("listen", endpoint, None),
        )
    root.close()
    document.finish()
    return settings


def parse_host(content: str, path: Path) -> HostSettings:
    """The settings in ``content``; ``path`` is for errors. Raises ConfigError."""
    document = Document(content, path)
    root = document.root
    overlay = _overlay(root.table("overlay"))
    usual = HostSettings(overlay)
    with (
        root.table("libvirt") as libvirt,
        root.table("host") as host,
        root.table("metrics") as metrics,
    ):
        settings = HostSettings(
            overlay=overlay,
            libvirt_uri=libvirt.take("uri", LIBVIRT_URI, usual.libvirt_uri),
            dnsmasq_folder=libvirt.take("dnsmasq_folder", folder, usual.dnsmasq_folder),
            via=host.take("via", _ipv4, None),
            required_seconds=host.take(
                "required_seconds", seconds(0.1, 60), usual.required_seconds
            ),
            mark=host.take("mark", _mark, usual.mark),
            table=host.take("table", _route_table, usual.table),
            # 32766 is the kernel's own rule for the main table: our four must stand before it.
            preference=host.take("preference", integer(1, 32762), usual.preference),
            metrics=metrics.take("listen", listen, None),
        )
    root.close()
    document.finish()
    return settings


def _overlay(table: Table) -> OverlaySettings:
    with table:
        why = 'driver = "zerotier" or "interface"'
        driver = table.require("driver", one_of("zerotier", "interface"), "", why)
        fast = table.take("fast_redial", boolean, OverlaySettings("interface").fast_redial)
        if driver == "zerotier":
            network = table.require("network", NETWORK_ID, "", "the ZeroTier network's id")
            home = table.take("home", folder, ZEROTIER_HOME)
            _not_with(table, driver, "interface")
            return OverlaySettings("zerotier", network=network, home=home, fast_redial=fast)
        interface = table.take("interface", DEVICE, None)
        if driver == "interface":
            if "interface" not in table:
                table.complain("interface", "is missing: the name of the overlay's device")
            _not_with(table, driver, "network", "home")
        return OverlaySettings("interface", interface=interface, fast_redial=fast)


def _not_with(table: Table, driver: str, *keys: str) -> None:
    for key in keys:
        if table.take(key, lambda value: value, None) is not None:
            table.complain(key, f'has no meaning with driver = "{driver}": leave it out')


def _ipv4(value: object) -> IPv4Address:
    wanted = 'an IPv4 address, as in "192.168.193.2"'
    if not isinstance(value, str):
        raise ValueError(wanted)  # noqa: TRY004
    try:
        return IPv4Address(value)
    except ValueError as error:
        raise ValueError(wanted) from error


def _mark(value: object) -> int:
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if number.bit_count() != MARK_BITS or not 0 < number < 1 << 32:
        raise ValueError("an integer of 32 bits, two of them set, as 0x0c000000")
    return number


def _route_table(value: object) -> int:
    number = integer(1, 2**32 - 2)(value)
    if {number, number + 1} & RESERVED_TABLES:
        raise ValueError("a table that, as the next one, is not the kernel's (253 to 255 are)")
    return number


def _read(path: Path, missing: NotEnrolled) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise missing from None
    except OSError as error:
        raise ConfigError(f"{path}:1: can not be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8", hint=f"save {path} as UTF-8") from error
