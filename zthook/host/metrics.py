"""What Prometheus is told of a host: pure, of what the agent knows."""

from collections import Counter

from zthook.host.health import Health
from zthook.host.status import AgentStatus
from zthook.metrics.readings import Metric, Readings
from zthook.model.durations import Durations
from zthook.model.mappings import MappingState

INFO = Metric(
    "zthook_host_info",
    "gauge",
    "Always 1; the agent's version, this host's name at the edge, and the edge's address.",
    ("version", "host", "edge"),
)
UP = Metric(
    "zthook_host_up",
    "gauge",
    "Whether what the agent depends on answers: edge, overlay, libvirt, kernel.",
    ("part",),
)
OVERLAY_DIRECT = Metric(
    "zthook_host_overlay_direct",
    "gauge",
    "Whether ZeroTier reaches the edge directly; 0: relayed, absent: not known.",
)
OVERLAY_LATENCY = Metric(
    "zthook_host_overlay_latency_seconds",
    "gauge",
    "To the edge and back, as ZeroTier measured it.",
)
LEASE_RENEWED = Metric(
    "zthook_host_lease_renewed_timestamp_seconds",
    "gauge",
    "When the edge renewed this host's lease last, Unix time.",
)
LEASE_LASTS = Metric("zthook_host_lease_seconds", "gauge", "How long a lease lasts.")
MAPPINGS = Metric(
    "zthook_host_mappings", "gauge", "Addresses that guests here ask for, by state.", ("state",)
)
FAULTS = Metric(
    "zthook_host_faults", "gauge", "What somebody should look at; zthook status says what."
)
PASSES = Metric(
    "zthook_host_pass_duration_seconds",
    "histogram",
    "How long passes took that look at guests, ask the edge and set the kernel.",
)
REPAIRS = Metric(
    "zthook_host_repairs_total",
    "counter",
    "What others changed in this host's kernel and the agent put right.",
)
TRAFFIC_LABELS = ("guest", "private", "direction")
BYTES = Metric(
    "zthook_host_traffic_bytes_total",
    "counter",
    "Bytes of IP packets through the edge, by guest and its own address; in is toward it.",
    TRAFFIC_LABELS,
)
PACKETS = Metric(
    "zthook_host_traffic_packets_total",
    "counter",
    "Packets through the edge, by guest and its own address; in is toward it.",
    TRAFFIC_LABELS,
)

METRICS = (
    *(INFO, UP, OVERLAY_DIRECT, OVERLAY_LATENCY, LEASE_RENEWED, LEASE_LASTS, MAPPINGS, FAULTS),
    *(PASSES, REPAIRS, BYTES, PACKETS),
)


def readings(status: AgentStatus, passes: Durations, repairs: int, *, now: float) -> Readings:
    """``repairs`` is how many since the agent's start; ``now`` is Unix time."""
    found = Readings()
    found.set(INFO, 1, status.version, status.host or "", status.edge or "")
    found.set(UP, _up(status.edge_health), "edge")
    found.set(UP, _up(status.overlay_health), "overlay")
    found.set(UP, _up(status.libvirt_health), "libvirt")
    found.set(UP, _up(status.kernel_health), "kernel")
    if status.overlay_path is not None:
        found.set(OVERLAY_DIRECT, status.overlay_path.direct)
        found.set(OVERLAY_LATENCY, status.overlay_path.latency)
    found.set(LEASE_RENEWED, None if status.lease_age is None else now - status.lease_age)
    found.set(LEASE_LASTS, status.lease_seconds)
    counts = Counter(one.state for one in status.mappings)
    found.set_each(MAPPINGS, {state.value: counts[state] for state in MappingState})
    found.set(FAULTS, len(status.faults))
    found.time(PASSES, passes)
    found.set(REPAIRS, repairs)
    for one in status.mappings:
        if one.traffic is not None and one.private is not None:
            # The counters are of the guest's own address: with two public ones it is one series.
            of = (one.guest, one.private)
            found.set_each(BYTES, {"in": one.traffic.bytes_in, "out": one.traffic.bytes_out}, *of)
            passed = {"in": one.traffic.packets_in, "out": one.traffic.packets_out}
            found.set_each(PACKETS, passed, *of)
    return found


def _up(health: Health | None) -> bool | None:
    return health.up if health is not None else None
