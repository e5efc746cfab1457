"""What goes wrong in a storm over real kernels, by its name."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.faults.ground import EMPTY, OVERLAY, UPLINK
from tests.faults.stormy_edge import LEASE
from tests.faults.stormy_host import StormyHost

if TYPE_CHECKING:
    from tests.faults.storm import Storm

Fault = Callable[["Storm", StormyHost], None]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    def keep(act: Fault) -> Fault:
        FAULTS[name] = act
        return act

    return keep


@fault("edge killed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.edge.kill()


@fault("edge dies at a step")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.edge.fate.end_at(storm.chance.randrange(12))


@fault("edge reboots")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.edge.kill()
    storm.ground.edge.shell(EMPTY + REBOOTED)
    storm.edge.start()


REBOOTED = f"""
for family in -4 -6; do
    ip $family route flush table all proto 123
    while ip $family rule del table 12310 2>/dev/null; do :; done
    ip $family neigh show proxy | while read -r a _; do ip neigh del proxy $a dev {UPLINK}; done
done
echo 0 >/proc/sys/net/ipv4/conf/{OVERLAY}/forwarding
echo 0 >/proc/sys/net/ipv4/conf/{UPLINK}/forwarding
echo 0 >/proc/sys/net/ipv6/conf/all/proxy_ndp
echo 0 >/proc/sys/net/ipv6/conf/{UPLINK}/proxy_ndp
"""
"""What else an edge's kernel has lost then."""


@fault("edge's rules flushed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell("nft flush ruleset")


@fault("edge's table deleted")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell("nft delete table inet zthook")


@fault("edge's routes flushed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell("ip route flush proto 123; ip -6 route flush proto 123")


@fault("edge's policy rules flushed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell(
        "ip rule flush; ip rule add pref 32766 table main; ip rule add pref 32767 table default\n"
        "ip -6 rule flush; ip -6 rule add pref 32766 table main\n"
        "ip rule del table 12310; ip -6 rule del table 12310"  # of preference 0, which stay
    )


@fault("edge's connections flushed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell("conntrack -F")


@fault("edge's answers for addresses removed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell(
        f"for f in -4 -6; do ip $f neigh show proxy |"
        f" while read -r a _; do ip neigh del proxy $a dev {UPLINK}; done; done"
    )


@fault("edge's forwarding off")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell(f"echo 0 >/proc/sys/net/ipv4/conf/{OVERLAY}/forwarding")


@fault("edge's pinned neighbours flushed")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell(f"ip -6 neigh flush dev {OVERLAY} nud permanent")


@fault("edge's IPv6 forwarding off")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding")


@fault("edge's overlay without IPv6 and back")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.edge.shell(f"echo 1 >/proc/sys/net/ipv6/conf/{OVERLAY}/disable_ipv6")
    time.sleep(storm.chance.uniform(0, 0.3))
    storm.ground.edge.shell(f"echo 0 >/proc/sys/net/ipv6/conf/{OVERLAY}/disable_ipv6")
    storm.ground.give_six(storm.ground.edge)


@fault("edge's overlay away and back")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.ground.unplug(storm.ground.edge)
    time.sleep(storm.chance.uniform(0, 0.3))
    storm.ground.plug(storm.ground.edge)
    storm.ground.know_each_other(storm.ground.edge)


@fault("store full")
def _(storm: "Storm", _host: StormyHost) -> None:
    _store(storm, "full")


@fault("store read-only")
def _(storm: "Storm", _host: StormyHost) -> None:
    _store(storm, "read-only")


def _store(storm: "Storm", how: str) -> None:
    if storm.edge.up:
        storm.edge.store_refuses(how)
        storm.later(lambda: storm.edge.up and storm.edge.store_refuses(""))


@fault("clock set hours ahead")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.edge.clock.ahead += storm.chance.uniform(3600, 12 * 3600)


@fault("clock set hours back")
def _(storm: "Storm", _host: StormyHost) -> None:
    storm.edge.clock.ahead -= storm.chance.uniform(3600, 12 * 3600)


@fault("agent killed")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.kill_agent()


@fault("agent dies at a step")
def _(storm: "Storm", host: StormyHost) -> None:
    if host.alive:
        host.post.fate.end_at(storm.chance.randrange(8))


@fault("host reboots")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.reboot()


@fault("host's rules flushed")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.place.shell("nft flush ruleset")


@fault("host's routes flushed")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.place.shell(
        "for f in -4 -6; do ip $f route flush table 12300; ip $f route flush table 12301; done"
    )


@fault("host's policy rules flushed")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.place.shell(
        "ip rule flush; ip rule add pref 32766 table main; ip rule add pref 32767 table default\n"
        "ip -6 rule flush; ip -6 rule add pref 32766 table main"
    )


@fault("host's pinned neighbour flushed")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.place.shell(f"ip -6 neigh flush dev {OVERLAY} nud permanent")


@fault("host's IPv6 forwarding off")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.place.shell("echo 0 >/proc/sys/net/ipv6/conf/all/forwarding")


@fault("host's connections flushed")
def _(_storm: "Storm", host: StormyHost) -> None:
    host.place.shell("conntrack -F")


@fault("host's overlay away and back")
def _(storm: "Storm", host: StormyHost) -> None:
    storm.ground.unplug(host.place)
    time.sleep(storm.chance.uniform(0, 0.3))
    storm.ground.plug(host.place)


@fault("host partitioned")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.mute = host.post.deaf = True
    storm.later(host.post.calm)


@fault("host not heard")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.mute = True
    storm.later(host.post.calm)


@fault("host hears nothing")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.deaf = True
    storm.later(host.post.calm)


@fault("host silent for a lease")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.mute = host.post.deaf = True
    time.sleep(LEASE / 2)
    storm.later(host.post.calm)


@fault("messages lost")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.lost = 0.3
    storm.later(host.post.calm)


@fault("messages late")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.late = 0.3
    storm.later(host.post.calm)


@fault("messages doubled")
def _(storm: "Storm", host: StormyHost) -> None:
    host.post.doubled = 0.3
    storm.later(host.post.calm)


@fault("libvirt hangs")
def _(storm: "Storm", host: StormyHost) -> None:
    host.libvirt("hang")
    storm.later(lambda: host.libvirt("recover"))


@fault("libvirt away")
def _(storm: "Storm", host: StormyHost) -> None:
    host.libvirt("disconnect")
    storm.later(lambda: host.libvirt("reconnect"))
