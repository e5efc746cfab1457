"""``assign``, ``unassign``, ``apply`` and ``validate`` through libvirt's test driver."""

from collections.abc import Callable

import msgspec
import pytest

from tests.cli_host.conftest import ACTIVE, PUBLIC, UUID, Agent, Guest
from zthook.config.places import Places
from zthook.model.mappings import MappingState

Zthook = Callable[..., tuple[int, str, str]]
ANOTHER = "203.0.113.11"


def test_an_address_is_written_persistent_and_live_and_its_state_told(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    assert zthook("assign", "test", PUBLIC) == (
        0,
        f"test: {PUBLIC} → 192.168.122.50 is active\n",
        "",
    )
    for xml in (guest.persistent, guest.live):
        assert f'<zthook:address public="{PUBLIC}"/>' in xml
    assert agent.hints == 1


def test_the_guest_may_be_named_by_its_uuid(zthook: Zthook, guest: Guest, agent: Agent) -> None:
    assert zthook("assign", UUID, PUBLIC)[0] == 0
    assert PUBLIC in guest.live


def test_the_other_addresses_are_kept_and_the_same_one_is_replaced(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    zthook("assign", "test", PUBLIC)
    agent.show(ACTIVE, msgspec.structs.replace(ACTIVE, asked=ANOTHER, public=ANOTHER))
    zthook("assign", "test", ANOTHER)
    zthook("assign", "test", PUBLIC, "--client", "hide", "--private", "192.168.122.9", "--required")
    assert guest.live.count("<zthook:address") == 2
    assert (
        f'<zthook:address public="{PUBLIC}" private="192.168.122.9" client="hide" required="yes"/>'
    ) in guest.live
    assert f'<zthook:address public="{ANOTHER}"/>' in guest.persistent


def test_a_conflict_is_told_and_exits_1(zthook: Zthook, guest: Guest, agent: Agent) -> None:
    agent.show(
        msgspec.structs.replace(
            ACTIVE, private=None, state=MappingState.CONFLICT, reason="held by db1 on home2"
        )
    )
    assert zthook("assign", "test", PUBLIC) == (
        1,
        f"test: {PUBLIC} is conflict: held by db1 on home2\n",
        "",
    )


def test_without_an_agent_it_is_written_and_said_so(zthook: Zthook, guest: Guest) -> None:
    code, out, _ = zthook("assign", "test", PUBLIC)
    assert code == 0
    assert "no agent runs here" in out
    assert "systemctl start zthook-agent" in out
    assert PUBLIC in guest.persistent


def test_a_guest_that_does_not_run_has_it_from_its_next_start(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    guest.domain.destroy()
    assert zthook("assign", "test", PUBLIC)[1] == (
        f"test does not run: it asks for {PUBLIC} from its next start on; once it runs,"
        " zthook status test says whether it got it\n"
    )
    assert PUBLIC in guest.persistent
    assert agent.hints == 0


def test_ports_and_clients_are_written_and_the_edge_is_asked_for_them(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    code, _, _ = zthook(
        "assign", "test", PUBLIC, "--port", "tcp/80:8080", "--allow", "198.51.100.0/24"
    )
    assert code == 0
    assert '<zthook:port protocol="tcp" listen="80" target="8080"/>' in guest.live
    assert '<zthook:allow source="198.51.100.0/24"/>' in guest.live


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("test", "203.0.113.999"), "203.0.113.999"),
        (("test", PUBLIC, "--port", "tcp/0"), "ports go from 1 to 65535"),
        (("test", PUBLIC, "--port", "80"), "tcp/80:8080 (public:guest)"),
        (("test", PUBLIC, "--allow", "nonsense"), "nonsense"),
        (("test", PUBLIC, "--private", "home"), "home"),
        (("test", PUBLIC, "--pool", "hk"), "--pool goes with `auto`"),
        (("test", PUBLIC, "--mode", "magic"), "magic"),
    ],
)
def test_wrong_usage_exits_2_and_writes_nothing(
    zthook: Zthook, guest: Guest, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = zthook("assign", *arguments)
    assert code == 2
    assert said in err
    assert "metadata" not in guest.persistent + guest.live


def test_what_the_annotation_does_not_allow_is_not_written(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    code, _, err = zthook("assign", "test", PUBLIC, "--interface", "not-a-mac")
    assert code == 1
    assert err.startswith("error: test: ")
    assert "not-a-mac" in err
    assert "`zthook assign --help` says what each option takes" in err
    assert "XML" not in err
    assert "line " not in err
    assert "metadata" not in guest.persistent + guest.live


def test_an_unknown_guest_is_named(zthook: Zthook, guest: Guest) -> None:
    code, _, err = zthook("assign", "tset", PUBLIC)
    assert code == 1
    assert "libvirt knows no guest 'tset'" in err
    assert "did you mean test?" in err


def test_a_wrong_annotation_is_neither_kept_nor_lost(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    guest.put('<publish><address public="nonsense"/></publish>', live=False)
    code, _, err = zthook("assign", "test", PUBLIC)
    assert code == 1
    assert "nonsense" in err
    assert "zthook unassign test" in err
    assert "nonsense" in guest.persistent
    agent.show()
    assert zthook("unassign", "test")[0] == 0
    assert "zthook" not in guest.persistent + guest.live


def test_one_address_is_taken_back_and_the_other_stays(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    for address in (PUBLIC, ANOTHER):
        agent.show(msgspec.structs.replace(ACTIVE, asked=address, public=address))
        zthook("assign", "test", address)
    agent.on_hint = agent.show
    assert zthook("unassign", "test", PUBLIC) == (0, f"test gives back {PUBLIC}\n", "")
    for xml in (guest.persistent, guest.live):
        assert PUBLIC not in xml
        assert ANOTHER in xml


def test_what_the_edge_does_not_let_go_of_is_told_and_exits_1(
    zthook: Zthook, guest: Guest, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zthook.cli.assign.WAIT_SECONDS", 0.2)
    zthook("assign", "test", PUBLIC)
    why = "waits for the edge to let go of it: the store can not be used: disk is full"
    agent.show(msgspec.structs.replace(ACTIVE, state=MappingState.PENDING, reason=why))
    code, out, _ = zthook("unassign", "test", PUBLIC)
    assert (code, out) == (
        1,
        f"test gives back {PUBLIC}\ntest: {PUBLIC} → 192.168.122.50 is pending: {why}\n",
    )
    assert PUBLIC not in guest.live


def test_an_address_that_is_only_live_is_taken_back_too(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    guest.put(f'<publish><address public="{PUBLIC}"/></publish>', live=True)
    agent.on_hint = agent.show
    assert zthook("unassign", "test", PUBLIC)[0] == 0
    assert PUBLIC not in guest.live


def test_taking_back_what_was_never_given_names_what_there_is(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    zthook("assign", "test", PUBLIC)
    code, _, err = zthook("unassign", "test", ANOTHER)
    assert code == 1
    assert f"does not ask for {ANOTHER}" in err
    assert f"it asks for: {PUBLIC}" in err


def test_nothing_to_take_back_exits_1(zthook: Zthook, guest: Guest) -> None:
    code, _, err = zthook("unassign", "test")
    assert code == 1
    assert "test asks for no address" in err


def test_apply_makes_an_edit_live(zthook: Zthook, guest: Guest, agent: Agent) -> None:
    guest.put(f'<publish><address public="{PUBLIC}"/></publish>', live=False)
    assert PUBLIC not in guest.live
    assert zthook("apply", "test")[0] == 0
    assert PUBLIC in guest.live


def test_apply_of_an_annotation_that_was_removed_takes_the_address(
    zthook: Zthook, guest: Guest, agent: Agent
) -> None:
    guest.put(f'<publish><address public="{PUBLIC}"/></publish>', live=True)
    assert zthook("apply", "test")[1] == "test asks for no address now\n"
    assert PUBLIC not in guest.live


def test_apply_needs_a_guest_that_runs(zthook: Zthook, guest: Guest) -> None:
    guest.domain.destroy()
    code, _, err = zthook("apply", "test")
    assert code == 1
    assert "test does not run" in err


def test_validate_reads_a_guest(zthook: Zthook, guest: Guest) -> None:
    code, out, _ = zthook("validate", "test")
    assert (code, out) == (
        1,
        "test:0: there is no annotation; zthook assign test PUBLIC\n",
    )
    guest.put(f'<publish><address public="{PUBLIC}"/></publish>', live=False)
    code, out, _ = zthook("validate", "test")
    assert code == 0
    assert f"{PUBLIC} is fine" in out


def test_validate_of_a_file_that_is_not_there_looks_for_no_guest(
    zthook: Zthook, places: Places
) -> None:
    code, _, err = zthook("validate", str(places.state / "web1.xml"))
    assert code == 1
    assert f"there is no file {places.state}/web1.xml" in err


def test_validate_names_each_problem_with_its_line(zthook: Zthook, places: Places) -> None:
    path = places.config.parent / "web1.xml"
    path.write_text(
        '<publish xmlns="urn:zthook:1">\n'
        '  <address public="203.0.113.999"/>\n'
        '  <address public="203.0.113.11" mode="magic"/>\n'
        "</publish>\n"
    )
    code, out, _ = zthook("validate", str(path))
    assert code == 1
    first, second = out.splitlines()
    assert first.startswith(f"{path}:2: ")
    assert second.startswith(f"{path}:3: ")


def test_validate_of_a_right_file_needs_neither_libvirt_nor_agent(
    zthook: Zthook, places: Places
) -> None:
    path = places.config.parent / "web1.xml"
    path.write_text(
        '<publish xmlns="urn:zthook:1">\n<address public="2001:db8::10" mode="routed"/></publish>'
    )
    code, out, err = zthook("validate", str(path))
    assert (code, out, err) == (0, f"{path}: line 2: 2001:db8::10 is fine\n", "")
