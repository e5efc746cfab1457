"""What goes wrong in a storm over a lab."""

import time

from tests.faults.harm import FAULTS, SKIPPED, Fault, Havoc, fault
from tests.lab.edge import plug_name
from tests.lab.host import Host
from tests.lab.rough import Shares

# The edge's daemon and machine.


def start_edge(storm: Havoc) -> None:
    """As systemd does; while its disk is read-only it says so, and does not come up."""
    process = storm.lab.edge.daemon.start(ready=not storm.read_only)
    if storm.read_only:
        assert process.wait_ended() == 1
        assert "Read-only" in process.log_text()


@fault("edge killed")
def _(storm: Havoc, _host: Host) -> None:
    storm.lab.edge.daemon.kill()
    start_edge(storm)


@fault("edge restarted")
def _(storm: Havoc, _host: Host) -> None:
    storm.lab.edge.daemon.resume()
    storm.lab.edge.daemon.stop()
    start_edge(storm)


@fault("edge hangs")
def _(storm: Havoc, _host: Host) -> None:
    storm.lab.edge.daemon.hang()
    storm.later(lambda: storm.lab.edge.daemon.resume())


@fault("edge reboots")
def _(storm: Havoc, _host: Host) -> None:
    """Its disk is checked then."""
    storm.lab.edge.reboot()
    if storm.read_only:
        storm.disk.repair()
        storm.read_only = False
    storm.lab.edge.daemon.start()


@fault("store's disk read-only")
def _(storm: Havoc, _host: Host) -> object:
    """Under the daemon that writes there, until somebody puts it right and starts the daemon."""
    if storm.read_only:
        return SKIPPED
    storm.disk.fail()
    storm.read_only = True
    storm.later(lambda: _disk_is_well(storm))
    return None


def _disk_is_well(storm: Havoc) -> None:
    if storm.read_only:
        storm.lab.edge.daemon.kill()
        storm.disk.repair()
        storm.read_only = False
        start_edge(storm)


@fault("store full")
def _(storm: Havoc, _host: Host) -> None:
    """Files may not grow beyond a kilobyte: what SQLite writes ahead can not be written."""
    _limit(storm, "1024")
    storm.later(lambda: _limit(storm, "unlimited"))


def _limit(storm: Havoc, size: str) -> None:
    pid = storm.lab.edge.daemon.process.pid
    storm.lab.edge.run("prlimit", "--pid", pid, f"--fsize={size}:unlimited", check=False)


# The agents.


@fault("agent killed")
def _(_storm: Havoc, host: Host) -> None:
    host.agent.kill()
    host.agent.start()


@fault("agent restarted")
def _(_storm: Havoc, host: Host) -> None:
    host.agent.resume()
    host.agent.restart()


@fault("agent hangs")
def _(storm: Havoc, host: Host) -> None:
    host.agent.hang()
    storm.later(host.agent.resume)


# libvirt.


@fault("libvirtd hangs")
def _(storm: Havoc, host: Host) -> object:
    if host in storm.without_libvirt:
        return SKIPPED
    host.libvirtd.hang()
    storm.without_libvirt.add(host)
    storm.later(lambda: _libvirtd_answers(storm, host))
    return None


def _libvirtd_answers(storm: Havoc, host: Host) -> None:
    host.libvirtd.resume()
    storm.without_libvirt.discard(host)


@fault("libvirtd killed")
def _(storm: Havoc, host: Host) -> None:
    host.libvirtd.kill()
    host.libvirtd.start()
    storm.without_libvirt.discard(host)


@fault("libvirtd restarted")
def _(storm: Havoc, host: Host) -> None:
    _libvirtd_answers(storm, host)
    host.libvirtd.restart()


@fault("dnsmasq killed")
def _(storm: Havoc, host: Host) -> None:
    """libvirtd starts it again when it is started itself."""
    pid = host.place("/run/libvirt") / "network" / "default.pid"
    host.run("sh", "-c", f"kill -9 $(cat {pid})", check=False)
    _libvirtd_answers(storm, host)
    host.libvirtd.restart()


@fault("host reboots")
def _(storm: Havoc, host: Host) -> None:
    storm.stop_guests(host)
    host.lose_power()
    host.libvirtd.start()
    host.agent.start()
    storm.without_libvirt.discard(host)


# What others do to kernels.

SCRIPTS = {
    "rules flushed": ("edge", "nft flush ruleset"),
    "table deleted": ("edge", "nft delete table inet zthook"),
    "routes flushed": ("edge", "ip route flush proto 123"),
    "answers for addresses removed": (
        "edge",
        "ip neigh show proxy | while read -r one _; do ip neigh del proxy $one dev uplink0; done",
    ),
    "forwarding off": ("edge", "echo 0 >/proc/sys/net/ipv4/conf/overlay0/forwarding"),
    "connections flushed": ("edge", "conntrack -F"),
    "host's table deleted": ("host", "nft delete table inet zthook_host"),
    "host's routes flushed": ("host", "ip route flush table 12300"),
    "host's policy rules deleted": ("host", "while ip rule del pref 12300; do :; done"),
    "host's connections flushed": ("host", "conntrack -F"),
    "host's neighbours flushed": ("host", "ip neigh flush dev overlay0"),
}


def _script(where: str, script: str) -> Fault:
    def act(storm: Havoc, host: Host) -> None:
        machine = storm.lab.edge if where == "edge" else host
        machine.run("sh", "-c", script, check=False)

    return act


FAULTS |= {name: _script(*told) for name, told in SCRIPTS.items()}


# The overlay and the lines.


@fault("edge's overlay away and back")
def _(storm: Havoc, _host: Host) -> None:
    with storm.lab.without_overlay(storm.lab.edge):
        time.sleep(storm.chance.uniform(0, 0.5))


@fault("host's overlay away and back")
def _(storm: Havoc, host: Host) -> None:
    with storm.lab.without_overlay(host):
        time.sleep(storm.chance.uniform(0, 0.5))


@fault("host cut off")
def _(storm: Havoc, host: Host) -> None:
    storm.lab.cut_overlay(host.name)
    storm.later(lambda: storm.lab.mend_overlay(host.name))


@fault("host not heard")
def _(storm: Havoc, host: Host) -> None:
    _weather(storm, f'iifname "{plug_name(host.name, "overlay")}" drop')


@fault("host hears nothing")
def _(storm: Havoc, host: Host) -> None:
    _weather(storm, f'oifname "{plug_name(host.name, "overlay")}" drop')


@fault("a fifth of the overlay's packets lost")
def _(storm: Havoc, _host: Host) -> None:
    _weather(storm, "numgen random mod 100 < 20 drop")


@fault("overlay reorders and doubles")
def _(storm: Havoc, host: Host) -> object:
    """On the edge's stretch of it or on a host's."""
    name = storm.chance.choice(("edge", host.name))
    seed = storm.chance.randrange(1000)
    if name in storm.rough:
        return SKIPPED
    storm.rough.add(name)
    rough = storm.lab.roughen(name, Shares(late=0.2, doubled=0.1, lost=0.01, seed=seed))

    def smooth() -> None:
        storm.rough.discard(name)
        storm.relayed.update(rough.end())

    storm.later(smooth)
    return None


WEATHER = """
table bridge weather {{
    chain over {{
        type filter hook forward priority 0
        {rule}
    }}
}}
"""


def _weather(storm: Havoc, rule: str) -> None:
    """On the overlay itself, until it ends."""
    hub = storm.lab._hub
    hub.run("nft", "delete", "table", "bridge", "weather", check=False)
    hub.run("nft", "-f", "-", stdin=WEATHER.format(rule=rule))
    storm.later(lambda: hub.run("nft", "delete", "table", "bridge", "weather", check=False))


@fault("home line redials")
def _(_storm: Havoc, host: Host) -> None:
    host.line.redial()
