"""What has a secret in it does not show it, however it is printed."""

import pytest

from zthook.edge.admin_views import HostAdded
from zthook.edge.views import Invitation
from zthook.host.credential import Credential
from zthook.wire.messages import EnrolReply, EnrolRequest
from zthook.wire.token import Token

SECRET = "s3cret-that-nobody-sees"
ALL = [
    Token("edge", "ab" * 32, "192.168.193.1", 9443, SECRET),
    Credential("edge", "192.168.193.1", 9443, "home1", "PEM", SECRET),
    EnrolRequest(secret=SECRET, hostname="kvm1"),
    EnrolReply(host="home1", credential=SECRET),
    Invitation(host="home1", secret=SECRET, expires=1.0),
    HostAdded(host="home1", token=SECRET, expires=1.0, member=None),
]


@pytest.mark.parametrize("one", ALL, ids=[type(one).__name__ for one in ALL])
def test_it_is_in_no_form(one: object) -> None:
    for shown in (repr(one), str(one), f"{one}", "%r" % (one,), repr([one]), repr({"x": one})):  # noqa: UP031
        assert SECRET not in shown
    assert "home1" in repr(one) or "kvm1" in repr(one) or "9443" in repr(one)
