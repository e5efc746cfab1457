"""Writes the two files the first time, and pools into edge.toml later.

Changes are made to the text itself, so that everything else in it (comments, order,
spacing) stays as its owner wrote it; what comes out is read back before it replaces the file.
"""

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from zthook.config.lines import Span, key_spans
from zthook.config.loading import load_edge, parse_edge
from zthook.config.settings import (
    ZEROTIER_HOME,
    EdgeSettings,
    HostSettings,
    Listen,
    OverlaySettings,
)
from zthook.errors import ConfigError, NotFound
from zthook.model.addresses import AddressRange, Pool

_COMMENT_COLUMN = 36
_EXAMPLE_NETWORK = "b87d70f46bc5c578"
_EXAMPLE_INTERFACE = "br-overlay"
_EXAMPLE_VIA = "192.168.193.2"
_EXAMPLE_LISTEN = "127.0.0.1:9753"
_EXAMPLE_WEB = "overlay:9444"


def write_edge(path: Path, settings: EdgeSettings) -> None:
    """Write a new edge.toml. Raises ConfigError where ``path`` exists or can not be written."""
    _create(path, edge_text(settings))


def write_host(path: Path, settings: HostSettings) -> None:
    """Write a new host.toml. Raises ConfigError where ``path`` exists or can not be written."""
    _create(path, host_text(settings))


def add_pool(path: Path, pool: Pool) -> None:
    """Append ``pool`` to edge.toml. Raises ConfigError where the pools would be wrong then."""
    before = load_edge(path)
    content = _content(path)
    content += "" if content.endswith("\n") else "\n"
    _change(path, content + "\n" + _pool_text(pool), (*before.pools, pool))


def remove_pool(path: Path, name: str) -> None:
    """Remove the pool ``name`` from edge.toml. Raises NotFound where there is none.

    Comments around its table stay.
    """
    before = load_edge(path)
    numbers = [number for number, pool in enumerate(before.pools) if pool.name == name]
    if not numbers:
        known = ", ".join(pool.name for pool in before.pools) or "none"
        raise NotFound(f"no pool {name!r} in {path}", hint=f"pools there: {known}")
    content = _content(path)
    span = key_spans(content)["pool", numbers[0]]
    remaining = tuple(pool for pool in before.pools if pool.name != name)
    _change(path, _without(content, span), remaining)


def edge_text(settings: EdgeSettings) -> str:
    """An edge.toml that says ``settings``, with comments."""
    usual = EdgeSettings(settings.overlay)
    grace, resync = "and its mappings stay until so long after", "between two looks at the kernel"
    lines = [
        *_overlay_lines(settings.overlay),
        "",
        "[api]",
        _line("port", settings.api_port, "on the overlay address, nowhere else"),
        "",
        "[lease]",
        _line(
            "seconds", settings.lease_seconds, "a host silent for so long may lose its addresses"
        ),
        _unless(usual.grace_seconds, "grace_seconds", settings.grace_seconds, grace),
        "",
        "[edge]",
        _unless(usual.resync_seconds, "resync_seconds", settings.resync_seconds, resync),
        *_listen_lines("metrics", settings.metrics, _EXAMPLE_LISTEN, "for Prometheus"),
        *_listen_lines("web", settings.web, _EXAMPLE_WEB, "a page for your browser"),
    ]
    return "\n".join(lines) + "\n" + "".join("\n" + _pool_text(pool) for pool in settings.pools)


def host_text(settings: HostSettings) -> str:
    """A host.toml that says ``settings``, with comments."""
    usual = HostSettings(settings.overlay)
    folder, usual_folder = str(settings.dnsmasq_folder), str(usual.dnsmasq_folder)
    via = str(settings.via or _EXAMPLE_VIA)
    gateway = "overlay address of the LAN gateway, where this host is no member itself"
    waits = 'a required="yes" guest waits so long for its address'
    lines = [
        *_overlay_lines(settings.overlay),
        "",
        "[libvirt]",
        _line("uri", settings.libvirt_uri, ""),
        _unless(usual_folder, "dnsmasq_folder", folder, "DHCP leases of libvirt's networks"),
        "",
        "[host]",
        _unless(via if settings.via is None else "", "via", via, gateway),
        _unless(usual.required_seconds, "required_seconds", settings.required_seconds, waits),
        _unless(usual.mark, "mark", settings.mark, "the two bits of marks that are ours"),
        _unless(usual.table, "table", settings.table, "first of our two route tables"),
        _unless(
            usual.preference, "preference", settings.preference, "first of our four policy rules"
        ),
        *_listen_lines("metrics", settings.metrics, _EXAMPLE_LISTEN, "for Prometheus"),
    ]
    return "\n".join(lines) + "\n"


def _overlay_lines(overlay: OverlaySettings) -> list[str]:
    zerotier = [
        _line("network", overlay.network or _EXAMPLE_NETWORK, "zerotier: the network's id"),
        _line(
            "home",
            str(overlay.home or ZEROTIER_HOME),
            "zerotier: holds authtoken.secret and zerotier-one.port",
        ),
    ]
    name = overlay.interface or _EXAMPLE_INTERFACE
    interface = [_line("interface", name, 'driver "interface": its name')]
    if overlay.driver == "zerotier":
        interface = [_comment(line) for line in interface]
    else:
        zerotier = [_comment(line) for line in zerotier]
    other = "interface" if overlay.driver == "zerotier" else "zerotier"
    usual = OverlaySettings(overlay.driver).fast_redial
    fast = _unless(usual, "fast_redial", overlay.fast_redial, "ZeroTier heals redials at once")
    return [
        "[overlay]",
        _line("driver", overlay.driver, f'or "{other}"'),
        *zerotier,
        *interface,
        fast,
    ]


def _listen_lines(table: str, listen: Listen | None, example: str, comment: str) -> list[str]:
    shown = str(listen or example)
    line = _unless(shown if listen is None else "", "listen", shown, comment)
    return ["", f"[{table}]", line]


def _pool_text(pool: Pool) -> str:
    lines = [
        "[[pool]]",
        f"name = {_value(pool.name)}",
        f"addresses = {_ranges(pool.ranges)}",
        f"uplink = {_value(pool.uplink)}",
    ]
    if pool.arrives_as:
        lines.append(f"arrives_as = {_ranges(pool.arrives_as)}")
    if pool.gateways:
        written = [_value(str(gateway)) for gateway in pool.gateways]
        lines.append(f"gateway = {written[0] if len(written) == 1 else _array(written)}")
    return "\n".join(lines) + "\n"


def _ranges(ranges: Iterable[AddressRange]) -> str:
    return _array(_value(str(one)) for one in ranges)


def _array(values: Iterable[str]) -> str:
    return "[" + ", ".join(values) + "]"


def _value(value: str | float) -> str:
    # What JSON writes for printable strings and finite numbers, TOML reads as the same.
    return json.dumps(value, ensure_ascii=False)


def _line(key: str, value: str | float, comment: str) -> str:
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    shown = f"0x{value:08x}" if key == "mark" else _value(whole)
    return f"{f'{key} = {shown}':<{_COMMENT_COLUMN}} # {comment}" if comment else f"{key} = {shown}"


def _unless(usual: str | float, key: str, value: str | float, comment: str) -> str:
    """The line of ``key``, behind a comment sign where its value is the usual one."""
    line = _line(key, value, comment)
    return line if value != usual else _comment(line)


def _comment(line: str) -> str:
    return "# " + line.replace("  # ", "# ", 1)


def _content(path: Path) -> str:
    return path.read_bytes().decode()


def _without(content: str, span: Span) -> str:
    lines = content.split("\n")
    before, after = lines[: span.first - 1], lines[span.last :]
    if before and after and not before[-1].strip() and not after[0].strip():
        after = after[1:]
    return "\n".join(before + after)


def _change(path: Path, content: str, pools: tuple[Pool, ...]) -> None:
    """Replace ``path`` by ``content`` if that reads back as these pools."""
    try:
        understood = parse_edge(content, path).pools == pools
    except ConfigError as error:
        hint = f"this is how {path} would be wrong after the change; it was left as it is"
        raise ConfigError(error.message, hint=hint) from error
    if not understood:
        raise ConfigError(
            f"{path}:1: its pools are written in a way this command does not change",
            hint=f"edit {path}: one [[pool]] table for each pool",
        )
    _replace(path.resolve(), content)


def _create(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(path, content, 0o644)
        try:
            _link(temporary, path)
        finally:
            temporary.unlink()
    except OSError as error:
        raise ConfigError(f"{path} can not be written: {error.strerror}") from error


def _link(temporary: Path, path: Path) -> None:
    try:
        # A link, unlike a rename, fails where the name is taken: nobody's file is overwritten.
        path.hardlink_to(temporary)
    except FileExistsError:
        hint = "edit it, or move it away and run this again"
        raise ConfigError(f"{path} is there already; it was left as it is", hint=hint) from None


def _replace(path: Path, content: str) -> None:
    try:
        was = path.stat()
        temporary = _temporary(path, content, was.st_mode & 0o7777)
        os.chown(temporary, was.st_uid, was.st_gid)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} can not be written: {error.strerror}") from error


def _temporary(path: Path, content: str, mode: int) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    return Path(name)
