"""Rates between looks at counters."""

from zthook.kernel.traffic import LONGEST_SECONDS, Sampling, Throughput, Traffic
from zthook.model.clock import ManualClock


def counted(came: int, went: int = 0) -> dict[str, Traffic]:
    return {"web1": Traffic(came, 1, went, 1)}


def test_the_first_look_has_no_rate_and_the_second_has() -> None:
    clock = ManualClock()
    sampling = Sampling[str](clock)
    assert sampling.rates(counted(1000)) == {}
    clock.advance(2)
    assert sampling.rates(counted(1500, 200)) == {"web1": Throughput(250.0, 100.0)}
    clock.advance(4)
    assert sampling.rates(counted(1500, 200)) == {"web1": Throughput(0.0, 0.0)}


def test_looks_in_quick_succession_count_from_the_same_one() -> None:
    clock = ManualClock()
    sampling = Sampling[str](clock)
    sampling.rates(counted(0))
    clock.advance(2)
    sampling.rates(counted(200))
    for _ in range(3):
        clock.advance(0.2)
        [rate] = sampling.rates(counted(1000)).values()
    assert round(rate.bytes_in, 6) == round(1000 / 2.6, 6)


def test_what_was_long_ago_says_nothing_of_now() -> None:
    clock = ManualClock()
    sampling = Sampling[str](clock)
    sampling.rates(counted(0))
    clock.advance(LONGEST_SECONDS + 1)
    assert sampling.rates(counted(5)) == {}
    clock.advance(1)
    assert sampling.rates(counted(6)) == {"web1": Throughput(1.0, 0.0)}


def test_a_counter_that_began_anew_has_no_rate() -> None:
    clock = ManualClock()
    sampling = Sampling[str](clock)
    sampling.rates(counted(100))
    clock.advance(1)
    assert sampling.rates({**counted(50), "new": Traffic()}) == {}
