"""What libvirt's states mean to us, and what a guest's agent says."""

from ipaddress import ip_address
from typing import Any

import libvirt
import pytest

from zthook.errors import HypervisorUnavailable
from zthook.hypervisor import listing
from zthook.hypervisor.listing import guest_state, usable_addresses
from zthook.model.guests import GuestState

PAUSED = libvirt.VIR_DOMAIN_PAUSED
STATES = {
    "running": ((libvirt.VIR_DOMAIN_RUNNING, 1), GuestState.RUNNING),
    "blocked": ((libvirt.VIR_DOMAIN_BLOCKED, 0), GuestState.RUNNING),
    "shutting down": ((libvirt.VIR_DOMAIN_SHUTDOWN, 1), GuestState.RUNNING),
    "unknown": ((libvirt.VIR_DOMAIN_NOSTATE, 0), GuestState.RUNNING),
    "off": ((libvirt.VIR_DOMAIN_SHUTOFF, 1), None),
    "crashed": ((libvirt.VIR_DOMAIN_CRASHED, 0), GuestState.PAUSED),
    "asleep": ((libvirt.VIR_DOMAIN_PMSUSPENDED, 0), GuestState.PAUSED),
    "by its user": ((PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER), GuestState.PAUSED),
    "disk full": ((PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR), GuestState.PAUSED),
    "being saved": ((PAUSED, libvirt.VIR_DOMAIN_PAUSED_SAVE), GuestState.PAUSED),
    "starting": ((PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP), GuestState.STARTING),
    "runs elsewhere": ((PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY), GuestState.LEFT),
}


@pytest.mark.parametrize(("said", "meant"), STATES.values(), ids=STATES)
def test_states(said: tuple[int, int], meant: GuestState | None) -> None:
    assert guest_state(*said, leaving=lambda: pytest.fail("not asked")) is meant


def test_the_two_ends_of_a_migration() -> None:
    paused = (PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION)
    assert guest_state(*paused, leaving=lambda: True) is GuestState.PAUSED
    assert guest_state(*paused, leaving=lambda: False) is GuestState.INCOMING


def error_of(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("made up")
    error.err = (code, 10, "made up", 2, "", "", "", -1, -1)
    return error


class MadeUpDomain:
    """A domain that gives these answers, raising those that are errors."""

    def __init__(self, xml: Any, state: Any, job: Any = None) -> None:
        self._xml, self._state, self._job = xml, state, job

    @staticmethod
    def _say(answer: Any) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def name(self) -> str:
        return "web1"

    def XMLDesc(self, flags: int) -> Any:  # noqa: N802
        return self._say(self._xml)

    def state(self) -> Any:
        return self._say(self._state)

    def jobStats(self) -> Any:  # noqa: N802
        return self._say(self._job)


class MadeUpConnection:
    def __init__(self, *domains: MadeUpDomain) -> None:
        self._domains = domains

    def listAllDomains(self, flags: int) -> list[MadeUpDomain]:  # noqa: N802
        return list(self._domains)


XML = "<domain><name>web1</name><uuid>4dea22b3-1d52-48f3-a516-782e98ab3f01</uuid></domain>"
RUNNING = [libvirt.VIR_DOMAIN_RUNNING, 1]
GONE = error_of(libvirt.VIR_ERR_NO_DOMAIN)


@pytest.mark.parametrize(
    "gone",
    [
        MadeUpDomain(GONE, GONE),
        MadeUpDomain(XML, GONE),
        MadeUpDomain(XML, [libvirt.VIR_DOMAIN_SHUTOFF, 1]),
    ],
)
def test_a_guest_that_ends_while_it_is_looked_at_is_gone_and_hides_no_other(
    gone: MadeUpDomain,
) -> None:
    connection = MadeUpConnection(gone, MadeUpDomain(XML, RUNNING))
    assert [guest.domain.name for guest in listing.guests(connection)] == ["web1"]


def test_any_other_error_is_no_partial_list() -> None:
    broken = MadeUpDomain(error_of(libvirt.VIR_ERR_OPERATION_TIMEOUT), RUNNING)
    with pytest.raises(libvirt.libvirtError):
        listing.guests(MadeUpConnection(MadeUpDomain(XML, RUNNING), broken))


def test_xml_that_can_not_be_read_is_no_partial_list() -> None:
    wrong = MadeUpDomain("<domain>", RUNNING)
    with pytest.raises(HypervisorUnavailable, match="guest web1"):
        listing.guests(MadeUpConnection(MadeUpDomain(XML, RUNNING), wrong))


MIGRATING = [PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION]
OUT = {libvirt.VIR_DOMAIN_JOB_OPERATION: libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT}


@pytest.mark.parametrize(
    ("job", "state"),
    [
        (OUT, GuestState.PAUSED),
        ({}, GuestState.INCOMING),
        (error_of(libvirt.VIR_ERR_OPERATION_UNSUPPORTED), GuestState.INCOMING),
    ],
)
def test_the_source_of_a_migration_is_known_by_its_job(job: Any, state: GuestState) -> None:
    (guest,) = listing.guests(MadeUpConnection(MadeUpDomain(XML, MIGRATING, job)))
    assert guest.state is state


def test_of_what_a_guest_s_agent_says_only_the_usable_counts() -> None:
    def one(address: str) -> dict[str, Any]:
        return {"addr": address, "prefix": 24, "type": 0}

    said: dict[str, dict[str, Any]] = {
        "lo": {"hwaddr": "00:00:00:00:00:00", "addrs": [one("127.0.0.1"), one("::1")]},
        "eth0": {
            "hwaddr": "52:54:00:AA:00:01",
            "addrs": [one("192.168.122.50"), one("fe80::1"), one("fd00::50"), one("nonsense")],
        },
        "eth1": {"hwaddr": "52:54:00:aa:00:02", "addrs": None},
        "tun0": {"hwaddr": None, "addrs": [one("10.8.0.2")]},
    }
    assert usable_addresses(said) == [
        ("52:54:00:aa:00:01", ip_address("192.168.122.50")),
        ("52:54:00:aa:00:01", ip_address("fd00::50")),
    ]
