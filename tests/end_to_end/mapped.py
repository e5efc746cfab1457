"""Guests with addresses: brought up together, and looked at from outside."""

from collections.abc import Iterable
from typing import Any

from tests.lab.commands import wait_until
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine, Page, Unreached


def boot(*guests: Guest) -> None:
    """Start them at once, and return when all serve."""
    for guest in guests:
        guest.start()
    for guest in guests:
        guest.wait_ready()


def wait_active(guest: Guest, *publics: str, deadline_seconds: float = 20) -> None:
    """Return once the guest has exactly these addresses."""
    host = guest.host
    assert isinstance(host, Host)

    def have() -> set[tuple[str, str]]:
        return {(row["public"], row["state"]) for row in host.agent.mappings(guest.uuid)}

    wait_until(
        lambda: have() == {(one, "active") for one in publics},
        deadline_seconds,
        lambda: f"{guest.name} has {publics}; it has {host.agent.mappings(guest.uuid)}",
    )


def seen_by(name: str, machine: Machine, public: str) -> str:
    """Whom the guest ``name`` sees when ``machine`` comes to ``public``, whichever way it asks."""
    pages = [machine.page(public), machine.udp_page(public)]
    assert [page.name for page in pages] == [name] * 2
    [saw] = {page.saw for page in pages}
    assert machine.ping(public, timeout=2)
    return saw


def unreached(machine: Machine, public: str, port: int = 80, *, timeout: float = 0.7) -> str:
    """How a TCP connection to there fails; AssertionError with the page where it does not."""
    try:
        page: Page = machine.page(public, port, timeout=timeout)
    except Unreached as error:
        return error.kind
    raise AssertionError(f"{machine.name} reaches {page} at {public} port {port}")


def silent(machine: Machine, public: str, port: int = 80) -> bool:
    """Whether nothing answers there, not even with a refusal."""
    try:
        machine.tcp_connect(public, port, timeout=0.7)
    except Unreached as error:
        return error.kind in {"timeout", "unreachable"}
    return False


def connections(machine: Machine, *addresses: str) -> list[str]:
    """The entries of a machine's connection table that name any of these addresses."""
    listed = ""
    for family in ("ipv4", "ipv6"):
        listed += machine.run("conntrack", "-L", "-f", family, check=False).stdout
    words = {f"{side}={address}" for side in ("src", "dst") for address in addresses}
    return [line for line in listed.splitlines() if words & set(line.split())]


def edge_mappings(lab: Lab, *publics: str) -> list[dict[str, Any]]:
    """The edge's rows of these addresses."""
    rows: list[dict[str, Any]] = lab.edge.daemon.asked("mappings")
    return [row for row in rows if row["public"] in publics]


def traces_of_ours(host: Host, *, ignoring: Iterable[str] = ()) -> list[str]:
    """All that a host's kernel has of ours; settings are not among it."""
    found = []
    for family in ("-4", "-6"):
        rules = host.run("ip", family, "rule").stdout.splitlines()
        found += [line for line in rules if "proto 123" in line or "12300" in line]
        routes = host.run("ip", family, "route", "show", "table", "all", "proto", "123")
        found += routes.stdout.splitlines()
        neighbours = host.run("ip", family, "neigh", "show", "proto", "124", check=False)
        found += neighbours.stdout.splitlines()
    chains = host.run("iptables-save").stdout + host.run("ip6tables-save").stdout
    found += [line for line in chains.splitlines() if "zthook" in line]
    tables = host.run("nft", "list", "tables").stdout.splitlines()
    found += [line for line in tables if "zthook" in line]
    return [line for line in found if not any(word in line for word in ignoring)]
