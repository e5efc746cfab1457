"""How long a reservation lasts."""

from tests.host.making import domain, guest, uuid
from zthook.host.reservations import LASTS_SECONDS, Reservations
from zthook.model.clock import ManualClock
from zthook.model.guests import GuestState


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.reservations = Reservations(self.clock)
        self.reservations.add(domain(1))

    def settle(self, *states: GuestState) -> None:
        self.clock.advance(1)
        guests = [guest(1, state=state) for state in states]
        self.reservations.settle(guests, self.clock.boottime())

    @property
    def lasts(self) -> bool:
        return [one.uuid for one in self.reservations.domains] == [uuid(1)]


def test_until_the_guest_runs() -> None:
    world = World()
    world.settle()
    assert world.lasts
    world.settle(GuestState.RUNNING)
    assert not world.lasts


def test_not_for_a_guest_that_never_comes() -> None:
    world = World()
    world.clock.advance(LASTS_SECONDS)
    world.settle()
    assert not world.lasts


def test_however_long_its_start_takes() -> None:
    world = World()
    world.clock.advance(10 * LASTS_SECONDS)
    world.settle(GuestState.INCOMING)
    assert world.lasts
    world.settle(GuestState.PAUSED)
    assert not world.lasts


def test_a_listing_from_before_says_nothing() -> None:
    world = World()
    before = world.clock.boottime()
    world.reservations.settle([guest(1)], before)
    assert world.lasts
