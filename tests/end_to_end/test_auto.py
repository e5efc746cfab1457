"""public="auto": an address of a pool that stays the guest's until it is released."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.conftest import enrol, forget
from tests.end_to_end.mapped import boot, seen_by, silent
from tests.lab.commands import wait_until
from tests.lab.domain import address, publish
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.stand_in import StandIn
from tests.lab.topology import CLIENT

pytestmark = pytest.mark.lab

POOLS = {"hk": "203.0.113.10-203.0.113.11", "spare": "203.0.113.30"}
HK = {"203.0.113.10", "203.0.113.11"}
SPARE = "203.0.113.30"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as lab:
        lab.edge.daemon.init(POOLS)
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host)
        yield lab


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    return lab["home1"]


@pytest.fixture(scope="module")
def web1(host: Host) -> StandIn:
    """It asks for one address of each pool."""
    asked = publish(address("auto", pool="hk"), address("auto", pool="spare", mode="routed"))
    guest = host.stand_in("web1", annotation=asked)
    boot(guest)
    return guest


@pytest.fixture(scope="module")
def web2(lab: Lab) -> StandIn:
    """On the other host; in no particular state, it asks for nothing of its own accord."""
    return lab["home2"].stand_in("web2")


def rows(guest: Guest) -> list[dict[str, Any]]:
    host = guest.host
    assert isinstance(host, Host)
    return host.agent.mappings(guest.uuid)


def wait_granted(guest: Guest, count: int = 1) -> set[str]:
    """Its public addresses, once so many are active."""
    wait_until(
        lambda: [row["state"] for row in rows(guest)] == ["active"] * count,
        20,
        lambda: f"{guest.name} has {count}: {rows(guest)}",
    )
    return {row["public"] for row in rows(guest)}


def reserved(lab: Lab, pool: str) -> tuple[int, int]:
    """How many addresses of a pool are used or kept, and free."""
    [found] = [one for one in lab.edge.daemon.json("edge", "pool", "list") if one["name"] == pool]
    return found["used"], found["free"]


def test_it_is_given_one_of_each_pool_and_status_says_which(lab: Lab, web1: StandIn) -> None:
    granted = wait_granted(web1, 2)
    assert len(granted & HK) == 1
    assert SPARE in granted
    for public in granted:
        assert seen_by("web1", lab.client, public) == CLIENT
        assert public in lab["home1"].agent("status").stdout


def test_it_has_the_same_again_after_stop_and_start_and_whatever_restarts(
    lab: Lab, host: Host, web1: StandIn
) -> None:
    before = wait_granted(web1, 2)
    web1.destroy()
    wait_until(lambda: not rows(web1), 10, "it is gone")
    lab.edge.daemon.restart()
    host.agent.restart()
    boot(web1)
    assert wait_granted(web1, 2) == before
    for public in before:
        assert seen_by("web1", lab.client, public) == CLIENT


def test_what_is_kept_for_a_stopped_guest_goes_to_nobody_else(
    lab: Lab, web1: StandIn, web2: StandIn
) -> None:
    before = wait_granted(web1, 2)
    web1.destroy()
    wait_until(lambda: not rows(web1), 10, "it is gone")
    home2 = lab["home2"]
    boot(web2)
    try:
        said = home2.agent("assign", "web2", SPARE, check=False)
        assert said.returncode == 1
        assert "web1" in said.stdout, "whose it is"
        home2.agent("unassign", "web2", SPARE)
        assert "is active" in home2.agent("assign", "web2", "auto", "--pool", "hk").stdout
        assert wait_granted(web2) == HK - before
    finally:
        boot(web1)
    assert wait_granted(web1, 2) == before


def test_an_empty_pool_is_named_and_who_waits_has_the_next_that_is_free(
    lab: Lab, host: Host, web1: StandIn, web2: StandIn
) -> None:
    wait_granted(web1, 2)
    freed = wait_granted(web2)
    web3 = host.stand_in("web3")
    boot(web3)
    try:
        said = host.agent("assign", "web3", "auto", "--pool", "hk", check=False)
        assert "is active" not in said.stdout
        [row] = rows(web3)
        assert row["state"] in {"conflict", "refused", "pending"}
        assert "hk" in row["reason"]
        lab["home2"].agent("unassign", "web2")
        lab.edge.daemon("edge", "release", *freed)
        assert wait_granted(web3) == freed
        assert seen_by("web3", lab.client, *freed) == CLIENT
    finally:
        host.agent("unassign", "web3", check=False)
        forget(web3)
        lab.edge.daemon("edge", "release", *freed, check=False)


def test_released_it_is_anybodys(lab: Lab, host: Host, web1: StandIn, web2: StandIn) -> None:
    wait_granted(web1, 2)
    said = lab.edge.daemon("edge", "release", SPARE, check=False)
    assert said.returncode == 1, "a guest that runs has it"
    assert "web1" in said.stdout + said.stderr
    assert seen_by("web1", lab.client, SPARE) == CLIENT
    host.agent("unassign", "web1", "auto", "--pool", "spare", check=False)
    web1.destroy()
    wait_until(lambda: not rows(web1), 10, "it is gone")
    lab.edge.daemon("edge", "release", SPARE)
    assert silent(lab.client, SPARE)
    assert "is active" in lab["home2"].agent("assign", "web2", SPARE).stdout
    assert seen_by("web2", lab.client, SPARE) == CLIENT
    lab["home2"].agent("unassign", "web2", SPARE)
    boot(web1)


def test_a_pool_or_address_in_use_is_not_removed_and_it_is_said_whose_it_is(
    lab: Lab, web1: StandIn
) -> None:
    wait_until(
        lambda: any(row["public"] in HK for row in rows(web1) if row["state"] == "active"),
        20,
        lambda: f"web1 has one of hk: {rows(web1)}",
    )
    [mine] = {row["public"] for row in rows(web1)} & HK
    said = lab.edge.daemon("edge", "pool", "remove", "hk", check=False)
    assert said.returncode == 1
    assert "web1" in said.stdout + said.stderr
    assert seen_by("web1", lab.client, mine) == CLIENT
    path = lab.edge.daemon.config / "edge.toml"
    before = path.read_text()
    try:
        path.write_text(before.replace("203.0.113.10-203.0.113.11", str(*(HK - {mine}))))
        lab.edge.daemon.process.send(signal.SIGHUP)
        refused = "went on with the settings before"
        lab.edge.daemon.process.wait_logged(refused)
        said_why = next(
            line for line in lab.edge.daemon.process.log_text().splitlines() if refused in line
        )
        assert mine in said_why
        assert seen_by("web1", lab.client, mine) == CLIENT
    finally:
        path.write_text(before)
