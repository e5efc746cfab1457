"""Does the API listen on the overlay, and nowhere else?"""

from collections.abc import Collection

from zthook.doctor.edge.case import EdgeCase
from zthook.doctor.finding import Finding, fail, ok
from zthook.kernel.protected import Served, served_ports
from zthook.model.addresses import IPAddress
from zthook.model.publication import Protocol


def judge(port: int, overlay: Collection[IPAddress], served: Collection[Served]) -> Finding:
    """``overlay`` are the addresses there, ``served`` all that this machine serves."""
    here = [one for one in served if one.protocol is Protocol.TCP and one.port == port]
    elsewhere = sorted(str(one.address) for one in here if one.address not in overlay)
    if elsewhere:
        return fail(
            f"port {port} is served on {elsewhere[0]} too, which is not the overlay's",
            f"ss -ltnp 'sport = {port}' says by whom; another port for the API: [api] in edge.toml",
        )
    if not here:
        return fail(
            f"nothing listens at port {port} of the overlay",
            "journalctl -u zthook-edge says why: hosts can not speak to this edge",
        )
    return ok(f"https://{here[0].address}:{port}, and nowhere else")


def check(case: EdgeCase) -> Finding:
    """Look at what is served."""
    overlay = case.overlay.addresses if case.overlay else ()
    return judge(case.settings.api_port, overlay, served_ports())
