"""Settings under /proc/sys that a host needs; they are never set back."""

from collections.abc import Collection

from zthook.kernel import sysctl
from zthook.kernel.links import LATER_DEVICES, router_advertised

FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}
BRIDGED = {
    4: "net/bridge/bridge-nf-call-iptables",
    6: "net/bridge/bridge-nf-call-ip6tables",
}
"""Docker loads what makes these; without it they are not there."""
LOOSE = "2"


def not_forwarding(versions: Collection[int]) -> set[int]:
    """The IP versions of these that this machine does not forward."""
    return {version for version in versions if sysctl.read(FORWARDING[version]) == "0"}


def bridged(versions: Collection[int]) -> set[int]:
    """The IP versions of these whose packets pass the rules also where they are only bridged."""
    return {version for version in versions if sysctl.read(BRIDGED[version]) == "1"}


def loosen(overlay: str) -> list[str]:
    """Take packets on the overlay whatever the way back; a line where it was otherwise."""
    return _set(_filter_path(overlay), LOOSE)


def forward(versions: Collection[int]) -> list[str]:
    """Forward packets of these IP versions; a line for each setting that was changed.

    A machine that forwards IPv6 ignores the routers from which it has its own way out,
    unless it is told otherwise before.
    """
    lines: list[str] = []
    if 6 in not_forwarding(versions):
        for device in (*sorted(router_advertised()), LATER_DEVICES):
            path = f"net/ipv6/conf/{device}/accept_ra"
            lines += _set(path, "2") if sysctl.read(path) == "1" else []
    return lines + [line for version in sorted(versions) for line in _set(FORWARDING[version], "1")]


def stay(overlay: str, versions: Collection[int]) -> bool:
    """Whether all this is so: nobody is told of it, but to read it costs next to nothing."""
    loose = sysctl.read(_filter_path(overlay)) in {LOOSE, None}
    return loose and not not_forwarding(versions)


def _filter_path(device: str) -> str:
    return f"net/ipv4/conf/{device}/rp_filter"


def _set(path: str, value: str) -> list[str]:
    return [f"{path.replace('/', '.')} set to {value}"] if sysctl.write(path, value) else []
