"""``zthook status``, ``join`` and ``leave`` as people see them."""

import re
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import msgspec
import pytest

from tests.cli_host.conftest import ACTIVE, PUBLIC, SINCE, STATUS, UUID, Agent
from tests.documents.json_schemas import check
from zthook.cli import join as joining
from zthook.cli.mapping_words import way
from zthook.cli.output import duration
from zthook.config.loading import load_host
from zthook.config.places import Places
from zthook.config.settings import OverlaySettings
from zthook.errors import ConfigError, EdgeUnreachable
from zthook.host.credential import Credential, save_credential
from zthook.host.health import Health
from zthook.model.mappings import MappingState
from zthook.model.redial import Redial
from zthook.wire.token import Token, write_token

Zthook = Callable[..., tuple[int, str, str]]
TOKEN = write_token(Token("e1", "0" * 64, "192.168.193.222", 9443, "s3cret"))
CREDENTIAL = Credential("e1", "192.168.193.222", 9443, "home1", "", "secret")


def test_the_table_has_everything_of_a_mapping(zthook: Zthook, agent: Agent) -> None:
    code, out, err = zthook("status")
    assert (code, err) == (0, "")
    told = ["|".join(re.split(r"\s{2,}", line)) for line in out.splitlines()]
    ago = duration(time.time() - SINCE)
    assert told == [
        "host|home1, zthook 0.1.0",
        f"edge|192.168.193.222:9443 up {ago}, lease renewed 3 s ago",
        f"overlay|up {ago}, to the edge direct 12 ms",
        f"libvirt|up {ago}",
        "mappings|1 active",
        "",
        "GUEST|STATE|PUBLIC|MAPPING|SINCE|PRIVATE|IN|OUT|MODE|WHY",
        f"test|running|{PUBLIC}|active|{ago}|192.168.122.50|1.2 MB at 30.0 kB/s|831 B at 0 B/s"
        "|nat keep|-",
    ]


@pytest.mark.parametrize(
    ("redial", "shown"),
    [
        (None, []),
        (Redial(wanted=True), ["redial|set up: one UDP port, a ping a second"]),
        (
            Redial(wanted=True, fault="it is away"),
            ["redial|not known how it is set up: it is away"],
        ),
        (
            Redial(wanted=True, restart=True),
            [
                "redial|waits for a restart of zerotier-one: systemctl restart zerotier-one "
                "(the overlay is away for two seconds)"
            ],
        ),
        (Redial(wanted=False), ["redial|as zerotier-one does it (fast_redial = false)"]),
        (
            Redial(wanted=True, hosts={"home1": "broadcast", "home2": ""}, notes=["why not home2"]),
            ["redial|heals at once with 1 of 2 hosts", "|why not home2"],
        ),
    ],
)
def test_how_soon_a_redial_heals(
    zthook: Zthook, agent: Agent, redial: Redial | None, shown: list[str]
) -> None:
    agent.show(redial=redial)
    lines = [re.sub(r"\s{2,}", "|", line) for line in zthook("status")[1].splitlines()]
    assert lines[3 : lines.index(next(one for one in lines if one.startswith("libvirt")))] == shown


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"ports": ["tcp/80:8080", "udp/53"]}, "nat keep tcp/80:8080 udp/53"),
        ({"ports": ["tcp/80", "tcp/443", "udp/53", "udp/54"]}, "nat keep tcp/80 tcp/443 +2"),
        ({"mode": "routed", "egress": "public"}, "routed keep egress=public"),
        ({"allow": ["198.51.100.0/24"]}, "nat keep allow=198.51.100.0/24"),
        (
            {"allow": ["198.51.100.0/24", "192.0.2.1/32", "2001:db8::/32"]},
            "nat keep allow=198.51.100.0/24,192.0.2.1/32,+1",
        ),
        ({"mode": None, "client": None}, ""),
    ],
)
def test_how_it_is_mapped_is_one_word_after_another(changes: dict[str, Any], shown: str) -> None:
    assert way(msgspec.structs.replace(ACTIVE, **changes)) == shown


def test_an_auto_without_an_address_yet_is_shown_as_that(zthook: Zthook, agent: Agent) -> None:
    auto = msgspec.structs.replace(
        ACTIVE, asked="auto/hk/0", public=None, private=None, state=MappingState.REFUSED
    )
    agent.show(auto)
    [line] = [line for line in zthook("status")[1].splitlines() if line.startswith("test ")]
    assert line.split()[:4] == ["test", "running", "auto", "refused"]


@pytest.mark.parametrize("name", ["test", UUID])
def test_one_guest_by_name_or_uuid(zthook: Zthook, agent: Agent, name: str) -> None:
    other = msgspec.structs.replace(ACTIVE, guest="db1", uuid="x", public="203.0.113.11")
    agent.show(ACTIVE, other)
    code, out, _ = zthook("status", name)
    assert code == 0
    assert "db1" not in out


def test_a_guest_without_an_active_mapping_exits_1_and_says_why(
    zthook: Zthook, agent: Agent
) -> None:
    agent.show(
        msgspec.structs.replace(
            ACTIVE, state=MappingState.PENDING, reason="waits for the guest's address"
        )
    )
    code, out, _ = zthook("status", "test")
    assert code == 1
    assert "waits for the guest's address" in out
    assert zthook("status", "nobody")[0] == 1


def test_json_is_what_the_agent_says(zthook: Zthook, agent: Agent) -> None:
    code, out, _ = zthook("status", "--json")
    assert code == 0
    assert msgspec.convert(check(out, "zthook status"), type(STATUS)) == STATUS
    [one] = check(zthook("status", "test", "--json")[1], "zthook status GUEST")
    assert one["public"] == PUBLIC


def test_without_guests_it_says_what_to_do(zthook: Zthook, agent: Agent) -> None:
    agent.show()
    code, out, _ = zthook("status")
    assert code == 0
    assert "zthook assign GUEST PUBLIC" in out


def test_a_fault_is_told_and_exits_1(zthook: Zthook, agent: Agent) -> None:
    agent.show(ACTIVE, faults=["edge: two agents use the credential of home1"])
    code, out, _ = zthook("status")
    assert code == 1
    assert "problem   edge: two agents use the credential of home1" in out.splitlines()


def test_no_agent_is_said_plainly(zthook: Zthook, places: Places) -> None:
    code, _, err = zthook("status")
    assert code == 1
    assert "this host belongs to no edge" in err
    assert "On an edge: zthook edge status" in err
    save_credential(places.credential, CREDENTIAL)
    code, _, err = zthook("status")
    assert code == 1
    assert "the agent does not run on this machine" in err
    assert "systemctl start zthook-agent" in err


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge that enrols whoever asks; what it says on the wire has tests of its own."""

    def join(path: object, token: str) -> Credential:
        save_credential(path, CREDENTIAL)  # type: ignore[arg-type]
        return CREDENTIAL

    monkeypatch.setattr("zthook.host.enrolment.join", join)


def test_join_writes_host_toml_once_and_tells_that_the_edge_is_reached(
    zthook: Zthook, places: Places, agent: Agent, edge: None
) -> None:
    code, out, err = zthook("join", TOKEN, "--interface", "br-overlay")
    assert (code, err) == (0, "")
    assert "this host is home1 at the edge 192.168.193.222:9443" in out
    assert "the agent reached the edge" in out
    assert load_host(places.host_config).overlay.interface == "br-overlay"
    code, _, err = zthook("join", TOKEN, "--interface", "other")
    assert code == 2
    assert "names the overlay already" in err


def test_join_takes_a_zerotier_network(
    zthook: Zthook, places: Places, agent: Agent, edge: None
) -> None:
    assert zthook("join", TOKEN, "--zerotier", "b87d70f46bc5c578")[0] == 0
    overlay = load_host(places.host_config).overlay
    assert (overlay.driver, overlay.network) == ("zerotier", "b87d70f46bc5c578")


def test_join_finds_the_device_by_the_edges_address(
    zthook: Zthook, places: Places, agent: Agent, edge: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OverlaySettings("interface", interface="zt0")
    monkeypatch.setattr(joining, "overlay_toward", lambda _address: found)
    assert zthook("join", TOKEN)[0] == 0
    assert load_host(places.host_config).overlay == found


def test_join_behind_a_lan_gateway_takes_the_device_toward_it(
    zthook: Zthook, places: Places, agent: Agent, edge: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OverlaySettings("interface", interface="eth0")
    monkeypatch.setattr(joining, "device_toward", lambda _address: found)
    assert zthook("join", TOKEN, "--via", "192.168.193.2")[0] == 0
    settings = load_host(places.host_config)
    assert settings.overlay == found
    assert settings.via == IPv4Address("192.168.193.2")
    assert zthook("join", TOKEN, "--via", "gateway")[0] == 2


def test_the_device_toward_an_address_is_that_of_its_route(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert joining.device_toward("127.0.0.1").interface == "lo"
    monkeypatch.setattr("zthook.kernel.near.device_toward", lambda _address: None)
    with pytest.raises(ConfigError, match="no route of this machine leads to"):
        joining.device_toward("192.168.193.222")


def test_join_without_a_device_toward_the_edge_spends_no_token(
    zthook: Zthook, places: Places, agent: Agent, edge: None
) -> None:
    nowhere = write_token(Token("e1", "0" * 64, "198.18.77.77", 9443, "s3cret"))
    code, _, err = zthook("join", nowhere)
    assert code == 2
    assert "no device of this machine is on the network of the edge at 198.18.77.77" in err
    assert not places.credential.exists()


def test_join_with_a_cut_token_says_so(zthook: Zthook, places: Places) -> None:
    code, _, err = zthook("join", TOKEN[:40])
    assert code == 1
    assert "cut off" in err


def test_join_tells_why_the_edge_is_not_reached(
    zthook: Zthook, places: Places, agent: Agent, edge: None
) -> None:
    down = Health(up=False, since=0.0, error="the edge does not answer: no route")
    agent.show(edge_health=down)
    assert (
        "not reached the edge yet: the edge does not answer: no route"
        in (zthook("join", TOKEN, "--interface", "zt0")[1])
    )


def test_leave_without_the_edge_keeps_the_credential(
    zthook: Zthook, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise EdgeUnreachable("the edge does not answer")

    monkeypatch.setattr("zthook.host.enrolment._say_goodbye", away)
    save_credential(places.credential, CREDENTIAL)
    code, _, err = zthook("leave")
    assert code == 1
    assert "the edge does not answer" in err
    assert places.credential.exists()
    code, out, _ = zthook("leave", "--force")
    assert code == 0
    assert "belongs to the edge 192.168.193.222:9443 no more" in out
    assert not places.credential.exists()


def test_leave_of_who_belongs_to_no_edge_says_so(zthook: Zthook, places: Places) -> None:
    code, _, err = zthook("leave")
    assert code == 1
    assert "this host belongs to no edge" in err
