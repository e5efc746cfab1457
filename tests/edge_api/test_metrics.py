"""What Prometheus hears of an edge: every metric, from a daemon that runs."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli_edge.test_screens import a_host, a_mapping, a_report
from tests.edge_api.machine import ADDRESS, UPLINK_ADDRESS, Enrolled, Machine, inside
from tests.edge_api.test_daemon import WEB1
from tests.host.test_metrics import told
from tests.lab.commands import wait_until
from tests.lab.namespace import Namespace
from zthook.edge.metrics import METRICS, Seen, readings
from zthook.metrics.exposition import written
from zthook.model.durations import Durations

FILE = "config/edge.toml"
SOCKET = "metrics.sock"


def test_an_edge_with_hosts_in_every_state() -> None:
    report = a_report("the overlay is down", overlay=None, store="the disk is full")
    seen = Seen(report, [a_mapping(), a_mapping(public=None)], {401: 5, 429: 1}, Durations())
    found = told(written(readings(seen), "")[0].decode())
    assert found["zthook_edge_info 0.1.0 19e1a11125cfd6f7"] == 1
    assert {part: found[f"zthook_edge_up {part}"] for part in ("overlay", "api", "store")} == {
        "overlay": 0,
        "api": 1,
        "store": 0,
    }
    assert found["zthook_edge_problems"] == 1
    hosts = ("up", "silent", "enrolled", "invited")
    assert [found[f"zthook_edge_hosts {state}"] for state in hosts] == [1, 1, 0, 1]
    assert found["zthook_edge_host_lease_remaining_seconds home2"] == -340
    assert found["zthook_edge_host_last_seen_timestamp_seconds home1"] > 0
    assert "zthook_edge_host_last_seen_timestamp_seconds home3" not in found
    assert found["zthook_edge_host_addresses home1"] == 2
    assert found["zthook_edge_pool_addresses hk reserved"] == 3
    assert found["zthook_edge_requests_refused_total 401"] == 5
    assert found["zthook_edge_repairs_total"] == 3
    assert found["zthook_edge_traffic_bytes_total 203.0.113.10 web1 home1 out"] == 98_765_432
    assert found["zthook_edge_traffic_packets_total 203.0.113.10 web1 home1 in"] == 1000


def test_a_host_with_a_fault() -> None:
    report = a_report(hosts=[a_host(fault="two agents use its credential"), a_host(name="home2")])
    found = told(written(readings(Seen(report, [], {}, Durations())), "")[0].decode())
    assert found["zthook_edge_host_fault home1"] == 1
    assert found["zthook_edge_host_fault home2"] == 0


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    made.init()
    yield made
    made.close()


def scrape(machine: Machine) -> dict[str, float]:
    transport = httpx.HTTPTransport(uds=str(machine.tmp / SOCKET))
    with httpx.Client(transport=transport) as client:
        return told(client.get("http://edge/metrics").text)


@pytest.mark.netns
def test_a_daemon_serves_every_metric_and_follows_its_file(machine: Machine) -> None:
    file = machine.tmp / FILE
    off = file.read_text()
    on = off.replace('# listen = "127.0.0.1:9753"', f'listen = "{machine.tmp / SOCKET}"')
    assert on != off
    file.write_text(on)
    machine.serve()
    machine.listens_at(ADDRESS)
    host = Enrolled(machine, machine.token("home1"))
    host.begin()
    host.claims(WEB1)
    assert host.ask("GET", "/v1/nothing").status_code == 404
    wait_until((machine.tmp / SOCKET).exists, 10, "metrics are served")
    found = scrape(machine)
    assert found["zthook_edge_mappings active"] == 1
    assert found["zthook_edge_hosts up"] == 1
    served = {name.split()[0] for name in found if name.startswith("zthook_")}
    families = {one.name for one in METRICS if any(name.startswith(one.name) for name in served)}
    assert families == {one.name for one in METRICS}
    file.write_text(on.replace(f"{machine.tmp / SOCKET}", "overlay:9753"))
    reload(machine)
    wait_until(lambda: reached(machine.host), 10, "metrics are served on the overlay")
    assert not (machine.tmp / SOCKET).exists()
    # A neighbour on the uplink, who knows the way.
    machine.outside.ip(
        "addr add 203.0.113.254/24 dev up0", f"route add {ADDRESS} via {UPLINK_ADDRESS}"
    )
    assert not reached(machine.outside)
    machine.detach_overlay()
    machine.attach_overlay()
    wait_until(lambda: reached(machine.host), 10, "metrics are served on the device that came back")
    file.write_text(off)
    reload(machine)
    wait_until(lambda: not reached(machine.host), 10, "metrics are served no more")


def reload(machine: Machine) -> None:
    machine.daemons[-1].send(signal.SIGHUP)


def reached(asker: Namespace) -> bool:
    """Whether metrics are served on the overlay's address to who is there."""

    def ask() -> bool:
        try:
            return httpx.get(f"http://{ADDRESS}:9753/metrics", trust_env=False).is_success
        except httpx.TransportError:
            return False

    return inside(asker, ask)
