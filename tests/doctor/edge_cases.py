"""What an edge's checks find where all is as it should be, and where just one thing is broken."""

from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import msgspec

from zthook.config.settings import OverlaySettings
from zthook.doctor.edge import (
    api,
    arrival,
    daemon,
    hosts,
    kernel,
    neighbours,
    pools,
    settings,
    store,
)
from zthook.doctor.finding import Finding, Outcome
from zthook.edge.admin_views import EdgeReport
from zthook.edge.views import DriftView, EdgeStatus, HostView, MappingView, TrafficView
from zthook.kernel.protected import Served
from zthook.model.addresses import AddressRange, IPAddress, Pool
from zthook.model.publication import Protocol
from zthook.overlay.member_mac import member_mac

OVERLAY = (ip_address("192.168.193.222"),)
LISTENING = Served(Protocol.TCP, 9443, OVERLAY[0])
EVERYWHERE = Served(Protocol.TCP, 9443, ip_address("::"))
UDP = Served(Protocol.UDP, 9443, ip_address("::"))
SSH = Served(Protocol.TCP, 22, ip_address("0.0.0.0"))
HK = Pool("hk", (AddressRange.parse("203.0.113.10-203.0.113.14"),), "eth0")
TRANSLATED = Pool(
    "nat", (AddressRange.parse("198.51.100.10"),), "eth0", (AddressRange.parse("203.0.113.2"),)
)
OWN = {ip_address("203.0.113.2"): "the source address of the edge's default route"}
NEVER = DriftView()
STATUS = EdgeStatus(
    edge="e1", version="0.1.0", started=0.0, overlay=None, hosts=[], mappings={}, drift=NEVER
)
REPORT = EdgeReport(status=STATUS, pools=[], listening="192.168.193.222:9443", problems=[])
PUBLIC = ip_address("203.0.113.10")
MAC = "02:00:00:00:00:77"
NETWORK, PLAIN = "b87d70f46bc5c578", OverlaySettings("interface", interface="br0")
HOME1_AT = IPv4Address("192.168.193.2")
HOME1 = HostView(
    name="home1",
    enrolled=True,
    invited_until=None,
    member=None,
    prefixes=[],
    pools=[],
    group=None,
    hostname="home1",
    agent="0.1.0",
    address=str(HOME1_AT),
    mac="02:00:00:00:00:02",
    last_seen=0.0,
    lease="live",
    lease_seconds=50.0,
    held=1,
)
HOME2 = msgspec.structs.replace(HOME1, name="home2", lease="ended", held=0)
STORE = Path("/var/lib/zthook/edge.sqlite")


def mapped(packets_in: int, packets_out: int, *, since: float = 0.0) -> list[MappingView]:
    return [
        MappingView(
            asked=str(PUBLIC),
            public=str(PUBLIC),
            guest="web1",
            uuid="u",
            host="home1",
            private="192.168.122.50",
            mode="nat",
            client="keep",
            state="active",
            reason="",
            holder="",
            epoch=1,
            since=since,
            traffic=TrafficView(
                bytes_in=1, packets_in=packets_in, bytes_out=1, packets_out=packets_out
            ),
        )
    ]


def complaining(*problems: str) -> EdgeReport:
    return msgspec.structs.replace(REPORT, problems=list(problems))


def drifting(
    differing: Sequence[str] = (), *, last_at: float | None = None, started: float = 0.0
) -> Finding:
    return kernel.judge(
        differing, DriftView(repaired=1, last=["x"], last_at=last_at), started, 10_000.0
    )


def given(pool: Pool, protected: dict[IPAddress, str]) -> Finding:
    return pools.judge([pool], {"eth0", "lo"}, protected)


def nearby(claim: set[str], host: HostView = HOME1, overlay: OverlaySettings = PLAIN) -> Finding:
    """These say that they have home1's address."""
    return neighbours.judge([host], {HOME1_AT: claim}, overlay)


FINE: dict[str, Finding] = {
    "daemon": daemon.judge(REPORT, "0.1.0"),
    "daemon, of whose problems others are about": daemon.judge(
        complaining("the overlay is down: it is away"), "0.1.0"
    ),
    "store": store.judge(1, 1, ((STORE, 0o600),)),
    "API": api.judge(9443, OVERLAY, [LISTENING, UDP, SSH]),
    "hosts": hosts.judge([HOME1, HOME2]),
    "neighbours": nearby({HOME1.mac or ""}),
    "neighbours that are silent": nearby(set()),
    "pools": given(HK, OWN),
    "settings": settings.judge([]),
    "kernel": drifting(),
    "kernel that was repaired long ago": drifting(last_at=9_000.0),
    "kernel that was repaired at the start": drifting(last_at=9_990.0, started=9_980.0),
    "arrival": arrival.judge({}, mapped(9, 9), 1000.0),
    "arrival of what is new": arrival.judge({}, mapped(0, 0, since=990.0), 1000.0),
}

BROKEN: dict[str, tuple[Outcome, str, Finding]] = {
    "a daemon that complains": (
        Outcome.FAIL,
        "web1 runs twice",
        daemon.judge(complaining("web1 runs twice"), "0.1.0"),
    ),
    "an old daemon": (Outcome.WARN, "version 0.1.0", daemon.judge(REPORT, "0.2.0")),
    "a readable store": (
        Outcome.FAIL,
        "others than root",
        store.judge(1, 1, ((STORE, 0o644),)),
    ),
    "an API everywhere": (
        Outcome.FAIL,
        "served on :: too",
        api.judge(9443, OVERLAY, [LISTENING, EVERYWHERE]),
    ),
    "no API": (Outcome.FAIL, "nothing listens", api.judge(9443, OVERLAY, [SSH, UDP])),
    "a silent host": (
        Outcome.WARN,
        "home1 holds addresses and is silent",
        hosts.judge([msgspec.structs.replace(HOME1, lease="ended"), HOME2]),
    ),
    "two agents with one credential": (
        Outcome.FAIL,
        "two agents use",
        hosts.judge([msgspec.structs.replace(HOME1, fault="two agents use the credential")]),
    ),
    "an impostor": (
        Outcome.WARN,
        f"192.168.193.2 of home1 is claimed by {MAC} too; what is mapped goes to {HOME1.mac}",
        nearby({HOME1.mac or "", MAC}),
    ),
    "an impostor on ZeroTier": (
        Outcome.WARN,
        f"claimed by {member_mac(NETWORK, '89e92ceee5')} (ZeroTier node 89e92ceee5) too",
        nearby(
            {member_mac(NETWORK, "89e92ceee5")},
            overlay=OverlaySettings("zerotier", network=NETWORK),
        ),
    ),
    "an impostor of a silent host": (
        Outcome.FAIL,
        f"is claimed by {MAC}, and which is home1's MAC is not sure",
        nearby({MAC}, msgspec.structs.replace(HOME1, lease="ended")),
    ),
    "an impostor of one that is not known": (
        Outcome.FAIL,
        f"is claimed by {MAC}, and",
        nearby({MAC}, msgspec.structs.replace(HOME1, mac=None)),
    ),
    "no pool": (Outcome.WARN, "no pool", pools.judge([], {"eth0"}, {})),
    "no uplink": (Outcome.FAIL, "eth0, the uplink", pools.judge([HK], {"lo"}, {})),
    "a pool with an address that the edge needs": (
        Outcome.WARN,
        "203.0.113.2 of pool nat is never given away",
        given(TRANSLATED, OWN),
    ),
    "forwarding": (
        Outcome.FAIL,
        "net.ipv4.ip_forward is 0",
        settings.judge(["net/ipv4/ip_forward was 0"]),
    ),
    "a missing route": (
        Outcome.FAIL,
        "route 192.168.122.50/32 was missing, and 1 more",
        drifting(["route 192.168.122.50/32 was missing", "other"]),
    ),
    "a kernel that somebody changes": (Outcome.WARN, "changes it: x", drifting(last_at=9_990.0)),
    "an address that another machine has": (
        Outcome.FAIL,
        f"answered for by {MAC}",
        arrival.judge({PUBLIC: MAC}, mapped(9, 9), 1000.0),
    ),
    "an address for which nothing comes": (
        Outcome.WARN,
        "nothing came for 203.0.113.10",
        arrival.judge({}, mapped(0, 0), 1000.0),
    ),
    "an address from which nothing goes back": (
        Outcome.WARN,
        "none went back",
        arrival.judge({}, mapped(5, 0), 1000.0),
    ),
}

SKIPPED: dict[str, Finding] = {
    "arrival without a mapping": arrival.judge({}, [], 1000.0),
    "hosts without one": hosts.judge([]),
    "neighbours without a host": neighbours.judge([], {}, PLAIN),
}
