"""`python -m tests.lab demo`: a guest gets its public address, and loses it, before your eyes."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.commands import LabError, wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Unreached
from tests.lab.topology import CLIENT

HOOK = Path(__file__).parents[2] / "hooks" / "qemu"
PUBLIC = "203.0.113.10"
LINE = "  {text:<58}"


@contextmanager
def step(text: str) -> Iterator[None]:
    """One line a step: what it is, and once it is done, how long it took."""
    print(LINE.format(text=text), end="", flush=True)
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - begun:7.1f} s", flush=True)


def show(prompt: str, output: str) -> None:
    """A command as it was typed, and what it printed."""
    print(f"\n    {prompt}")
    for row in output.rstrip().splitlines():
        print(f"    {row}")
    print(flush=True)


def set_up(lab: Lab, host: Host) -> Guest:
    """An edge and a host, as their owners would set them up, and a guest that is defined."""
    with step("the edge: zthook edge init, zthook edge serve"):
        lab.edge.daemon.init()
        lab.edge.daemon.start()
    with step("the host: libvirtd with the hook, zthook join, the agent"):
        host.install_hook(HOOK)
        host.libvirtd.start()
        host.agent.join(lab.edge.daemon.add_host(host.name))
        host.agent.start()
    with step(f"a guest whose XML says {PUBLIC}"):
        return host.define_guest("web1", annotation=annotation(PUBLIC))


def bring_up(lab: Lab, host: Host, guest: Guest) -> None:
    """`virsh start`, until the client has the guest's page through the public address."""
    with step("virsh start web1"):
        guest.start()
    with step("  web1 boots (emulated), and has its address by DHCP"):
        private = guest.wait_ready()
    with step("  zthook: the mapping is active"):
        host.agent.wait_state("web1", "active")
    with step(f"  the client has web1's page from {PUBLIC}"):
        page = lab.client.page(PUBLIC)
    if (page.name, page.saw) != ("web1", CLIENT):
        raise LabError(f"the page came from {page.name}, which saw {page.saw}, not {CLIENT}")
    show(f"client$ wget -qO- http://{PUBLIC}/", lab.client.http(PUBLIC))
    print(f"    ({private} at home, and it sees the client's own address)")
    show("home1$ zthook status", host.agent("status").stdout)


def take_down(lab: Lab, guest: Guest) -> None:
    """`virsh destroy`, and a look at everything that must be gone."""
    with step("virsh destroy web1"):
        guest.destroy()
    with step("  the edge's kernel and store have let go of it"):
        wait_until(lambda: not remains(lab), 10, lambda: "; ".join(remains(lab)))
    with step(f"  a client of {PUBLIC} waits in vain"):
        expect_silence(lab)


def remains(lab: Lab) -> list[str]:
    """Where the mapping can still be seen on the edge."""
    table = lab.edge.run("nft", "list", "table", "inet", "zthook").stdout
    seen = ["the table has a mapping"] if "192.168.122." in table else []
    with sqlite3.connect(lab.edge.daemon.state / "edge.sqlite") as store:
        rows = store.execute("SELECT count(*) FROM claims").fetchone()[0]
    store.close()
    return seen + ([f"the store has {rows} claims"] if rows else [])


def expect_silence(lab: Lab) -> None:
    """Nothing may answer, not even with a refusal of the guest's."""
    try:
        page = lab.client.page(PUBLIC, timeout=2)
    except Unreached as error:
        if error.kind not in {"timeout", "unreachable"}:
            raise LabError(f"{PUBLIC} does not answer, but: {error}") from error
    else:
        raise LabError(f"{PUBLIC} still reaches {page.name}")


def demo() -> None:
    """Show it all; LabError, and nothing left behind, where something is not as it should be."""
    print("\nA home and an edge on this machine (in network namespaces)")
    lab = Lab(hosts=("home1",))
    with step("network: client, internet, edge, overlay, home1"):
        lab.__enter__()
    try:
        host = lab["home1"]
        guest = set_up(lab, host)
        print("\nA guest starts")
        bring_up(lab, host, guest)
        print("The guest stops")
        take_down(lab, guest)
    finally:
        with step("cleaning up"):
            lab.close()
    print("\nThat was it. README.md says how to set up your own edge and host.")
