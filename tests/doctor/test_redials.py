"""What the doctor makes of redials."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from zthook.doctor.edge import redial as edge
from zthook.doctor.finding import Outcome
from zthook.doctor.host import redial as host
from zthook.doctor.redials import judge
from zthook.errors import DaemonUnreachable
from zthook.model.redial import Redial


@pytest.mark.parametrize(
    ("redial", "outcome", "said"),
    [
        (None, Outcome.OK, "the overlay is not ZeroTier's"),
        (Redial(wanted=False), Outcome.OK, "it is turned off"),
        (Redial(wanted=True), Outcome.OK, "one UDP port"),
        (Redial(wanted=True, hosts={"home1": "broadcast"}), Outcome.OK, "with 1 host"),
        (Redial(wanted=True, restart=True), Outcome.WARN, "waits for a restart"),
        (Redial(wanted=True, fault="it is away"), Outcome.WARN, "it is away"),
        (
            Redial(wanted=True, hosts={"home1": "broadcast", "home2": "active-backup"}),
            Outcome.WARN,
            "a redial of home2",
        ),
    ],
)
def test_what_is_told(redial: Redial | None, outcome: Outcome, said: str) -> None:
    found = judge(redial, "zthook status")
    assert (found.outcome, said in found.seen) == (outcome, True)


@pytest.mark.parametrize("module", [edge, host])
def test_it_is_the_daemon_that_tells(module: Any) -> None:
    heard: Any = SimpleNamespace(redial=Redial(wanted=False))
    assert module.check(cast("Any", SimpleNamespace(heard=heard))).outcome is Outcome.OK
    away = DaemonUnreachable("it does not run")
    with pytest.raises(DaemonUnreachable):
        module.check(cast("Any", SimpleNamespace(heard=away)))
