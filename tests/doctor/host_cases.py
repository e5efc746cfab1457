"""What a host's checks find where all is as it should be, and where just one thing is broken."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from uuid import UUID

import msgspec

from zthook.config.settings import OverlaySettings
from zthook.doctor import firewalls
from zthook.doctor.finding import Finding, Outcome
from zthook.doctor.host import (
    agent,
    annotation,
    answer,
    clock,
    edge,
    enrolment,
    foreign,
    forwarding,
    guest,
    hook,
    libvirt,
    mapping,
    neighbour,
    overlay,
    path,
    private,
    return_filter,
    table,
    traffic,
    way,
)
from zthook.doctor.host.asking import Asked
from zthook.host.health import Health
from zthook.host.status import AgentStatus, MappingView, TrafficView
from zthook.kernel.firewalls.inspecting import Standing
from zthook.kernel.host.inspecting import HostTable
from zthook.model.guests import Domain, Interface, NetworkKind
from zthook.model.mappings import MappingState, OverlayDevice
from zthook.model.publication import AddressRequest, Problem, Publication

EDGE, EDGE_MAC = IPv4Address("192.168.193.222"), "02:00:00:00:02:22"
PLAIN = OverlaySettings("interface", interface="br0")
WHERE = "192.168.193.222:9443"
SOCKET = Path("/run/zthook/hook.sock")
HOOK = hook.HookSeen(hook.PLACES[0], runs=True, asks=str(SOCKET), put=10.0, began=20.0)
DEVICE = OverlayDevice("zt0", 3, "02:00:00:00:00:02", 2800, (ip_address("192.168.193.2"),))
UP, DOWN = Health(up=True, since=0.0), Health(up=False, since=0.0, error="no answer in time")
REFUSING = Health(up=False, since=0.0, error="this edge does not know it", refusing=True)
STATUS = AgentStatus("0.1.0", "home1", WHERE)
PRIVATE = ip_address("192.168.122.50")
MAC = "52:54:00:aa:00:01"
ROW = MappingView(
    guest="web1",
    uuid="6695eb01-f6a4-8304-79aa-97f2502e193f",
    guest_state="running",
    asked="203.0.113.10",
    public="203.0.113.10",
    private=str(PRIVATE),
    source="DHCP lease",
    mode="nat",
    client="keep",
    state=MappingState.ACTIVE,
    traffic=TrafficView(1200, 9, 831, 8),
)
PENDING = msgspec.structs.replace(
    ROW, state=MappingState.PENDING, reason="waits for the guest's address", private=None
)
REFUSED = msgspec.structs.replace(PENDING, state=MappingState.REFUSED)
TABLE = HostTable(there=True, whole=True, guests=frozenset({PRIVATE}))
LIBVIRTS = Standing("ip filter FORWARD", ("libvirt (iptables)",), stops=True, opened=True)
OWNED = Standing("inet strict forward", (), stops=True, opened=False, owned=True)
FIREWALLD = replace(OWNED, where="inet firewalld filter_FORWARD", whose=("firewalld",))
WEB1 = Domain(
    UUID(ROW.uuid),
    "web1",
    (Interface(MAC, NetworkKind.NAT, "default", "virbr0"),),
    Publication((AddressRequest(public=ip_address("203.0.113.10")),)),
)
HERE = answer.AnswerSeen(PRIVATE, MAC, pinged=True)


def traffic_of(packets_in: int, packets_out: int) -> list[MappingView]:
    return [msgspec.structs.replace(ROW, traffic=TrafficView(1, packets_in, 1, packets_out))]


FINE: dict[str, Finding] = {
    "enrolment": enrolment.judge(enrolment.EnrolmentSeen("home1", WHERE, ((SOCKET, 0o600),))),
    "hook": hook.judge(HOOK, SOCKET),
    "hook without a libvirtd, which starts when it is asked": hook.judge(
        replace(HOOK, began=None), SOCKET
    ),
    "hook that came the moment before libvirtd": hook.judge(replace(HOOK, put=20.01), SOCKET),
    "libvirt": libvirt.judge("qemu:///system", ["default"]),
    "agent": agent.judge(STATUS, "0.1.0"),
    "agent, of whose faults others are about": agent.judge(
        msgspec.structs.replace(STATUS, edge_health=DOWN, faults=["edge: no answer in time"]),
        "0.1.0",
    ),
    "overlay": overlay.judge(DEVICE, "zt0", EDGE),
    "neighbour": neighbour.judge(EDGE, EDGE_MAC, {EDGE_MAC}, PLAIN),
    "neighbour, where nothing is mapped": neighbour.judge(EDGE, "", {EDGE_MAC}, PLAIN),
    "path": path.judge(EDGE, pinged=True, connected=True),
    "packet size": path.judge_size(DEVICE, {2800: True}),
    "edge": edge.judge(WHERE, Asked(ahead=0.1), UP),
    "edge without an agent": edge.judge(WHERE, Asked(ahead=0.1), None),
    "clock": clock.judge(Asked(ahead=-59.0)),
    "flow rules": foreign.judge(IPv4Address("192.168.122.50"), came=True),
    "rp_filter loose": return_filter.judge("zt0", 2),
    "rp_filter off": return_filter.judge("zt0", 0),
    "table": table.judge(TABLE, {PRIVATE}),
    "forwarding": forwarding.judge([]),
    "firewalls": firewalls.judge([LIBVIRTS, FIREWALLD], "zthook-agent"),
    "no firewall": firewalls.judge([], "zthook-agent"),
    "way back": way.judge([]),
    "guest": guest.judge("web1", runs=True),
    "annotation": annotation.judge(WEB1),
    "mapping": mapping.judge("web1", [ROW]),
    "private address": private.judge([ROW]),
    "private address, beside one that is refused": private.judge([REFUSED, ROW]),
    "answer": answer.judge(HERE, {MAC}),
    "answer of a routed guest, with no MAC": answer.judge(replace(HERE, mac=None), {MAC}),
    "answer of a service, without pings": answer.judge(
        replace(HERE, pinged=False, ports=((80, True),)), {MAC}
    ),
    "traffic": traffic.judge([ROW]),
    "no traffic yet": traffic.judge(traffic_of(0, 0)),
}


BROKEN: dict[str, tuple[Outcome, str, Finding]] = {
    "a readable credential": (
        Outcome.FAIL,
        "others than root can read",
        enrolment.judge(enrolment.EnrolmentSeen("home1", WHERE, ((SOCKET, 0o640),))),
    ),
    "no hook": (Outcome.FAIL, "no hook", hook.judge(hook.HookSeen(None), SOCKET)),
    "a hook that can not run": (
        Outcome.FAIL,
        "not executable",
        hook.judge(replace(HOOK, runs=False), SOCKET),
    ),
    "a hook that asks elsewhere": (
        Outcome.FAIL,
        "asks /other",
        hook.judge(replace(HOOK, asks="/other"), SOCKET),
    ),
    "a libvirtd that is older": (
        Outcome.WARN,
        "runs since before",
        hook.judge(replace(HOOK, began=5.0), SOCKET),
    ),
    "no network": (Outcome.WARN, "none of its networks", libvirt.judge("qemu:///system", [])),
    "an agent that complains": (
        Outcome.FAIL,
        "this host's kernel: it refused",
        agent.judge(
            msgspec.structs.replace(STATUS, faults=["this host's kernel: it refused"]), "0.1.0"
        ),
    ),
    "an edge that names two agents": (
        Outcome.FAIL,
        "edge: two agents use",
        agent.judge(
            msgspec.structs.replace(STATUS, edge_health=UP, faults=["edge: two agents use it"]),
            "0.1.0",
        ),
    ),
    "an old agent": (Outcome.WARN, "version 0.1.0", agent.judge(STATUS, "0.2.0")),
    "an edge that is reached by the home line": (
        Outcome.FAIL,
        "but by eth0",
        overlay.judge(DEVICE, "eth0", EDGE),
    ),
    "no answer at all": (
        Outcome.FAIL,
        "does not answer pings",
        path.judge(EDGE, pinged=False, connected=False),
    ),
    "an edge that drops pings": (
        Outcome.WARN,
        "can not be measured",
        path.judge(EDGE, pinged=False, connected=True),
    ),
    "a path that loses large packets": (
        Outcome.FAIL,
        "1400 bytes come through",
        path.judge_size(DEVICE, {2800: False, 1500: False, 1420: False, 1400: True}),
    ),
    "an edge that does not answer": (
        Outcome.FAIL,
        "does not answer: Connection refused",
        edge.judge(WHERE, Asked("Connection refused"), None),
    ),
    "another edge": (
        Outcome.FAIL,
        "is not the edge this host joined",
        edge.judge(WHERE, Asked("self-signed", stranger=True), None),
    ),
    "an edge that forgot this host": (
        Outcome.FAIL,
        "refuses this host",
        edge.judge(WHERE, Asked(ahead=0.0), REFUSING),
    ),
    "an edge that only the agent does not reach": (
        Outcome.WARN,
        "no answer in time",
        edge.judge(WHERE, Asked(ahead=0.0), DOWN),
    ),
    "a clock before the certificate": (
        Outcome.FAIL,
        "not yet valid",
        clock.judge(Asked("certificate is not yet valid", untimely=True)),
    ),
    "a clock that is ahead": (Outcome.WARN, "90 s ahead of", clock.judge(Asked(ahead=90.0))),
    "a clock that is behind": (Outcome.WARN, "90 s behind", clock.judge(Asked(ahead=-90.0))),
    "flow rules": (
        Outcome.FAIL,
        "drops addresses that are not its members'",
        foreign.judge(IPv4Address("192.168.122.50"), came=False),
    ),
    "rp_filter": (Outcome.FAIL, "strict (1)", return_filter.judge("zt0", 1)),
    "no table": (
        Outcome.FAIL,
        "is missing",
        table.judge(HostTable(there=False, whole=False, guests=frozenset()), {PRIVATE}),
    ),
    "a table with other rules": (
        Outcome.FAIL,
        "lacks rules",
        table.judge(replace(TABLE, whole=False), {PRIVATE}),
    ),
    "a guest that is not in it": (
        Outcome.FAIL,
        "192.168.122.50 is not in",
        table.judge(replace(TABLE, guests=frozenset()), {PRIVATE}),
    ),
    "no forwarding": (
        Outcome.FAIL,
        "net.ipv4.ip_forward is 0",
        forwarding.judge(["net/ipv4/ip_forward"]),
    ),
    "a firewall without our rule": (
        Outcome.FAIL,
        "ip filter FORWARD (libvirt (iptables)) can stop",
        firewalls.judge([replace(LIBVIRTS, opened=False)], "zthook-agent"),
    ),
    "a firewall that only its owner changes": (
        Outcome.WARN,
        "only its owner",
        firewalls.judge([OWNED], "zthook-agent"),
    ),
    "a firewalld that lacks ours": (
        Outcome.FAIL,
        "firewalld lacks our",
        firewalls.judge([FIREWALLD], "zthook-agent", ["firewalld lacks our rule"]),
    ),
    "an impostor beside the edge": (
        Outcome.WARN,
        f"claimed by {MAC} too; what is mapped goes to {EDGE_MAC}",
        neighbour.judge(EDGE, EDGE_MAC, {EDGE_MAC, MAC}, PLAIN),
    ),
    "an impostor in the edge's place": (
        Outcome.FAIL,
        f"answered for by {MAC}, and not by the edge's {EDGE_MAC}",
        neighbour.judge(EDGE, EDGE_MAC, {MAC}, PLAIN),
    ),
    "an impostor, where nothing is mapped": (
        Outcome.FAIL,
        f"by several: {EDGE_MAC}, {MAC}",
        neighbour.judge(EDGE, "", {EDGE_MAC, MAC}, PLAIN),
    ),
    "no way back": (Outcome.FAIL, "IPv4 rule 12300", way.judge(["IPv4 rule 12300: all"])),
    "a guest that does not run": (
        Outcome.FAIL,
        "web1 does not run",
        guest.judge("web1", runs=False),
    ),
    "no annotation": (
        Outcome.FAIL,
        "asks for no address",
        annotation.judge(replace(WEB1, publication=None)),
    ),
    "a wrong annotation": (
        Outcome.FAIL,
        "the annotation is wrong",
        annotation.judge(
            replace(WEB1, publication=None, problems=(Problem(3, "public is no address", "x"),))
        ),
    ),
    "an address that waits": (
        Outcome.FAIL,
        "203.0.113.10 is pending: waits for the guest's address",
        mapping.judge("web1", [ROW, PENDING]),
    ),
    "an agent that does not see the guest": (
        Outcome.FAIL,
        "knows of no address",
        mapping.judge("web1", []),
    ),
    "no private address": (Outcome.FAIL, "no address of the guest's own", private.judge([PENDING])),
    "nobody there": (
        Outcome.FAIL,
        "nobody answers",
        answer.judge(replace(HERE, mac=None, pinged=False), {MAC}),
    ),
    "another machine there": (
        Outcome.FAIL,
        "is no interface of the guest",
        answer.judge(replace(HERE, mac="52:54:00:aa:00:02"), {MAC}),
    ),
    "a service that does not run": (
        Outcome.WARN,
        "no connection to port 8080",
        answer.judge(replace(HERE, ports=((80, True), (8080, False))), {MAC}),
    ),
    "a guest that drops pings": (
        Outcome.WARN,
        "answers no pings",
        answer.judge(replace(HERE, pinged=False), {MAC}),
    ),
    "a guest that sends nothing back": (
        Outcome.WARN,
        "sent none back",
        traffic.judge(traffic_of(5, 0)),
    ),
}

SKIPPED: dict[str, Finding] = {
    "private address of what is refused": private.judge([REFUSED]),
    "neighbour without anybody": neighbour.judge(EDGE, EDGE_MAC, (), PLAIN),
}
