"""What Prometheus is told of an edge: pure, of what the daemon knows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from zthook.edge.admin_views import EdgeReport
from zthook.edge.views import HostState, HostView, MappingView
from zthook.metrics.readings import Metric, Readings
from zthook.model.durations import Durations

INFO = Metric(
    "zthook_edge_info",
    "gauge",
    "Always 1; the daemon's version and the edge's id.",
    ("version", "edge"),
)
UP = Metric(
    "zthook_edge_up",
    "gauge",
    "Whether a part is as it should be: overlay, api, kernel, store.",
    ("part",),
)
PROBLEMS = Metric(
    "zthook_edge_problems", "gauge", "What somebody should look at; zthook edge status says what."
)
MAPPINGS = Metric(
    "zthook_edge_mappings",
    "gauge",
    "Claims of all hosts by state, and addresses reserved for who does not claim them now.",
    ("state",),
)
HOSTS = Metric(
    "zthook_edge_hosts",
    "gauge",
    "Hosts by state: up, silent (its lease ended), enrolled (never spoke), invited.",
    ("state",),
)
LAST_SEEN = Metric(
    "zthook_edge_host_last_seen_timestamp_seconds",
    "gauge",
    "When the host was heard last, by a heartbeat or anything else, Unix time.",
    ("host",),
)
LEASE_LEFT = Metric(
    "zthook_edge_host_lease_remaining_seconds",
    "gauge",
    "Until the host's lease ends; negative since it has.",
    ("host",),
)
HELD = Metric("zthook_edge_host_addresses", "gauge", "Mappings that the host holds.", ("host",))
HOST_FAULT = Metric(
    "zthook_edge_host_fault",
    "gauge",
    "Whether something is wrong with the host: two agents, or who answers in its name.",
    ("host",),
)
POOLS = Metric(
    "zthook_edge_pool_addresses",
    "gauge",
    "Addresses of a pool by state: used, reserved, free.",
    ("pool", "state"),
)
REFUSED = Metric(
    "zthook_edge_requests_refused_total",
    "counter",
    "Requests to the API that got no 2xx, by HTTP status.",
    ("code",),
)
PASSES = Metric(
    "zthook_edge_pass_duration_seconds",
    "histogram",
    "How long passes over the whole kernel took.",
)
REPAIRS = Metric(
    "zthook_edge_repairs_total",
    "counter",
    "What others changed in the edge's kernel and the daemon put right.",
)
TRAFFIC_LABELS = ("public", "guest", "host", "direction")
BYTES = Metric(
    "zthook_edge_traffic_bytes_total",
    "counter",
    "Bytes of IP packets through a mapping; in is toward the guest.",
    TRAFFIC_LABELS,
)
PACKETS = Metric(
    "zthook_edge_traffic_packets_total",
    "counter",
    "Packets through a mapping; in is toward the guest.",
    TRAFFIC_LABELS,
)

METRICS = (
    *(INFO, UP, PROBLEMS, MAPPINGS, HOSTS, LAST_SEEN, LEASE_LEFT, HELD, HOST_FAULT, POOLS),
    *(REFUSED, PASSES, REPAIRS, BYTES, PACKETS),
)


MOST_MAPPINGS = 5000
"""With more the traffic of each is not told: asking the kernel for it takes its time, in the
thread that decides, and so many series are of no use to anybody."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is beside the report: ``mappings`` with their traffic, empty where they are too many;
    ``refused`` requests by status, and how long passes took, since the daemon's start.
    """

    report: EdgeReport
    mappings: Sequence[MappingView]
    refused: Mapping[int, int]
    passes: Durations


def readings(seen: Seen) -> Readings:
    """Of an edge as it was seen."""
    found, status = Readings(), seen.report.status
    found.set(INFO, 1, status.version, status.edge)
    parts = {
        "overlay": status.overlay is not None,
        "api": seen.report.listening is not None,
        "kernel": not status.kernel,
        "store": not status.store,
    }
    found.set_each(UP, parts)
    found.set(PROBLEMS, len(seen.report.problems))
    found.set_each(MAPPINGS, {str(state): many for state, many in status.mappings.items()})
    _of_hosts(found, status.hosts)
    for pool in seen.report.pools:
        states = {"used": pool.used, "reserved": pool.reserved, "free": pool.free}
        found.set_each(POOLS, states, pool.name)
    found.set_each(REFUSED, {str(code): many for code, many in seen.refused.items()})
    found.time(PASSES, seen.passes)
    found.set(REPAIRS, status.drift.repaired)
    _of_traffic(found, seen.mappings)
    return found


def _of_hosts(found: Readings, hosts: Sequence[HostView]) -> None:
    states = Counter(host.state for host in hosts)
    found.set_each(HOSTS, {str(state): states[state] for state in get_args(HostState)})
    for host in hosts:
        found.set(LAST_SEEN, host.last_seen, host.name)
        found.set(LEASE_LEFT, host.lease_seconds, host.name)
        found.set(HELD, host.held, host.name)
        found.set(HOST_FAULT, bool(host.fault), host.name)


def _of_traffic(found: Readings, mappings: Sequence[MappingView]) -> None:
    for one in mappings:
        if one.traffic is not None and one.public is not None:
            of = (one.public, one.guest, one.host)
            found.set_each(BYTES, {"in": one.traffic.bytes_in, "out": one.traffic.bytes_out}, *of)
            passed = {"in": one.traffic.packets_in, "out": one.traffic.packets_out}
            found.set_each(PACKETS, passed, *of)
