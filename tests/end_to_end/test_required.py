"""required="yes": no start without the address, said by virsh with its reason; others always start.

Most guests here start paused: a real QEMU that libvirt started, which boots nothing.
"""

import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.conftest import forget
from tests.end_to_end.seen import Stopwatch, is_up
from tests.end_to_end.traces import edge_rows
from tests.lab.commands import wait_until
from tests.lab.domain import annotation
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.libvirtd import SYSTEM_PATH
from tests.lab.topology import CLIENT, OVERLAY_DEVICE

pytestmark = pytest.mark.lab

PUBLIC, OTHER, PLAIN = "203.0.113.10", "203.0.113.11", "203.0.113.12"
REQUIRED_SECONDS = 5.0
"""How long a hook waits for a reservation (design)."""
HOOK_SECONDS = 0.2
"""What an agent that is hung, dead or absent may cost a hook (design)."""
BUSY_SECONDS = 3.0
"""What libvirt and QEMU may take beside the hook on a machine that others use as well."""


@pytest.fixture(scope="module")
def host(two_homes: Lab) -> Host:
    return two_homes["home1"]


@pytest.fixture(scope="module")
def insisting(host: Host) -> Iterator[Guest]:
    """A guest that requires PUBLIC."""
    guest = host.define_guest("must1", annotation=annotation(PUBLIC, required="yes"))
    yield guest
    forget(guest)


@pytest.fixture(scope="module")
def easygoing(host: Host) -> Iterator[Guest]:
    """A guest that wants PLAIN, and starts without it."""
    guest = host.define_guest("may1", annotation=annotation(PLAIN))
    yield guest
    forget(guest)


def refused(guest: Guest) -> str:
    """What virsh says of a start that is refused; it must be."""
    watch = Stopwatch()
    done = guest.virsh("start", "--paused", check=False)
    watch.tell(f"{guest.name} refused after")
    assert done.returncode != 0, f"{guest.name} started"
    assert guest.state() == "shut off"
    print(done.stderr)
    assert watch.seconds < REQUIRED_SECONDS + BUSY_SECONDS
    return done.stderr


def starts(guest: Guest) -> None:
    """It starts, whatever the state of things; it is stopped again."""
    watch = Stopwatch()
    guest.virsh("start", "--paused")
    watch.tell(f"{guest.name} started after")
    assert guest.state() == "paused"
    guest.destroy()


# What keeps a required guest from starting.


@contextmanager
def edge_stopped(lab: Lab) -> Iterator[None]:
    lab.edge.daemon.stop()
    yield
    lab.edge.daemon.start()


@contextmanager
def edge_hung(lab: Lab) -> Iterator[None]:
    lab.edge.daemon.hang()
    yield
    lab.edge.daemon.resume()


@contextmanager
def overlay_away(lab: Lab) -> Iterator[None]:
    lab["home1"].ip(f"link set {OVERLAY_DEVICE} down")
    yield
    lab["home1"].ip(f"link set {OVERLAY_DEVICE} up")


@contextmanager
def agent_stopped(lab: Lab) -> Iterator[None]:
    lab["home1"].agent.stop()
    yield
    lab["home1"].agent.start()


@contextmanager
def agent_killed(lab: Lab) -> Iterator[None]:
    """Its socket stays behind."""
    lab["home1"].agent.kill()
    yield
    lab["home1"].agent.start()


@contextmanager
def agent_hung(lab: Lab) -> Iterator[None]:
    lab["home1"].agent.hang()
    yield
    lab["home1"].agent.resume()


@dataclass(frozen=True)
class Trouble:
    """A state of things, and what virsh then says of a required guest."""

    state: Callable[[Lab], AbstractContextManager[None]]
    reason: str


TROUBLES = [
    Trouble(edge_stopped, "the edge is not reached"),
    Trouble(overlay_away, "the edge is not reached"),
    Trouble(agent_stopped, "no agent answers"),
    pytest.param(Trouble(agent_killed, "no agent answers"), marks=pytest.mark.long),
    Trouble(agent_hung, "did not answer within 5 s"),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.state.__name__)
def test_without_a_reservation_only_a_required_guest_does_not_start(
    two_homes: Lab, host: Host, insisting: Guest, easygoing: Guest, trouble: Trouble
) -> None:
    with trouble.state(two_homes):
        said = refused(insisting)
        starts(easygoing)
    assert f"guest must1 may not start without {PUBLIC}" in said
    assert trouble.reason in said
    assert "virsh edit must1" in said, "what to do next"
    reachable_again(host)
    starts(insisting)
    nothing_held(two_homes)


def reachable_again(host: Host) -> None:
    """The agent holds a session with the edge."""
    wait_until(
        lambda: is_up(host, "edge"),
        30,
        lambda: f"the edge is reached; status says {host.agent('status', check=False).stdout}",
    )


def nothing_held(lab: Lab) -> None:
    wait_until(lambda: not edge_rows(lab), 10, lambda: f"nothing is held: {edge_rows(lab)}")


def test_an_address_that_another_hosts_guest_holds_keeps_it_from_starting_until_it_is_free(
    two_homes: Lab, host: Host, insisting: Guest
) -> None:
    holder = two_homes["home2"].define_guest("first1", annotation=annotation(PUBLIC))
    try:
        holder.virsh("start", "--paused")
        two_homes["home2"].agent.wait_state("first1", "pending")
        assert f"{PUBLIC} is held by guest first1 on home2" in refused(insisting)
        wait_until(
            lambda: [row["guest"] for row in edge_rows(two_homes)] == ["first1"],
            10,
            lambda: f"who was refused waits for nothing: {edge_rows(two_homes)}",
        )
        holder.destroy()
        nothing_held(two_homes)
        starts(insisting)
    finally:
        forget(holder)
    nothing_held(two_homes)


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (annotation("203.0.113.300", required="yes"), 'public="203.0.113.300" is not an address'),
        (annotation("203.0.113.99", required="yes"), "outside every pool of home1 (pools: hk)"),
        (annotation("2001:db8::10", required="yes"), "no IPv6 prefix"),
        (annotation(PUBLIC, required="yes", private="192.168.122.1"), "192.168.122.1 is"),
    ],
    ids=["wrong", "outside every pool", "no IPv6 here", "the host's own"],
)
def test_what_can_not_be_had_at_all_keeps_it_from_starting(
    two_homes: Lab, host: Host, element: str, reason: str
) -> None:
    guest = host.define_guest("must2", annotation=element)
    try:
        assert reason in refused(guest)
    finally:
        forget(guest)
    nothing_held(two_homes)


# What lets it start.


def test_reserved_it_starts_before_its_own_address_is_known_and_saved_it_comes_back(
    two_homes: Lab, host: Host, insisting: Guest
) -> None:
    insisting.start()
    [row] = edge_rows(two_homes)
    assert (row["guest"], row["private"], row["state"]) == ("must1", None, "pending")
    assert "waits for the guest's address" in row["reason"]
    insisting.wait_ready()
    host.agent.wait_state("must1", "active")
    assert two_homes.client.page(PUBLIC).saw == CLIENT
    insisting.virsh("managedsave")
    nothing_held(two_homes)
    with edge_stopped(two_homes):
        assert "the edge is not reached" in refused(insisting)
    reachable_again(host)
    insisting.virsh("start")
    host.agent.wait_state("must1", "active")
    insisting.wait_reachable()  # its own network takes seconds to be back
    assert two_homes.client.page(PUBLIC).saw == CLIENT
    insisting.destroy()
    nothing_held(two_homes)


def test_a_reservation_is_given_up_when_the_start_fails_afterwards(
    two_homes: Lab, host: Host
) -> None:
    guest = host.define_guest("must3", annotation=annotation(PUBLIC, required="yes"))
    try:
        host.run("virsh", "-q", "define", "/dev/stdin", stdin=with_bad_option(guest.domain.xml()))
        said = guest.virsh("start", check=False)
        print(said.stderr)
        assert "no-such-option" in said.stderr, "QEMU, not the hook, is what fails"
        assert "must3: may start, its addresses are reserved" in host.agent.process.log_text()
        nothing_held(two_homes)
    finally:
        forget(guest)


def with_bad_option(xml: str) -> str:
    """The definition with an option of which QEMU knows nothing."""
    namespace = "http://libvirt.org/schemas/domain/qemu/1.0"
    opened = xml.replace('<domain type="qemu">', f'<domain type="qemu" xmlns:qemu="{namespace}">')
    option = '<qemu:commandline><qemu:arg value="-no-such-option"/></qemu:commandline>'
    return opened.replace("</domain>", f"{option}</domain>")


def test_refused_when_its_host_started_it_starts_by_itself_once_the_edge_is_reached(
    two_homes: Lab, host: Host, insisting: Guest
) -> None:
    insisting.virsh("autostart")
    try:
        with edge_stopped(two_homes):
            host.libvirtd.stop()
            for kept in host.place("/run/libvirt").glob("**/autostarted"):
                kept.unlink()
            refused_before = refusals(host)
            host.libvirtd.start()
            wait_until(
                lambda: refusals(host) > refused_before,
                20,
                lambda: f"it is refused; the agent says:\n{host.agent.process.log_text()}",
            )
            assert insisting.state() == "shut off"
        watch = Stopwatch()
        insisting.wait_state("running", 60)
        watch.tell("started after the edge was back")
    finally:
        insisting.virsh("autostart", "--disable")
        insisting.destroy()
    nothing_held(two_homes)


def refusals(host: Host) -> int:
    return host.agent.process.log_text().count("must1: may not start")


# Many at once.

MANY = 8


@pytest.fixture(scope="module")
def crowd(two_homes: Lab, host: Host) -> Iterator[list[Guest]]:
    """Guests that require an address each."""
    two_homes.edge.daemon("edge", "pool", "add", "crowd=203.0.113.64/28")
    guests = [
        host.define_guest(
            f"crowd{number}", annotation=annotation(f"203.0.113.{64 + number}", required="yes")
        )
        for number in range(1, MANY + 1)
    ]
    yield guests
    for guest in guests:
        forget(guest)


@contextmanager
def starting(guests: list[Guest]) -> Iterator[list[Any]]:
    """`virsh start` of all of them at once, each in a process of its own."""
    with ThreadPoolExecutor(len(guests)) as pool:
        yield [
            pool.submit(guest.virsh, "start", "--paused", check=False, timeout=120)
            for guest in guests
        ]


def waiting_hooks(host: Host, guests: list[Guest]) -> int:
    """How many of these guests' hooks run now."""
    shown = host.run("ps", "-ww", "-eo", "args").stdout.splitlines()
    hooks = [line for line in shown if "qemu.d/zthook" in line and line.startswith("python3")]
    return sum(any(f" {guest.name} prepare" in line for line in hooks) for guest in guests)


def test_many_start_at_once_while_their_hooks_wait_and_libvirt_answers(
    two_homes: Lab, host: Host, crowd: list[Guest], easygoing: Guest
) -> None:
    two_homes.edge.daemon.hang()
    watch = Stopwatch()
    try:
        with starting(crowd) as started:
            wait_until(
                lambda: waiting_hooks(host, crowd) >= 4,
                20,
                lambda: f"hooks wait: {waiting_hooks(host, crowd)}",
            )
            assert host.agent("status", check=False).stdout
            two_homes.edge.daemon.resume()
            listed = host.virsh("list", "--all")
            watch.tell("virsh list answered after")
        watch.tell(f"{MANY} starts ended after")
    finally:
        two_homes.edge.daemon.resume()
    assert easygoing.name in listed
    failed = [done.result().stderr for done in started if done.result().returncode]
    assert not failed, failed
    held = {row["guest"] for row in edge_rows(two_homes)}
    assert held == {guest.name for guest in crowd}
    with ThreadPoolExecutor(len(crowd)) as pool:
        for done in [pool.submit(guest.destroy) for guest in crowd]:
            done.result()
    nothing_held(two_homes)


def test_many_are_refused_at_once_where_the_edge_does_not_answer_and_libvirt_answers(
    two_homes: Lab, host: Host, crowd: list[Guest], easygoing: Guest
) -> None:
    with edge_hung(two_homes):
        watch = Stopwatch()
        with starting(crowd) as started:
            wait_until(
                lambda: waiting_hooks(host, crowd) >= 4,
                20,
                lambda: f"hooks wait: {waiting_hooks(host, crowd)}",
            )
            starts(easygoing)
            assert easygoing.name in host.virsh("list", "--all")
            watch.tell("virsh list answered after")
        watch.tell(f"{MANY} starts ended after")
    said = [done.result().stderr for done in started]
    assert all("the edge is not reached" in text for text in said), said
    reachable_again(host)
    nothing_held(two_homes)


# What a hook costs where nobody answers.

TIMED = """
import json, subprocess, sys, time
xml = open(sys.argv[1], "rb").read()
took = []
for _ in range(int(sys.argv[2])):
    begun = time.perf_counter()
    done = subprocess.run(sys.argv[3:], input=xml, capture_output=True)
    took.append(time.perf_counter() - begun)
    assert (done.returncode, done.stdout) == (0, b""), done
print(json.dumps(took))
"""


def hook_seconds(host: Host, guest: Guest, operation: str, runs: int = 9) -> float:
    """The installed hook's time, called as libvirt does: the least, as others use the machine."""
    copy = host.folder / "copy.xml"
    copy.write_text(guest.virsh("dumpxml").stdout)
    hook = host.place("/etc/libvirt") / "hooks" / "qemu.d" / "zthook"
    call = (hook, guest.name, operation, "begin", "-")
    done = host.run(sys.executable, "-c", TIMED, copy, runs, *call, env={"PATH": SYSTEM_PATH})
    took: list[float] = json.loads(done.stdout)
    return min(took)


def test_an_agent_that_is_hung_dead_or_absent_costs_a_hook_at_most_200_ms(
    two_homes: Lab, host: Host, easygoing: Guest
) -> None:
    alone = {each: hook_seconds(host, easygoing, each) for each in ("prepare", "stopped")}
    print(f"\n  agent alive: {alone}")
    for state in (agent_hung, agent_killed, agent_stopped):
        with state(two_homes):
            found = {each: hook_seconds(host, easygoing, each) for each in alone}
            print(f"  {state.__name__}: {found}")
            assert all(found[each] - alone[each] <= HOOK_SECONDS for each in alone)
    reachable_again(host)
