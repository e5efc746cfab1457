"""How zerotier-one's settings are changed and put back, at the stand-in and at a real one."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.kernel_host.inside import own_name
from tests.lab.namespace import Namespace
from tests.overlay.fake_zerotier import FakeZeroTier
from tests.overlay.real_zerotier import BINARY, QUIET, Node
from zthook.overlay.fast_redial import HostRedial
from zthook.overlay.own_settings import OwnSettings, restore
from zthook.overlay.zerotier_api import ZeroTierApi

T = TypeVar("T")
CONF = json.dumps({"settings": QUIET, "physical": {"10.0.0.0/8": {"blacklist": True}}})


class Subject:
    """A daemon that runs with CONF."""

    def __init__(
        self, home: Path, inside: Callable[[Callable[[], T]], T], restart: Callable[[], None]
    ) -> None:
        self.home = home
        self.inside = inside
        self.restart = restart

    def ask(self, question: Callable[[ZeroTierApi], T]) -> T:
        return self.inside(lambda: question(ZeroTierApi(self.home)))

    @property
    def file(self) -> str:
        return (self.home / "local.conf").read_text()


@pytest.fixture(
    params=[
        "fake",
        pytest.param(
            "real",
            marks=[
                pytest.mark.zerotier,
                pytest.mark.netns,
                pytest.mark.skipif(not BINARY, reason="$ZEROTIER_ONE names no binary"),
            ],
        ),
    ]
)
def subject(
    request: pytest.FixtureRequest, zerotier: FakeZeroTier, tmp_path: Path
) -> Iterator[Subject]:
    if request.param == "fake":
        (zerotier.home / "local.conf").write_text(CONF)
        zerotier.restart()
        yield Subject(zerotier.home, lambda call: call(), zerotier.restart)
        return
    namespace = Namespace.create(own_name("settings"))
    # As a machine has: with lo alone there is no address to have ports on.
    namespace.ip("link add eth0 type bridge", "link set eth0 up", "addr add 10.0.0.1/24 dev eth0")
    node = Node(namespace, tmp_path / "real", {})
    try:
        (node.home / "local.conf").write_text(CONF)
        node.start()
        yield Subject(node.home, node.inside, node.restart)
    finally:
        node.close()
        namespace.remove()


def test_a_key_is_replaced_and_all_else_stays(subject: Subject) -> None:
    before = json.loads(CONF)
    assert subject.ask(ZeroTierApi.local_conf) == before
    subject.ask(lambda api: api.write_settings({"policies": {"a": {"basePolicy": "broadcast"}}}))
    subject.ask(lambda api: api.write_settings({"policies": {"b": {}}, "primaryPort": None}))
    expected = before | {
        "settings": QUIET | {"policies": {"b": {}}, "primaryPort": None},
    }
    assert subject.ask(ZeroTierApi.local_conf) == expected
    assert json.loads(subject.file) == expected


def test_the_second_port_goes_with_a_restart_and_comes_back_with_the_next(
    subject: Subject, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    host = HostRedial(subject.home, journal)
    assert subject.inside(host.look).restart
    subject.restart()
    assert not subject.inside(host.look).restart
    assert subject.inside(lambda: restore(journal)) == subject.home
    assert subject.file == CONF
    subject.restart()
    assert subject.ask(ZeroTierApi.node).settings.secondary_port


def test_switched_off_it_is_as_if_nothing_had_been_set(subject: Subject, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    host = HostRedial(subject.home, journal)
    subject.inside(host.look)
    subject.inside(host.put_back)
    own = OwnSettings(subject.home, journal)
    subject.inside(own.read)
    assert {key: value for key, value in own.settings.items() if value is not None} == QUIET
    subject.restart()
    assert subject.ask(ZeroTierApi.node).settings.secondary_port
