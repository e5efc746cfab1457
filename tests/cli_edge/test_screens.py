"""What the edge's commands print, from what a daemon answers."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.cli_edge.conftest import Answer, Canned, Places
from zthook.edge.admin_views import Approved, EdgeReport, HostAdded, HostRemoved, Knock
from zthook.edge.views import (
    DriftView,
    EdgeStatus,
    EventView,
    HostView,
    MappingView,
    OverlayView,
    PoolUse,
    Released,
    TrafficView,
)
from zthook.errors import NotFound, Refused
from zthook.model.paths import OverlayPath
from zthook.model.redial import Redial

Serve = Callable[[dict[str, Answer]], Canned]
Zthook = Callable[..., tuple[int, str, str]]


def a_host(**changes: Any) -> HostView:
    now = time.time()
    usual = HostView(
        name="home1",
        enrolled=True,
        invited_until=None,
        member="5d4548d482",
        prefixes=["192.168.122.0/24"],
        pools=[],
        group=None,
        hostname="kvm1",
        agent="zthook 0.1.0",
        address="192.168.193.2",
        mac="52:54:00:00:00:02",
        last_seen=now - 3.5,
        lease="live",
        lease_seconds=56.5,
        held=2,
        path=OverlayPath(direct=True, latency=0.0124),
    )
    return msgspec.structs.replace(usual, **changes)


def a_mapping(**changes: Any) -> MappingView:
    usual = MappingView(
        asked="203.0.113.10",
        public="203.0.113.10",
        guest="web1",
        uuid="6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11",
        host="home1",
        private="192.168.122.50",
        mode="nat",
        client="keep",
        state="active",
        reason="",
        holder="",
        epoch=1,
        since=time.time() - 7300,
        traffic=TrafficView(
            bytes_in=1_234_567, packets_in=1000, bytes_out=98_765_432, packets_out=9000
        ),
    )
    return msgspec.structs.replace(usual, **changes)


HK = PoolUse(
    name="hk",
    addresses=["203.0.113.10-203.0.113.14", "203.0.113.64-203.0.113.79"],
    uplink="eth0",
    size=21,
    used=2,
    reserved=3,
    free=16,
)


def a_report(*problems: str, **changes: Any) -> EdgeReport:
    now = time.time()
    usual = EdgeStatus(
        edge="19e1a11125cfd6f7",
        version="0.1.0",
        started=now - 90_000,
        overlay=OverlayView(
            device="ztabcdef01",
            mac="52:54:00:00:00:01",
            mtu=2800,
            addresses=["192.168.193.222", "fd00::222"],
        ),
        hosts=[
            a_host(),
            a_host(
                name="home2",
                lease="ended",
                last_seen=now - 400,
                lease_seconds=-340.0,
                address="192.168.193.3",
                held=1,
                path=OverlayPath(direct=False),
            ),
            a_host(
                name="home3",
                enrolled=False,
                invited_until=now + 3700,
                lease="none",
                address=None,
                last_seen=None,
                lease_seconds=None,
                held=0,
                agent="",
                member=None,
                path=None,
            ),
        ],
        mappings={"active": 3, "pending": 1, "conflict": 1, "refused": 0, "withdrawn": 0},
        drift=DriftView(
            repaired=3, last=["route 192.168.122.50/32 was missing: added"], last_at=now - 130
        ),
    )
    return EdgeReport(
        status=msgspec.structs.replace(usual, **changes),
        pools=[HK],
        listening="192.168.193.222:9443",
        problems=list(problems),
        redial=Redial(
            wanted=True,
            hosts={"home1": "broadcast", "home2": ""},
            notes=["home2 is reached by a relay"],
        ),
    )


def test_status_shows_everything_at_one_look(serve_canned: Serve, zthook: Zthook) -> None:
    serve_canned({"status": lambda _: a_report()})
    code, out, _ = zthook("edge", "status")
    assert code == 0
    assert out.splitlines() == [
        "edge      19e1a11125cfd6f7, zthook 0.1.0, up 1 d",
        "overlay   ztabcdef01 192.168.193.222, fd00::222, MTU 2800",
        "redial    heals at once with 1 of 2 hosts",
        "          home2 is reached by a relay",
        "API       https://192.168.193.222:9443",
        "mappings  3 active, 1 pending, 1 conflict",
        "repairs   3 since the start, the last 2 min ago:",
        "          route 192.168.122.50/32 was missing: added",
        "",
        "HOST   STATE    ADDRESS        SEEN       HELD  PATH          MEMBER      AGENT  NOTE",
        "home1  up       192.168.193.2  3 s ago    2     direct 12 ms  5d4548d482  0.1.0  -",
        "home2  silent   192.168.193.3  6 min ago  1     relayed       5d4548d482  0.1.0  "
        "its addresses can be claimed by others",
        "home3  invited  -              -          0     -             -           -      "
        "token good for 1 h",
        "",
        "POOL  UPLINK  SIZE  USED  RESERVED  FREE  ADDRESSES",
        "hk    eth0    21    2     3         16    203.0.113.10-203.0.113.14, "
        "203.0.113.64-203.0.113.79",
    ]


def test_status_with_a_problem_says_so_and_exits_1(serve_canned: Serve, zthook: Zthook) -> None:
    why = "the overlay is down: the network b87d70f46bc5c578 is not joined"
    serve_canned({"status": lambda _: a_report(why, overlay=None)})
    code, out, _ = zthook("edge", "status")
    assert code == 1
    assert "overlay   down" in out
    assert f"problem   {why}" in out


def test_status_of_an_edge_with_nothing_yet_says_what_to_do(
    serve_canned: Serve, zthook: Zthook
) -> None:
    empty = a_report(hosts=[], mappings={}, drift=DriftView())
    serve_canned({"status": lambda _: msgspec.structs.replace(empty, pools=[], listening=None)})
    code, out, _ = zthook("edge", "status")
    assert code == 0
    assert "no hosts: zthook edge host add NAME" in out
    assert "no pools: zthook edge pool add" in out
    assert "mappings  none" in out
    assert "repairs   none since the start" in out


def test_json_is_the_whole_answer(serve_canned: Serve, zthook: Zthook) -> None:
    report = a_report()
    serve_canned({"status": lambda _: report, "mappings": lambda _: [a_mapping()]})
    _, out, _ = zthook("edge", "status", "--json")
    assert msgspec.json.decode(out, type=EdgeReport) == report
    _, out, _ = zthook("edge", "mappings", "--json")
    assert json.loads(out)[0]["traffic"]["bytes_in"] == 1_234_567


def test_mappings(serve_canned: Serve, zthook: Zthook) -> None:
    other = a_mapping(
        guest="db", state="conflict", private=None, traffic=None, holder="web1 on home1"
    )
    serve_canned({"mappings": lambda _: [a_mapping(), other]})
    _, out, _ = zthook("edge", "mappings")
    told = ["|".join(re.split(r"\s{2,}", line.strip())) for line in out.splitlines()]
    assert told == [
        "PUBLIC|GUEST|HOST|STATE|SINCE|PRIVATE|IN|OUT|MODE|WHY",
        "203.0.113.10|web1|home1|active|2 h|192.168.122.50|1.2 MB|98.8 MB|nat keep|-",
        "203.0.113.10|db|home1|conflict|2 h|-|-|-|nat keep|held by web1 on home1",
    ]


def test_mappings_show_ports_and_what_has_no_address_yet(
    serve_canned: Serve, zthook: Zthook
) -> None:
    ports = a_mapping(
        ports=["tcp/80:8080", "tcp/443"],
        allow=["198.51.100.0/24"],
        mode="routed",
        egress="public",
        traffic=TrafficView(
            bytes_in=10, packets_in=1, bytes_out=20, packets_out=2, rate_in=5.0, rate_out=0.0
        ),
    )
    why = "pool hk has no address left: of 5 3 are held, 2 reserved"
    waits = a_mapping(asked="auto/hk/0", public=None, state="pending", traffic=None, reason=why)
    serve_canned({"mappings": lambda _: [ports, waits]})
    _, out, _ = zthook("edge", "mappings")
    told = ["|".join(re.split(r"\s{2,}", line.strip())) for line in out.splitlines()][1:]
    assert told == [
        "203.0.113.10|web1|home1|active|2 h|192.168.122.50|10 B at 5 B/s|20 B at 0 B/s|"
        "routed keep egress=public tcp/80:8080 tcp/443 allow=198.51.100.0/24|-",
        f"auto/hk/0|web1|home1|pending|2 h|192.168.122.50|-|-|nat keep|{why}",
    ]


def test_mappings_show_what_is_kept_for_who_is_away(serve_canned: Serve, zthook: Zthook) -> None:
    why = "kept for web1 (zthook edge release 203.0.113.10 ends that)"
    kept = a_mapping(
        asked="auto//0",
        private=None,
        mode="",
        client="",
        egress="",
        state="reserved",
        traffic=None,
        reason=why,
    )
    serve_canned({"mappings": lambda _: [kept]})
    _, out, _ = zthook("edge", "mappings")
    assert re.split(r"\s{2,}", out.splitlines()[1].strip()) == [
        *("203.0.113.10", "web1", "home1", "reserved", "2 h"),
        *("-", "-", "-", "-", why),
    ]


def test_no_mappings(serve_canned: Serve, zthook: Zthook) -> None:
    serve_canned({"mappings": lambda _: []})
    assert zthook("edge", "mappings")[1] == "no host claims an address\n"


def an_event(**changes: Any) -> EventView:
    usual = EventView(
        at=time.mktime((2026, 1, 31, 14, 0, 5, 0, 0, -1)),
        event="granted",
        host="home1",
        public="203.0.113.10",
        guest="web1",
        uuid="6f1a1c52-9d0a-4a53-a5f6-0d4f8d3f2b11",
        private="192.168.122.50",
        mode="nat",
        ports=["tcp/80:8080", "tcp/443"],
        epoch=7,
        source="",
        why="",
        times=1,
    )
    return msgspec.structs.replace(usual, **changes)


def test_log(serve_canned: Serve, zthook: Zthook) -> None:
    refused = an_event(
        event="requests refused",
        public="",
        guest="",
        private=None,
        ports=[],
        source="192.168.193.66",
        why="GET '/': 404",
        times=12,
    )
    canned = serve_canned({"events": lambda _: [an_event(), refused]})
    code, out, _ = zthook("edge", "log", "--public", "203.0.113.10", "--since", "2026-01-31 13:00")
    told = ["|".join(re.split(r"\s{2,}", line.strip())) for line in out.splitlines()]
    assert code == 0
    assert told == [
        "TIME|EVENT|PUBLIC|GUEST|HOST|PRIVATE|PORTS|BY|WHY",
        "2026-01-31 14:00:05|granted|203.0.113.10|web1|home1|192.168.122.50|tcp/80:8080, tcp/443"
        "|-|-",
        "2026-01-31 14:00:05|requests refused|-|-|home1|-|-|192.168.193.66|12 times, the last: "
        "GET '/': 404",
    ]
    assert canned.asked == [
        (
            "events",
            {
                "most": 1000,
                "public": "203.0.113.10",
                "host": "",
                "guest": "",
                "since": an_event().at - 3605,
            },
        )
    ]
    assert json.loads(zthook("edge", "log", "--json")[1])[0]["uuid"] == an_event().uuid


@pytest.mark.parametrize(
    ("since", "seconds"), [("90s", 90), ("5min", 300), ("2 h", 7200), ("7d", 604_800)]
)
def test_log_since_so_long_ago(
    serve_canned: Serve, zthook: Zthook, since: str, seconds: int
) -> None:
    canned = serve_canned({"events": lambda _: []})
    began = time.time()
    assert zthook("edge", "log", "--since", since)[1] == "nothing that fits was noted\n"
    assert began <= canned.asked[0][1]["since"] + seconds <= time.time()


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "5", ""])
def test_log_since_what_is_no_time(serve_canned: Serve, zthook: Zthook, since: str) -> None:
    canned = serve_canned({"events": lambda _: []})
    code, _, err = zthook("edge", "log", "--since", since)
    assert (code, canned.asked) == (2, [])
    assert "write it as 2h" in err


def test_pool_list(serve_canned: Serve, zthook: Zthook) -> None:
    serve_canned({"pools": lambda _: [HK]})
    _, out, _ = zthook("edge", "pool", "list")
    assert out.splitlines()[1].endswith("  203.0.113.10-203.0.113.14, 203.0.113.64-203.0.113.79")


def test_release(serve_canned: Serve, zthook: Zthook) -> None:
    def release(asked: dict[str, Any]) -> Released:
        if asked["public"] != "203.0.113.10":
            raise NotFound("nothing is reserved", hint="zthook edge mappings")
        return Released(public="203.0.113.10", guest="web1", host="home1")

    serve_canned({"release": release})
    assert zthook("edge", "release", "203.0.113.10") == (
        0,
        "203.0.113.10 is free: it was reserved for web1 on home1\n",
        "",
    )
    assert zthook("edge", "release", "203.0.113.11") == (
        1,
        "",
        "error: nothing is reserved\nhint: zthook edge mappings\n",
    )


class TestHost:
    """zthook edge host …"""

    ADDED = HostAdded(
        host="home1",
        token="zthook1.abc.12345678",
        expires=0.0,
        member="5d4548d482",
        authorised=True,
    )

    def added(self, **changes: Any) -> HostAdded:
        return msgspec.structs.replace(self.ADDED, expires=time.time() + 86_400, **changes)

    def test_add_prints_the_one_command(self, serve_canned: Serve, zthook: Zthook) -> None:
        canned = serve_canned({"host_add": lambda _: self.added()})
        code, out, _ = zthook(
            *("edge", "host", "add", "home1", "--member", "5d4548d482"),
            *("--private", "192.168.122.0/24", "--private", "10.1.0.0/16"),
            *("--pool", "hk", "--group", "home", "--hours", "2"),
        )
        assert code == 0
        assert canned.asked == [
            (
                "host_add",
                {
                    "name": "home1",
                    "member": "5d4548d482",
                    "prefixes": ["192.168.122.0/24", "10.1.0.0/16"],
                    "pools": ["hk"],
                    "group": "home",
                    "expires_seconds": 7200.0,
                },
            )
        ]
        lines = out.splitlines()
        assert lines[0].startswith("On home1, as root, within 1 d (until ")
        assert "    zthook join zthook1.abc.12345678" in lines
        assert lines[-1] == "Member 5d4548d482 is let into the overlay."

    def test_what_is_not_given_is_left_as_it_is(self, serve_canned: Serve, zthook: Zthook) -> None:
        canned = serve_canned({"host_add": lambda _: self.added(member=None, authorised=False)})
        zthook("edge", "host", "add", "home1")
        asked = canned.asked[0][1]
        assert (asked["prefixes"], asked["pools"], asked["group"]) == (None, None, None)

    def test_a_member_that_was_not_let_in_is_told_beside_the_token(
        self, serve_canned: Serve, zthook: Zthook
    ) -> None:
        why = "this node is not the network's controller"
        serve_canned({"host_add": lambda _: self.added(authorised=False, why=why)})
        code, out, err = zthook("edge", "host", "add", "home1", "--member", "5d4548d482")
        assert code == 1
        assert "zthook join zthook1.abc.12345678" in out
        assert why in err

    def test_rotate_prints_the_one_command_and_what_ends_when(
        self, serve_canned: Serve, zthook: Zthook
    ) -> None:
        canned = serve_canned({"host_rotate": lambda _: self.added(authorised=False)})
        code, out, err = zthook("edge", "host", "rotate", "home1", "--hours", "2")
        assert (code, err) == (0, "")
        assert "    zthook join zthook1.abc.12345678" in out.splitlines()
        assert (
            out.splitlines()[-1] == "The present credential of home1 ends when the token is used."
        )
        _, out, _ = zthook("edge", "host", "rotate", "home1", "--now")
        assert out.splitlines()[-1] == "The present credential of home1 has ended."
        assert [asked for _, asked in canned.asked] == [
            {"name": "home1", "now": False, "expires_seconds": 7200.0},
            {"name": "home1", "now": True, "expires_seconds": 86_400.0},
        ]

    def test_list(self, serve_canned: Serve, zthook: Zthook) -> None:
        serve_canned({"hosts": lambda _: [a_host(fault="two agents use its credential")]})
        _, out, _ = zthook("edge", "host", "list")
        assert "two agents use its credential" in out

    def test_approve_lists_who_knocks_or_lets_one_in(
        self, serve_canned: Serve, zthook: Zthook
    ) -> None:
        knocks = [
            Knock("4e41020f73", time.time() - 125, "203.0.113.77/9993"),
            Knock("25d65e9f35", time.time() - 5, None, shut_out=1_700_000_000.0),
        ]
        canned = serve_canned(
            {
                "knocking": lambda _: knocks,
                "approve": lambda _: Approved("4e41020f73", knocked=True, others=[]),
            }
        )
        lines = zthook("edge", "host", "approve")[1].splitlines()
        assert lines[0].split() == ["MEMBER", "SINCE", "ADDRESS", "NOTE"]
        assert lines[1].split() == ["4e41020f73", "2", "min", "ago", "203.0.113.77/9993", "-"]
        assert "shut out 2023-11-1" in lines[2]
        assert (
            lines[-1] == "let one in, and nobody else: zthook edge host approve MEMBER --host NAME"
        )
        out = zthook("edge", "host", "approve", "4e41020f73")[1]
        assert out == "4e41020f73 is let into the overlay\n"
        assert canned.asked[-1] == ("approve", {"member": "4e41020f73", "host": None})
        zthook("edge", "host", "approve", "4e41020f73", "--host", "home1")
        assert canned.asked[-1] == ("approve", {"member": "4e41020f73", "host": "home1"})

    def test_nobody_knocks(self, serve_canned: Serve, zthook: Zthook) -> None:
        serve_canned({"knocking": lambda _: []})
        assert zthook("edge", "host", "approve")[1] == "nobody knocks\n"

    def test_who_knocks_still_is_told_as_the_one_meant_may_be_among_them(
        self, serve_canned: Serve, zthook: Zthook
    ) -> None:
        serve_canned(
            {"approve": lambda _: Approved("4e41020f74", knocked=False, others=["4e41020f73"])}
        )
        out = zthook("edge", "host", "approve", "4e41020f74")[1]
        assert "knocking still: 4e41020f73" in out
        assert "if you meant another: zthook edge host approve 4e41020f74 --undo" in out

    def test_an_approval_is_taken_back(self, serve_canned: Serve, zthook: Zthook) -> None:
        canned = serve_canned({"shut_out": lambda _: None})
        assert zthook("edge", "host", "approve", "4e41020f73", "--undo")[0] == 0
        assert canned.asked == [("shut_out", {"member": "4e41020f73"})]
        for words, why in (
            (("--undo",), "whom?"),
            (("4e41020f73", "--json"), "--json goes without NODEID"),
            (("--host", "home1"), "whom?"),
            (("4e41020f73", "--undo", "--host", "home1"), "--host has no meaning with --undo"),
        ):
            code, _, err = zthook("edge", "host", "approve", *words)
            assert code == 2
            assert why in err

    def test_a_token_that_takes_the_host_into_the_network_says_so(
        self, serve_canned: Serve, zthook: Zthook
    ) -> None:
        serve_canned({"host_add": lambda _: self.added(member=None, network="b87d70f46b7a7468")})
        out = zthook("edge", "host", "add", "home1")[1]
        assert "It takes that machine into ZeroTier network b87d70f46b7a7468 too." in out
        assert "`zthook edge host approve NODEID --host home1`" in out

    @pytest.mark.parametrize(
        ("removed", "said"),
        [
            (HostRemoved("home1", None), ""),
            (
                HostRemoved("home1", None, why="is it let in?"),
                "is it let in? zthook edge host approve NODEID --undo shuts it out\n",
            ),
            (
                HostRemoved("home1", "4e41020f73", shut_out=True),
                "its node 4e41020f73 is let into the overlay no more\n",
            ),
            (
                HostRemoved("home1", "4e41020f73", why="no controller"),
                "its node 4e41020f73 is in the overlay still: no controller\n",
            ),
        ],
    )
    def test_remove(
        self, serve_canned: Serve, zthook: Zthook, removed: HostRemoved, said: str
    ) -> None:
        canned = serve_canned({"host_remove": lambda _: removed})
        code, out, _ = zthook("edge", "host", "remove", "home1")
        assert (code, out) == (0, f"home1 is removed and its mappings are withdrawn\n{said}")
        assert canned.asked == [("host_remove", {"name": "home1"})]


def test_a_machine_that_is_no_edge(places: Places, zthook: Zthook) -> None:
    code, out, err = zthook("edge", "status")
    assert (code, out) == (1, "")
    assert "this machine is no edge" in err
    assert "hint: zthook edge init" in err


def test_a_daemon_that_does_not_run(places: Places, zthook: Zthook) -> None:
    places.config.mkdir()
    (places.config / "edge.toml").write_text("")
    code, _, err = zthook("edge", "status")
    assert code == 1
    assert "the edge's daemon does not answer" in err
    assert "hint: start it: systemctl start zthook-edge" in err


class TestPoolChange:
    """edge.toml and the daemon agree in the end, whatever the daemon says."""

    TOML = (
        '# mine\n[overlay]\ndriver = "interface"\ninterface = "lo"\n\n'
        '[[pool]]\nname = "hk"\naddresses = ["203.0.113.10"]\nuplink = "eth0"\n'
    )

    @pytest.fixture
    def toml(self, places: Places, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setattr("zthook.cli.edge_pool.protect", lambda *_: None)
        places.config.mkdir()
        path = places.config / "edge.toml"
        path.write_text(self.TOML)
        return path

    def test_added(self, toml: Any, serve_canned: Serve, zthook: Zthook) -> None:
        canned = serve_canned({"reload": lambda _: None})
        code, out, _ = zthook(
            "edge", "pool", "add", "sg=198.51.100.8/29,198.51.100.20", "--uplink", "eth1"
        )
        assert (code, [name for name, _ in canned.asked]) == (0, ["reload"])
        assert "pool sg is added" in out
        assert "gateway" not in toml.read_text().partition('name = "sg"')[2]
        assert toml.read_text().startswith(self.TOML)
        assert 'name = "sg"' in toml.read_text()

    def test_added_with_its_routers(self, toml: Any, serve_canned: Serve, zthook: Zthook) -> None:
        serve_canned({"reload": lambda _: None})
        code, _, err = zthook(
            *("edge", "pool", "add", "sg=198.51.100.8/29", "--uplink", "eth1"),
            *("--gateway", "198.51.100.1", "--gateway", "fe80::1"),
        )
        assert (code, err) == (0, "")
        assert 'gateway = ["198.51.100.1", "fe80::1"]\n' in toml.read_text()

    def test_a_router_that_is_none(self, toml: Any, zthook: Zthook) -> None:
        code, _, err = zthook("edge", "pool", "add", "sg=198.51.100.8/29", "--gateway", "eth1")
        assert (code, "a router's address" in err) == (2, True), err

    @pytest.mark.parametrize(
        "change", [("add", "sg=198.51.100.8/29", "--uplink", "eth1"), ("remove", "hk")]
    )
    def test_refused_by_the_daemon(
        self, toml: Any, serve_canned: Serve, zthook: Zthook, change: tuple[str, ...]
    ) -> None:
        toml.chmod(0o640)

        def reload(_: dict[str, Any]) -> None:
            raise Refused("203.0.113.10 is in use by web1 on home1", hint="stop it first")

        serve_canned({"reload": reload})
        code, _, err = zthook("edge", "pool", *change)
        assert code == 1
        assert "203.0.113.10 is in use by web1 on home1" in err
        assert toml.read_text() == self.TOML
        assert toml.stat().st_mode & 0o777 == 0o640
        assert [path.name for path in toml.parent.iterdir()] == ["edge.toml"]

    def test_without_a_daemon_it_counts_from_the_next_start(
        self, toml: Any, zthook: Zthook
    ) -> None:
        code, _, err = zthook("edge", "pool", "remove", "hk")
        assert code == 0
        assert "counts when it starts" in err
        assert "[[pool]]" not in toml.read_text()

    @pytest.mark.parametrize(
        ("named", "why"),
        [
            ("hk", "write it as hk="),
            ("=203.0.113.10", "write it as hk="),
            ("sg=203.0.113.300", "it must be"),
            ("sg=203.0.113.20-203.0.113.10", "it must be"),
            ("sg=127.0.0.1", "none of them loopback"),
        ],
    )
    def test_wrong_pools(self, toml: Any, zthook: Zthook, named: str, why: str) -> None:
        code, _, err = zthook("edge", "pool", "add", named, "--uplink", "eth0")
        assert (code, why in err) == (2, True), err
        assert toml.read_text() == self.TOML

    def test_an_overlap_is_named_with_its_line(self, toml: Any, zthook: Zthook) -> None:
        code, _, err = zthook("edge", "pool", "add", "sg=203.0.113.0/28", "--uplink", "eth0")
        assert code == 2
        assert "overlaps" in err
        assert toml.read_text() == self.TOML
