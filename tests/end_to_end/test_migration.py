"""A guest moves between hosts while it runs: its addresses move with it, and nothing breaks."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.end_to_end.capture import Capture
from tests.end_to_end.conftest import enrol, forget
from tests.end_to_end.mapped import boot, edge_mappings, seen_by, wait_active
from tests.end_to_end.seen import host_status
from tests.end_to_end.transfer import transfer
from tests.lab.commands import wait_until
from tests.lab.domain import Interface, address, annotation, publish
from tests.lab.guest import Guest
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.pulse import Beat, Pulse
from tests.lab.topology import CLIENT, EDGE_ON_OVERLAY, LINE_DEVICE

pytestmark = pytest.mark.lab

NAT, HIDDEN, ROUTED = "203.0.113.10", "203.0.113.11", "203.0.113.12"
OUT, OUT_ROUTED = "203.0.113.13", "203.0.113.14"
OF_WEB = {NAT: "nat keep", HIDDEN: "nat hide"}
MODES = {"web": OF_WEB, "routed": {ROUTED: "routed"}}
"""Two guests: a whole address in each mode at once leaves open which one a guest speaks from."""
OUTS = {"out": OUT, "out-routed": OUT_ROUTED}
OWN = {
    "web": "10.77.0.11",
    "routed": "10.77.0.14",
    "out": "10.77.0.12",
    "out-routed": "10.77.0.13",
}
"""Their second interfaces', by which nothing of zthook is between them and who asks."""
GAP_MS = 5000.0
"""The longest gap that still counts as one that connections survive; figures are printed. Without
a group the source hands over only once libvirt has told it that the guest is gone, and TCP then
waits for its next try."""
OWN_PAUSE = "the guest's own pause"


@pytest.fixture(
    scope="module",
    params=["in a group", pytest.param("without a group", marks=pytest.mark.long)],
)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Two homes with one subnet, and a network of their own that both share."""
    group = ("--group", "homes") if request.param == "in a group" else ()
    with Lab(same_guest_network=True) as lab:
        lab.edge.daemon.init({"hk": "203.0.113.10-203.0.113.20"})
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host, *group)
        lab.client.serve("internet")
        yield lab


@pytest.fixture(scope="module")
def bystander(lab: Lab) -> Machine:
    return lab.join_hosts()


@pytest.fixture(scope="module")
def guests(lab: Lab, bystander: Machine) -> dict[str, Guest]:
    host = lab["home1"]
    routed, out = {"mode": "routed"}, {"egress": "public"}
    asked = {
        "web": publish(address(NAT), address(HIDDEN, client="hide")),
        "routed": annotation(ROUTED, **routed),
        "out": annotation(OUT, **out),
        "out-routed": annotation(OUT_ROUTED, **routed, **out),
    }
    made = [
        host.define_guest(
            name,
            annotation=annotation_,
            second=Interface(f"52:54:00:77:00:{number:02x}", "shared0", "bridge"),
            second_address=f"{OWN[name]}/24",
        )
        for number, (name, annotation_) in enumerate(asked.items(), 0x11)
    ]
    boot(*made)
    return {guest.name: guest for guest in made}


@pytest.fixture
def web(guests: dict[str, Guest]) -> Guest:
    wait_active(guests["web"], *OF_WEB)
    return guests["web"]


@pytest.fixture(params=MODES)
def mover(request: pytest.FixtureRequest, guests: dict[str, Guest]) -> Guest:
    wait_active(guests[request.param], *MODES[request.param])
    return guests[request.param]


def other(lab: Lab, guest: Guest) -> Host:
    """The host that it is not on."""
    [there] = [host for host in lab.hosts.values() if host is not guest.host]
    return there


@dataclass
class Found:
    """What pulses found: by what they are called."""

    beats: dict[str, Beat]

    def tell(self, what: str) -> None:
        """Print it (pytest shows it with -s)."""
        print(f"\n  {what}:")
        for name, beat in self.beats.items():
            print(f"    {name:<28} gap {beat.gap_ms:7.1f} ms, lost {beat.lost:3} of {beat.sent}")

    def check(self) -> None:
        """Nothing broke, and nobody was away for long."""
        assert {name: beat.broke for name, beat in self.beats.items() if beat.broke} == {}
        assert {n: b for n, b in self.beats.items() if b.gap_ms > GAP_MS} == {}


@contextmanager
def pulses(*asked: tuple[str, Machine, str, str]) -> Iterator[Found]:
    """Pulses run while inside, and are asked at its end: (what, machine, kind, address)."""
    found = Found({})
    with ExitStack() as stack:
        running = {
            what: stack.enter_context(Pulse(machine, kind, address_))
            for what, machine, kind, address_ in asked
        }
        for pulse in running.values():
            pulse.wait_moves()
        yield found
        for pulse in running.values():
            pulse.wait_moves(deadline_seconds=40)
        found.beats.update({what: pulse.stop() for what, pulse in running.items()})


def migrate(lab: Lab, guest: Guest, *options: str) -> None:
    """It moves to the other host, and its addresses are there."""
    there, publics = other(lab, guest), [row["public"] for row in mappings(guest)]
    guest.migrate(there, *options)
    wait_active(guest, *publics)
    # For a moment its source still says that it has the guest too.
    wait_until(
        lambda: {where(row) for row in edge_mappings(lab, *publics)} == {(there.name, "active")},
        10,
        lambda: f"{guest.name} is at {there.name} alone: {edge_mappings(lab, *publics)}",
    )


def where(row: dict[str, str]) -> tuple[str, str]:
    return row["host"], row["state"]


def mappings(guest: Guest) -> list[dict[str, str]]:
    host = guest.host
    assert isinstance(host, Host)
    return host.agent.mappings(guest.uuid)


def answering_everywhere(lab: Lab, guest: Guest) -> None:
    """Each of its addresses leads to it, as before."""
    for public, mode in MODES[guest.name].items():
        saw = seen_by(guest.name, lab.client, public)
        assert saw == (EDGE_ON_OVERLAY if mode == "nat hide" else CLIENT)


# It moves.


def test_connections_survive_there_and_back(lab: Lab, bystander: Machine, mover: Guest) -> None:
    modes, client = MODES[mover.name].items(), lab.client
    for way in ("there", "and back"):
        with (
            Capture(other(lab, mover), LINE_DEVICE) as line,
            pulses(
                (OWN_PAUSE, bystander, "icmp", OWN[mover.name]),
                *((f"{mode}: TCP, both send", client, "tcp", one) for one, mode in modes),
                *((f"{mode}: TCP, guest sends", client, "download", one) for one, mode in modes),
            ) as found,
        ):
            migrate(lab, mover)
        found.tell(f"{mover.name} migrates {way}")
        found.check()
        strays = [one for one in line.packets if one.destination == CLIENT]
        assert strays == [], "who gets these ends the connection"
        answering_everywhere(lab, mover)


@pytest.mark.long
def test_datagrams_are_lost_for_hardly_longer_than_the_guest_pauses(
    lab: Lab, bystander: Machine, mover: Guest
) -> None:
    modes = MODES[mover.name].items()
    with pulses(
        (OWN_PAUSE, bystander, "icmp", OWN[mover.name]),
        *((f"{mode}: UDP", lab.client, "udp", public) for public, mode in modes),
        *((f"{mode}: ping", lab.client, "icmp", public) for public, mode in modes),
    ) as found:
        migrate(lab, mover)
    found.tell(f"{mover.name} migrates")
    found.check()


@pytest.mark.long
def test_files_on_their_way_arrive_whole(lab: Lab, mover: Guest) -> None:
    public = next(iter(MODES[mover.name]))
    with ExitStack() as stack:
        files = [
            stack.enter_context(transfer(lab.client, verb, public, 12_000_000, 1_500_000))
            for verb in ("get", "put")
        ]
        for file in files:
            file.wait_moves(1_000_000)
        migrate(lab, mover)
        assert [file.stop() for file in files] == [12_000_000] * 2


@pytest.mark.long  # 20 s of CPU each
@pytest.mark.parametrize(("name", "public"), OUTS.items())
def test_what_the_guest_began_by_its_public_address_survives(
    lab: Lab, bystander: Machine, guests: dict[str, Guest], name: str, public: str
) -> None:
    guest = guests[name]
    wait_active(guest, public)
    held = guest.hold(CLIENT)
    with pulses(
        (OWN_PAUSE, bystander, "icmp", OWN[name]),
        ("TCP, both send", lab.client, "tcp", public),
        ("TCP, guest sends", lab.client, "download", public),
    ) as found:
        migrate(lab, guest)
    found.tell(f"{name} migrates")
    found.check()
    guest.wait_reachable()
    before, state = guest.held(held)
    assert state == "open"
    wait_until(lambda: guest.held(held)[0] > before + 20, 20, "its own connection goes on")
    assert guest.fetch(CLIENT).saw == guest.ask(CLIENT).saw == public
    assert guest.pings(CLIENT)


@pytest.mark.long
def test_at_home_what_the_guest_begins_leaves_by_the_new_hosts_line(lab: Lab, web: Guest) -> None:
    migrate(lab, web)
    web.wait_reachable()
    host = web.host
    assert isinstance(host, Host)
    assert web.fetch(CLIENT).saw == host.line.outer


# It does not.


@contextmanager
def under_way(guest: Guest, there: Host) -> Iterator[threading.Thread]:
    """A migration that takes its time is under way: the guest waits at its destination."""
    words = ("--bandwidth", "1")
    result: list[str] = []
    thread = threading.Thread(
        target=lambda: result.append(guest.migrate(there, *words, check=False))
    )
    thread.start()
    try:
        wait_until(
            lambda: guest.name in there.virsh("list", "--name", "--state-paused"),
            20,
            "it is awaited at its destination",
        )
        yield thread
    finally:
        thread.join(60)


def abort(guest: Guest, there: Host) -> None:
    guest.virsh("domjobabort")


def kill_there(guest: Guest, there: Host) -> None:
    pid = (there.place("/run/libvirt") / "qemu" / f"{guest.name}.pid").read_text()
    there.run("kill", "-9", pid.strip())


@pytest.mark.parametrize(
    "how",
    [abort, pytest.param(kill_there, marks=pytest.mark.long)],
    ids=["cancelled", "failed"],
)
def test_it_stays_with_its_addresses_where_it_is(lab: Lab, web: Guest, how: object) -> None:
    host, there = web.host, other(lab, web)
    before = [(row["public"], row["epoch"], row["host"]) for row in edge_mappings(lab, *OF_WEB)]
    with pulses(
        *((f"{mode}: TCP", lab.client, "tcp", public) for public, mode in OF_WEB.items())
    ) as found:
        with under_way(web, there) as migration:
            how(web, there)  # type: ignore[operator]
            migration.join(30)
            assert web.host is host
        wait_until(
            lambda: web.name not in there.virsh("list", "--name"), 20, "it is not awaited any more"
        )
    found.check()
    assert web.state() == "running"
    after = [(row["public"], row["epoch"], row["host"]) for row in edge_mappings(lab, *OF_WEB)]
    assert after == before
    answering_everywhere(lab, web)


# It sleeps in between, or is there twice.


@pytest.mark.long
def test_saved_on_one_host_and_restored_on_the_other_it_has_its_addresses(
    lab: Lab, web: Guest
) -> None:
    there, file = other(lab, web), str(lab.folder / "web.saved")
    web.virsh("save", file)
    wait_until(lambda: not edge_mappings(lab, *OF_WEB), 10, "it has none while it sleeps")
    web.host = there
    there.virsh("restore", file)
    wait_active(web, *OF_WEB, deadline_seconds=40)
    web.wait_reachable()
    answering_everywhere(lab, web)


@pytest.mark.long
def test_a_guest_that_runs_twice_is_named_as_the_fault_it_is(lab: Lab, web: Guest) -> None:
    there = other(lab, web)
    copy = there.stand_in("copy", uuid="11111111-2222-3333-4444-555555555555", annotation=COPIED)
    first = web.host
    assert isinstance(first, Host)
    original = first.stand_in("copy", uuid=copy.uuid, annotation=COPIED)
    try:
        boot(original)
        wait_active(original, CONTENDED)
        boot(copy)
        wait_until(
            lambda: any("twice" in fault or "both" in fault for fault in faults(lab)),
            60,
            lambda: f"it is named: {faults(lab)} {[mappings(original), mappings(copy)]}",
        )
        answering = lab.client.page(CONTENDED)
        assert answering.name == "copy"
        assert [row["state"] for row in edge_mappings(lab, CONTENDED)].count("active") == 1
    finally:
        forget(copy)
        forget(original)


CONTENDED = "203.0.113.20"
COPIED = annotation(CONTENDED)


def faults(lab: Lab) -> Sequence[str]:
    """What all statuses name, on hosts and edge."""
    found = [fault for host in lab.hosts.values() for fault in host_status(host)["faults"]]
    rows = [row for host in lab.hosts.values() for row in host.agent.mappings("copy")]
    found += [row["reason"] for row in rows]
    found += [str(host["fault"]) for host in lab.edge.daemon.asked("hosts")]
    return [fault for fault in found if fault]
