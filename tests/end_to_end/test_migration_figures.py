"""What a live migration costs, each mode alone, for docs/performance.md; and other subnets."""

import pytest

from tests.end_to_end.conftest import enrol
from tests.end_to_end.mapped import boot, seen_by, wait_active
from tests.end_to_end.test_migration import (
    MODES,
    OUTS,
    OWN,
    bystander,
    guests,
    lab,
    migrate,
    pulses,
    web,
)
from tests.lab.commands import wait_until
from tests.lab.domain import address, publish
from tests.lab.guest import Guest
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.topology import CLIENT

pytestmark = [pytest.mark.lab, pytest.mark.long]

__all__ = ["bystander", "guests", "lab", "web"]

ROUNDS = 5
PUBLICS = {
    public: (name, mode) for name, modes in MODES.items() for public, mode in modes.items()
} | {public: (name, f"{name}, egress public") for name, public in OUTS.items()}


@pytest.mark.parametrize("kind", ["udp", "tcp", "download"])
@pytest.mark.parametrize("public", PUBLICS)
def test_figures(
    lab: Lab, bystander: Machine, guests: dict[str, Guest], public: str, kind: str
) -> None:
    name, mode = PUBLICS[public]
    for number in range(ROUNDS):
        with pulses(
            ("the guest's own pause", bystander, "icmp", OWN[name]),
            (f"{mode}: {kind}", lab.client, kind, public),
        ) as found:
            migrate(lab, guests[name])
        found.tell(f"{name} migrates, round {number + 1}")
        found.check()


def test_between_different_subnets_the_mapping_follows_the_new_address() -> None:
    """No connection can survive that."""
    nat, routed = "203.0.113.10", "203.0.113.11"
    with Lab() as lab:
        lab.edge.daemon.init()
        lab.edge.daemon.start()
        for host in lab.hosts.values():
            enrol(lab, host, "--group", "homes")
        asked = publish(address(nat), address(routed, mode="routed"))
        guest = lab["home1"].define_guest("mover", annotation=asked)
        boot(guest)
        wait_active(guest, nat, routed)
        old = guest.address
        there = lab["home2"]
        guest.migrate(there)
        # It still has its old address; by that it is told to ask for another, as with its lease's
        # end it would by itself.
        there.ip(f"addr add {lab['home1'].home.guests[1]}/24 dev virbr0")
        there.http(old, path="/dhcp", timeout=20)
        there.ip(f"addr del {lab['home1'].home.guests[1]}/24 dev virbr0")

        def privates() -> set[str]:
            return {row["private"] for row in there.agent.mappings("mover")}

        # Active it is with the old one too, for as long as it answers there.
        wait_until(lambda: old not in privates(), 40, lambda: f"{privates()} follow")
        wait_active(guest, nat, routed, deadline_seconds=40)
        [private] = privates()
        assert private.startswith("192.168.123.")
        for public in (nat, routed):
            assert seen_by("mover", lab.client, public) == CLIENT
