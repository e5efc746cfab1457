"""`zthook edge init` and `serve` for real: a process in a namespace, its kernel, its sockets."""

import asyncio
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.edge_api.machine import (
    ADDRESS,
    HOST_ADDRESS,
    OTHER_ADDRESS,
    ROUTER,
    UPLINK_ADDRESS,
    Enrolled,
    Machine,
    inside,
)
from tests.lab.commands import wait_until
from tests.lab.namespace import Namespace
from zthook.errors import TokenError
from zthook.host.credential import Credential
from zthook.host.edge_http import EdgeHttp
from zthook.wire.messages import ChangesReply
from zthook.wire.tls import fetch_ca
from zthook.wire.token import read_token

pytestmark = pytest.mark.netns

WEB1 = {
    "guest": "6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11",
    "name": "web1",
    "public": "203.0.113.10",
    "private": "192.168.122.50",
}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.close()


@pytest.fixture
def edge(machine: Machine) -> Machine:
    """Initialised, not serving yet."""
    machine.init()
    return machine


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestInit:
    def test_it_can_be_run_again_and_changes_nothing_then(self, machine: Machine) -> None:
        code, out, _ = machine.zthook(
            *("edge", "init", "--interface", "ov0", "--pool", "hk=203.0.113.10-203.0.113.14")
        )
        assert code == 0
        assert 'uplink = "up0"' in (machine.tmp / "config/edge.toml").read_text()
        before = tree(machine.tmp)
        for command in (("edge", "init"), ("edge", "init", "--interface", "other0")):
            code, out, _ = machine.zthook(*command)
            assert code == 0
            assert out.count("kept") == 3
        assert tree(machine.tmp) == before

    @pytest.mark.parametrize(
        ("pool", "why"),
        [
            (f"hk=203.0.113.10,{UPLINK_ADDRESS}", UPLINK_ADDRESS),
            ("hk=192.168.193.0/24", ADDRESS),
            (f"hk={ROUTER}", f"{ROUTER} in pool hk is the router of the edge's default route"),
        ],
    )
    def test_what_the_edge_needs_itself_is_in_no_pool(
        self, machine: Machine, pool: str, why: str
    ) -> None:
        code, _, err = machine.zthook("edge", "init", "--interface", "ov0", "--pool", pool)
        assert code == 1
        assert f"can not give away what it needs itself: {why}" in err
        assert "hint: leave it out" in err
        assert tree(machine.tmp) == {}

    @pytest.mark.parametrize(
        "options",
        [
            (),
            ("--interface", "ov0", "--zerotier", "b87d70f46bc5c578"),
            ("--zerotier", "mynetwork"),
            ("--interface", "ov0", "--pool", "hk=203.0.113.10", "--pool", "sg=203.0.113.0/28"),
        ],
    )
    def test_wrong_usage_writes_nothing(self, machine: Machine, options: tuple[str, ...]) -> None:
        code, _, err = machine.zthook("edge", "init", *options)
        assert code == 2, err
        assert tree(machine.tmp) == {}

    def test_the_uplink_must_be_said_where_no_default_route_tells(self, machine: Machine) -> None:
        machine.namespace.ip("route del default")
        code, _, err = machine.zthook(
            "edge", "init", "--interface", "ov0", "--pool", "hk=203.0.113.10"
        )
        assert code == 2
        assert "--uplink INTERFACE" in err

    def test_serve_without_init_says_so(self, machine: Machine) -> None:
        code, _, err = machine.zthook("edge", "serve")
        assert code != 0
        assert "zthook edge init" in err


def test_from_token_to_kernel_and_out_again(edge: Machine) -> None:
    daemon = edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1", "--private", "192.168.122.0/24"))
    home1.begin()
    assert home1.claims(WEB1)[0]["state"] == "active"
    assert "203.0.113.10 : 192.168.122.50" in edge.nft()
    (mapping,) = edge.told("edge", "mappings")
    assert (mapping["public"], mapping["guest"], mapping["host"], mapping["state"]) == (
        *("203.0.113.10", "web1", "home1"),
        "active",
    )
    (host,) = edge.told("edge", "host", "list")
    assert (host["address"], host["lease"], host["held"]) == ("192.168.193.2", "live", 1)
    assert edge.zthook("edge", "status")[0] == 0
    assert home1.claims() == []
    assert "192.168.122.50" not in edge.nft()
    assert daemon.running
    story = edge.told("edge", "log", "--public", "203.0.113.10", "--since", "1h")
    assert [(one["event"], one["host"], one["guest"], one["private"]) for one in story] == [
        ("granted", "home1", "web1", "192.168.122.50"),
        ("withdrawn", "home1", "web1", "192.168.122.50"),
    ]


def test_what_was_refused_is_in_the_trail_when_it_stops(edge: Machine) -> None:
    daemon = edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    home1.credential = "guessed"
    for _ in range(3):
        assert home1.ask("GET", "/v1/changes?session=1&after=1").status_code == 401
    daemon.stop()
    edge.serve()
    (refused,) = [one for one in edge.told("edge", "log") if one["event"] == "requests refused"]
    assert (refused["source"], refused["times"]) == (HOST_ADDRESS, 3)
    assert "guessed" not in str(refused)


def test_stopping_withdraws_nothing(edge: Machine) -> None:
    daemon = edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    home1.claims(WEB1)
    before = edge.nft()
    daemon.stop()
    assert daemon.exit_code == 0
    assert edge.nft() == before
    edge.serve()
    assert edge.nft() == before
    assert home1.claims(WEB1)[0]["state"] == "active"


def test_stopping_lets_everyone_go_who_waits(edge: Machine) -> None:
    daemon = edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    heard = waiting_for_changes(edge, home1)
    daemon.send(signal.SIGTERM)
    assert daemon.wait_ended(5) == 0
    assert [answer.status_code for answer in heard()] == [200]


def test_the_kernel_asks_whether_a_silent_connection_lives_at_both_ends(edge: Machine) -> None:
    """A request for changes is silent for minutes; what died meanwhile must not stay so long."""
    edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    where = (home1.token.edge, home1.address, home1.token.port, "home1")

    async def both_ends() -> None:
        http = EdgeHttp(Credential(*where, home1.ca_pem, home1.credential))
        asked = {"session": home1.session, "after": 0}
        await http.send("GET", "changes", ChangesReply, params=asked)
        for machine in (edge.namespace, edge.host):
            wait_until(  # what was sent last is acknowledged first
                lambda: "timer:(keepalive," in timers(machine, home1.token.port),  # noqa: B023
                5,
                lambda: f"it is asked; {timers(machine, home1.token.port)}",  # noqa: B023
            )
        await http.close()

    inside(edge.host, lambda: asyncio.run(both_ends()))


def timers(namespace: Namespace, port: int) -> str:
    """What its connections of this port wait for."""
    either = f"( sport = :{port} or dport = :{port} )"
    return namespace.run("ss", "-Htno", "state", "established", either).stdout


def test_systemd_hears_what_it_waits_for(edge: Machine) -> None:
    daemon = edge.serve(WATCHDOG_USEC="30000000")
    daemon.wait_notified("WATCHDOG=1")
    daemon.send(signal.SIGHUP)
    daemon.wait_notified("RELOADING=1")
    daemon.send(signal.SIGTERM)
    daemon.wait_ended(5)
    daemon.wait_notified("STOPPING=1")


def test_killed_and_started_again_it_goes_on(edge: Machine) -> None:
    daemon = edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    home1.claims(WEB1)
    before = edge.nft()
    daemon.kill()
    assert edge.zthook("edge", "status")[0] == 1, "nobody answers"
    edge.serve()
    edge.listens_at(ADDRESS)
    assert edge.nft() == before
    assert [one["state"] for one in edge.told("edge", "mappings")] == ["active"]
    assert home1.claims(WEB1)[0]["state"] == "active"


def test_a_change_of_the_overlays_address_is_followed(edge: Machine) -> None:
    edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    edge.namespace.ip(f"addr del {ADDRESS}/24 dev ov0", f"addr add {OTHER_ADDRESS}/24 dev ov0")
    edge.listens_at(OTHER_ADDRESS)
    with pytest.raises(httpx.TransportError):
        home1.ask("GET", "/v1/health", timeout=1)
    home1.address = OTHER_ADDRESS
    assert home1.ask("GET", "/v1/health").status_code == 200
    assert edge.token("home2").address == OTHER_ADDRESS


def test_it_is_ready_without_an_overlay_and_serves_when_it_comes(edge: Machine) -> None:
    edge.detach_overlay()
    edge.serve()
    code, out, _ = edge.zthook("edge", "status")
    assert code == 1
    assert "the overlay is down" in out
    code, _, err = edge.zthook("edge", "host", "add", "home1")
    assert code == 1
    assert "no token can say where this edge is" in err
    edge.attach_overlay()
    edge.listens_at(ADDRESS)
    assert edge.zthook("edge", "status")[0] == 0


def test_the_overlay_returning_with_its_address_needs_nothing(edge: Machine) -> None:
    edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    edge.detach_overlay()
    wait_until(lambda: edge.zthook("edge", "status")[0] == 1, 10, "the overlay is seen to be down")
    edge.attach_overlay()
    wait_until(lambda: edge.zthook("edge", "status")[0] == 0, 10, "the overlay is seen to be back")
    assert home1.ask("GET", "/v1/health").status_code == 200


def test_the_api_is_on_the_overlay_address_alone(edge: Machine) -> None:
    edge.serve()
    edge.listens_at(ADDRESS)
    listening = edge.namespace.run("ss", "-Htln").stdout.split("\n")
    assert [line.split()[3] for line in listening if line] == [f"{ADDRESS}:9443"]


class TestTokens:
    def test_used_twice(self, edge: Machine) -> None:
        edge.serve()
        edge.listens_at(ADDRESS)
        token = edge.token("home1")
        Enrolled(edge, token)
        with pytest.raises(AssertionError, match=r"bad_token.*used"):
            Enrolled(edge, token)

    def test_expired(self, edge: Machine) -> None:
        edge.serve()
        edge.listens_at(ADDRESS)
        told = edge.told("edge", "host", "add", "home1", "--hours", "0.0001")
        wait_until(lambda: time.time() > told["expires"], 5, "the token expires")
        with pytest.raises(AssertionError, match=r"bad_token.*expired"):
            Enrolled(edge, read_token(told["token"]))

    def test_of_another_edge(self, edge: Machine) -> None:
        edge.serve()
        edge.listens_at(ADDRESS)
        token = edge.token("home1")
        other = msgspec.structs.replace(token, ca="ab" * 32)
        with pytest.raises(TokenError, match="is not the one that made this token"):
            inside(edge.host, lambda: fetch_ca(other))


def waiting_for_changes(edge: Machine, host: Enrolled) -> Callable[[], list[httpx.Response]]:
    """Once ``host`` waits for changes: a function that gives what it heard then."""
    path = f"/v1/changes?session={host.session}&after="
    now = host.ask("GET", f"{path}0").json()["generation"]
    heard: list[httpx.Response] = []
    waiting = threading.Thread(
        target=lambda: heard.append(host.ask("GET", f"{path}{now}", timeout=40))
    )
    waiting.start()
    wait_until(
        lambda: "ESTAB" in edge.namespace.run("ss", "-Htn", f"src {ADDRESS}").stdout,
        10,
        "the host waits",
    )

    def result() -> list[httpx.Response]:
        waiting.join(10)
        return heard

    return result


def test_a_removed_host_hears_it_at_once_and_is_out(edge: Machine) -> None:
    edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    home1.claims(WEB1)
    heard = waiting_for_changes(edge, home1)
    assert edge.zthook("edge", "host", "remove", "home1")[0] == 0
    assert [answer.status_code for answer in heard()] == [401]
    assert "192.168.122.50" not in edge.nft()


@pytest.mark.parametrize("now", [True, False])
def test_with_a_rotation_the_old_credential_ends_and_its_open_request(
    edge: Machine, now: bool
) -> None:
    edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.begin()
    home1.claims(WEB1)
    heard = waiting_for_changes(edge, home1)
    token = edge.told("edge", "host", "rotate", "home1", *(["--now"] if now else []))["token"]
    if not now:
        assert home1.ask("GET", "/v1/changes?session=0&after=0").status_code == 409
        Enrolled(edge, read_token(token))
    assert [answer.status_code for answer in heard()] == [401]
    assert home1.ask("GET", "/v1/changes?session=0&after=0").status_code == 401
    assert [one["state"] for one in edge.told("edge", "mappings")] == ["active"]


class TestReload:
    def test_by_pool_add_and_remove(self, edge: Machine) -> None:
        edge.serve()
        edge.listens_at(ADDRESS)
        home1 = Enrolled(edge, edge.token("home1"))
        home1.begin()
        sg = {**WEB1, "public": "198.51.100.20"}
        assert home1.claims(sg)[0]["state"] == "refused"
        assert edge.zthook("edge", "pool", "add", "sg=198.51.100.20", "--uplink", "up0")[0] == 0
        assert home1.claims(sg)[0]["state"] == "active"
        before = (edge.tmp / "config/edge.toml").read_text()
        code, _, err = edge.zthook("edge", "pool", "remove", "sg")
        assert code == 1
        assert "web1" in err
        assert (edge.tmp / "config/edge.toml").read_text() == before
        home1.claims()
        assert edge.zthook("edge", "pool", "remove", "sg")[0] == 0
        assert [pool["name"] for pool in edge.told("edge", "pool", "list")] == ["hk"]

    def test_by_sighup_and_a_broken_file_changes_nothing(self, edge: Machine) -> None:
        daemon = edge.serve()
        edge.listens_at(ADDRESS)
        path = edge.tmp / "config/edge.toml"
        good = path.read_text()
        path.write_text(good + "\n[nonsense]\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_logged("went on with the settings before")
        path.write_text(good.replace("port = 9443", "port = 9444"))
        daemon.send(signal.SIGHUP)
        wait_until(lambda: edge.status()["listening"] == f"{ADDRESS}:9444", 10, "the port moves")
        assert daemon.running


def test_two_daemons_on_one_store_are_one_too_many(edge: Machine) -> None:
    edge.serve()
    code, _, err = edge.zthook("edge", "serve")
    assert code == 1
    assert "in use by another daemon" in err


def test_the_early_boot_rules_are_ones_that_nft_takes(edge: Machine) -> None:
    code, out, _ = edge.zthook("edge", "rules")
    assert code == 0
    edge.namespace.run("nft", "-f", "-", stdin=out)
    edge.namespace.run("nft", "-f", "-", stdin=out)
    assert "drop" in edge.nft()


def test_its_log_is_one_line_a_record_with_times(edge: Machine) -> None:
    daemon = edge.serve()
    edge.listens_at(ADDRESS)
    home1 = Enrolled(edge, edge.token("home1"))
    home1.credential = "wrong"
    home1.ask("PUT", "/v1/claims", {})
    daemon.wait_logged("refused PUT '/v1/claims' from 192.168.193.2: 401")
    assert all(" zthook." in line for line in daemon.log_text().splitlines())


def test_tls_shows_a_name_made_of_the_edges_id(edge: Machine) -> None:
    edge.serve()
    edge.listens_at(ADDRESS)
    token = edge.token("home1")
    shown = inside(edge.host, lambda: ssl.get_server_certificate((ADDRESS, 9443), timeout=10))
    text = edge.namespace.run("openssl", "x509", "-noout", "-ext", "subjectAltName", stdin=shown)
    assert f"DNS:{token.edge}.edge.zthook" in text.stdout
    assert ADDRESS not in text.stdout
