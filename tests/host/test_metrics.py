"""What Prometheus hears of a host: every metric, from an agent that runs."""

from dataclasses import replace
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.cli_host.conftest import ACTIVE, STATUS
from tests.host.making import OTHER_PUBLIC, PRIVATE, PUBLIC, guest
from tests.host.standins import Home, another_pass, until
from tests.metrics.test_exposition import ask
from zthook.edge import metrics as edge
from zthook.host.health import Health
from zthook.host.metrics import BYTES, METRICS, readings
from zthook.metrics.exposition import written
from zthook.model.durations import Durations
from zthook.model.mappings import MappingState
from zthook.model.publication import AddressRequest

NOW = 1_700_003_600.0


LABELS = {one.name: one.labels for one in (*METRICS, *edge.METRICS)}


def told(text: str) -> dict[str, float]:
    """Samples by name and labels' values, in the order in which the metric names them."""
    return {
        " ".join([one.name, *(one.labels[name] for name in LABELS.get(one.name, ()))]): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def of_status(**changes: object) -> dict[str, float]:
    status = msgspec.structs.replace(STATUS, **changes)
    return told(written(readings(status, Durations(), 3, now=NOW), "")[0].decode())


def test_a_host_that_is_well() -> None:
    found = of_status()
    assert found["zthook_host_info 0.1.0 home1 192.168.193.222:9443"] == 1
    assert found["zthook_host_up edge"] == 1
    assert found["zthook_host_mappings active"] == 1
    assert found["zthook_host_mappings conflict"] == 0
    assert found["zthook_host_lease_renewed_timestamp_seconds"] == NOW - 3
    assert found["zthook_host_lease_seconds"] == 60
    assert found["zthook_host_overlay_direct"] == 1
    assert found["zthook_host_overlay_latency_seconds"] == 0.0124
    assert found["zthook_host_traffic_bytes_total test 192.168.122.50 in"] == 1_200_000
    assert found["zthook_host_traffic_packets_total test 192.168.122.50 out"] == 10
    assert found["zthook_host_repairs_total"] == 3


def test_what_is_down_is_0_and_what_is_not_known_is_absent() -> None:
    down, unknown = Health(up=False, since=NOW, error="away"), Health(up=None, since=NOW)
    found = of_status(
        edge_health=down, libvirt_health=unknown, lease_age=None, overlay_path=None, faults=["a"]
    )
    assert found["zthook_host_up edge"] == 0
    assert found["zthook_host_faults"] == 1
    for name in ("up libvirt", "lease_renewed_timestamp_seconds", "overlay_direct"):
        assert f"zthook_host_{name}" not in found


def test_two_public_addresses_of_one_guest_are_one_series() -> None:
    other = msgspec.structs.replace(ACTIVE, public="203.0.113.11")
    found = readings(
        msgspec.structs.replace(STATUS, mappings=[ACTIVE, other]), Durations(), 0, now=NOW
    )
    assert len(found.values[BYTES]) == 2, "in and out"


def test_each_state_is_counted() -> None:
    rows = [msgspec.structs.replace(ACTIVE, state=state) for state in MappingState]
    found = of_status(mappings=rows)
    assert [found[f"zthook_host_mappings {state.value}"] for state in MappingState] == [1] * 5


async def test_an_agent_serves_every_metric(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    home.settings = replace(home.settings, metrics=path)
    async with home.running() as agent:
        home.start(guest(1, AddressRequest(PUBLIC), AddressRequest(OTHER_PUBLIC)))
        await until(lambda: home.kernel.rules and agent.passes.said.answers)
        await another_pass(agent)
        home.kernel.flush()
        await until(lambda: agent.kernel.repaired)
        found = told((await ask(path)).text)
    assert found[f"zthook_host_traffic_bytes_total web1 {PRIVATE} in"] == 100
    assert found["zthook_host_repairs_total"] == 1
    assert found["zthook_host_pass_duration_seconds_count"] >= agent.passes.ended - 1
    served = {name.split()[0] for name in found if name.startswith("zthook_")}
    families = {
        metric.name for metric in METRICS if any(name.startswith(metric.name) for name in served)
    }
    # Only ZeroTier tells of its ways.
    assert families == {one.name for one in METRICS if "overlay" not in one.name}


async def test_a_repair_is_what_others_changed_and_not_what_we_did(home: Home) -> None:
    async with home.running() as agent:
        home.start(guest(1, AddressRequest(PUBLIC)))
        await until(lambda: home.kernel.rules, "a rule")
        await another_pass(agent)
        assert agent.kernel.repaired == 0
        home.kernel.flush()
        await until(lambda: agent.kernel.repaired == 1)
        home.start()
        await until(lambda: not home.kernel.rules)
        assert agent.kernel.repaired == 1


async def test_a_place_that_can_not_be_served_is_a_fault_and_ends_nothing(
    home: Home, tmp_path: Path
) -> None:
    home.settings = replace(home.settings, metrics=tmp_path / "nowhere" / "metrics.sock")
    async with home.running() as agent:
        home.start(guest(1, AddressRequest(PUBLIC)))
        await until(lambda: home.kernel.rules, "a rule")
        [fault] = (await agent.status()).faults
        assert fault.startswith("metrics can not be served at ")
