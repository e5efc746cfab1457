"""Where a mapping can be seen: on the edge, in its kernel, in the host's kernel."""

import re
from typing import Any

from tests.lab.commands import wait_until
from tests.lab.host import Host
from tests.lab.lab import Lab


def edge_rows(lab: Lab, public: str = "") -> list[dict[str, Any]]:
    """What `zthook edge mappings` shows, of one public address where one is given."""
    rows: list[dict[str, Any]] = lab.edge.daemon.asked("mappings")
    return [row for row in rows if public in {"", row["public"]}]


def host_table(host: Host) -> str:
    """Our table in the host's kernel; "" where there is none."""
    return host.run("nft", "list", "table", "inet", "zthook_host", check=False).stdout


def traces(lab: Lab, host: Host, public: str, private: str) -> list[str]:
    """Each place that still knows of this mapping; ``public`` "": of any to that address."""
    kernel = lab.edge.run("nft", "list", "table", "inet", "zthook").stdout
    routes = lab.edge.run("ip", "route", "show", private).stdout.strip()
    tracked = lab.edge.run("conntrack", "-L", "-r", private, check=False).stdout.strip()
    rows = [row for row in edge_rows(lab, public) if public or row["private"] == private]
    seen = [f"the edge's store: {row}" for row in rows]
    seen += ["the edge's nftables table"] if _names(kernel, private) else []
    seen += [f"the edge's route {routes}"] if routes else []
    seen += [f"the edge's connection {tracked}"] if tracked else []
    seen += ["the host's nftables table"] if _names(host_table(host), private) else []
    return seen


def _names(text: str, address: str) -> bool:
    return re.search(rf"\b{re.escape(address)}\b", text) is not None


def wait_gone(
    lab: Lab, host: Host, public: str, private: str, deadline_seconds: float = 10
) -> None:
    """Return once nothing is left of a mapping anywhere."""
    seen: list[str] = []

    def gone() -> bool:
        seen[:] = traces(lab, host, public, private)
        return not seen

    wait_until(gone, deadline_seconds, lambda: f"{public} is let go of; it stands in {seen}")
