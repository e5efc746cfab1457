"""Where an address of a guest is, and what can be done there."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.host.making import (
    PRIVATE,
    PUBLIC,
    answer,
    guest,
    leased,
    mac,
    macvtap,
    on_bridge,
    on_network,
    view,
)
from zthook.host.addresses import Sightings
from zthook.host.answers import by_claim
from zthook.host.claims import desire
from zthook.host.desired import Desired
from zthook.host.planes import rules
from zthook.model.guests import Interface, NetworkKind
from zthook.model.mappings import Rewriter
from zthook.model.publication import AddressRequest, Client, Egress, Mode

ASKED = AddressRequest(PUBLIC)
SIX = AddressRequest(IPv6Address("2001:db8::10"))
KEEP, HIDE = Client.KEEP, Client.HIDE
ROUTED = replace(ASKED, mode=Mode.ROUTED)
OUT = replace(ASKED, egress=Egress.PUBLIC)
VIA = IPv4Address("192.168.193.2")
LAB, NAT, ROUTE = on_network(network="lab"), on_network(), on_network(network="dual")
NOWHERE = Interface(mac(1), NetworkKind.OTHER)


def placed(request: AddressRequest, *interfaces: Interface, **seen: object) -> Desired:
    [one] = desire(view(guest(1, request, interfaces=interfaces), **seen))  # type: ignore[arg-type]
    return one


@pytest.mark.parametrize(
    ("interface", "asked", "expected"),
    [
        (NAT, None, (KEEP, Rewriter.EDGE)),
        (NAT, KEEP, (KEEP, Rewriter.EDGE)),
        (NAT, HIDE, (HIDE, Rewriter.EDGE)),
        (ROUTE, None, (KEEP, Rewriter.EDGE)),
        (LAB, None, (HIDE, Rewriter.HOST)),
        (LAB, HIDE, (HIDE, Rewriter.HOST)),
        (on_bridge(), None, (HIDE, Rewriter.HOST)),
        (on_bridge(), HIDE, (HIDE, Rewriter.HOST)),
    ],
)
def test_the_client_is_kept_where_the_guests_default_route_leads_here(
    interface: Interface, asked: Client | None, expected: tuple[Client, Rewriter]
) -> None:
    one = placed(replace(ASKED, client=asked), interface)
    assert one.claim is not None
    assert (one.claim.client, one.claim.rewriter) == expected


NEEDS = "needs the guest's default route to go through this host, and "


@pytest.mark.parametrize(
    ("request_", "interface", "why"),
    [
        (
            replace(ASKED, client=KEEP),
            LAB,
            f"client=\"keep\" {NEEDS}network 'lab' (isolated) does not lead there; "
            'leave client out or say client="hide"',
        ),
        (
            replace(ASKED, client=KEEP),
            on_bridge(),
            f'client="keep" {NEEDS}bridge br0 does not lead there; '
            'leave client out or say client="hide"',
        ),
        (
            ROUTED,
            on_bridge(),
            f'mode="routed" {NEEDS}bridge br0 does not lead there; say mode="nat"',
        ),
        (
            OUT,
            LAB,
            f"egress=\"public\" {NEEDS}network 'lab' (isolated) does not lead there; "
            'leave egress out or say egress="home"',
        ),
        (
            ASKED,
            macvtap(),
            "a macvtap guest can not talk to its own host: it is reached only through another "
            "machine (via in host.toml); a bridge instead of macvtap works",
        ),
        (
            ASKED,
            NOWHERE,
            f"interface {mac(1)} hangs on no bridge or libvirt network: put it on one",
        ),
        (
            SIX,
            NAT,
            "network 'default' has no IPv6 prefix: give it one (virsh net-edit default), as in "
            "<ip family='ipv6' address='fd00:122::1' prefix='64'/>",
        ),
    ],
)
def test_what_can_not_work_is_refused_with_the_reason(
    request_: AddressRequest, interface: Interface, why: str
) -> None:
    one = placed(request_, interface, sightings=leased((1, str(PRIVATE))))
    assert (one.claim, one.refusal) == (None, why)


FIRST, SECOND = on_bridge(7), on_network(1)


@pytest.mark.parametrize(
    ("request_", "interfaces", "expected"),
    [
        # Whichever of them has it, the default route leads here.
        (ROUTED, (on_network(7, "dual"), SECOND), (KEEP, Rewriter.EDGE)),
        (ROUTED, (on_network(7, "lab"), SECOND), (KEEP, Rewriter.EDGE)),
        (ROUTED, (SECOND, FIRST), (KEEP, Rewriter.EDGE)),
        # The network of the first is not active: nothing is known of it.
        (ASKED, (on_network(7, "gone"), SECOND), (KEEP, Rewriter.EDGE)),
        # It leads elsewhere, unless the owner knows better.
        (ASKED, (FIRST, SECOND), (HIDE, Rewriter.HOST)),
        (replace(ASKED, client=KEEP), (FIRST, SECOND), (KEEP, Rewriter.EDGE)),
        (replace(OUT, client=KEEP), (FIRST, SECOND), (KEEP, Rewriter.EDGE)),
    ],
)
def test_a_second_interface_has_no_default_route(
    request_: AddressRequest,
    interfaces: tuple[Interface, ...],
    expected: tuple[Client, Rewriter],
) -> None:
    one = placed(replace(request_, interface=SECOND.mac), *interfaces)
    assert one.claim is not None, one.refusal
    assert (one.claim.client, one.claim.rewriter) == expected


@pytest.mark.parametrize("request_", [ROUTED, OUT])
def test_what_needs_it_is_refused_there(request_: AddressRequest) -> None:
    one = placed(replace(request_, interface=SECOND.mac), FIRST, SECOND)
    assert f"it goes by the guest's first interface, {mac(7)} on bridge br0; " in one.refusal
    assert one.refusal.endswith('or say client="keep" if the guest itself routes otherwise')


@pytest.mark.parametrize(
    "interface", [on_bridge(), macvtap(), ROUTE, on_network(network="default")]
)
def test_behind_a_lan_gateway_the_edge_rewrites_and_this_host_does_nothing(
    interface: Interface,
) -> None:
    one = placed(replace(ASKED, private=PRIVATE), interface, via=VIA)
    if interface.network == "default":
        assert one.refusal == (
            "network 'default' (nat) lets nobody in from a LAN gateway (via in host.toml): put "
            "the guest on a bridge to the LAN, or on a network with <forward mode='route'/>"
        )
        return
    assert one.claim is not None
    assert (one.claim.client, one.claim.rewriter) == (HIDE, Rewriter.EDGE)
    assert one.note == "by the LAN gateway 192.168.193.2; the edge hides clients"
    assert rules([one], {}) == frozenset()


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (replace(ASKED, client=KEEP), 'client="keep"'),
        (ROUTED, 'mode="routed"'),
        (OUT, 'egress="public"'),
    ],
)
def test_behind_a_lan_gateway_nothing_else_works(request_: AddressRequest, what: str) -> None:
    refusal = placed(request_, on_bridge(), via=VIA).refusal
    assert refusal.startswith(f"{what} can not work behind a LAN gateway (via in host.toml): ")


def test_what_the_gateway_lacks_is_said() -> None:
    asked = replace(ASKED, private=PRIVATE)
    one = placed(asked, on_bridge(), via=VIA, lacking={"br0": "it needs a route"})
    assert one.note == "it needs a route"


def test_who_can_not_be_seen_from_here_has_to_say_its_address() -> None:
    one = placed(ASKED, macvtap(), via=VIA)
    assert one.waits == (
        "for the guest's address, which this host can not see: give it as private="
    )


def test_a_host_without_an_address_on_the_bridge_can_not_hide_clients_behind_it() -> None:
    asked = replace(ASKED, private=PRIVATE)
    assert placed(asked, on_bridge()).note == (
        "this host has no IPv4 address on br0, behind which it could hide clients: give it one"
    )
    near = Sightings(on_link={"br0": (IPv4Network("192.168.122.0/24"),)})
    assert placed(asked, on_bridge(), sightings=near).note == ""


def test_of_several_interfaces_the_first_that_fits_is_taken() -> None:
    several = macvtap(7), on_network(1), on_bridge(8)
    one = placed(ASKED, *several, sightings=leased((1, str(PRIVATE))))
    assert one.claim is not None
    assert one.claim.private == PRIVATE


def test_the_first_with_ipv6_is_taken_for_an_ipv6_address() -> None:
    one = placed(SIX, on_network(1), on_network(2, "dual"))
    assert one.placement is not None
    assert one.placement.interface.mac == mac(2)
    assert one.waits == (
        "for the guest's IPv6 address: one that it makes of its MAC is found by itself, another "
        "once it speaks, or give it as private="
    )


def test_the_annotated_private_address_chooses_the_interface_of_its_network() -> None:
    asked = replace(ASKED, private=IPv4Address("10.9.0.7"))
    one = placed(asked, on_network(1), on_network(2, "lab"))
    assert one.placement is not None
    assert one.placement.interface.mac == mac(2)
    assert one.placement.interface.bridge == "virbr1"


def test_an_interface_named_by_its_mac_is_that_one() -> None:
    one = placed(replace(ASKED, interface=mac(8)), on_network(1), on_bridge(8))
    assert one.placement is not None
    assert one.placement.interface.kind is NetworkKind.BRIDGE


def test_an_unknown_mac_is_refused_with_those_there_are() -> None:
    one = placed(replace(ASKED, interface=mac(9)), on_network(1), on_bridge(8))
    assert one.refusal == (
        f"no interface has the MAC {mac(9)}; this guest's are {mac(1)}, {mac(8)}: take one of "
        "them, or leave interface out"
    )


def test_a_guest_without_interface_is_refused() -> None:
    assert placed(ASKED).refusal == (
        "guest 'web1' has no network interface: give it one on a libvirt network or a bridge"
    )


AUTO = AddressRequest(None, pool="hk")
CHOSEN = by_claim([answer(1, "auto/hk/0", public="2001:db8::10", private=None, state="pending")])


def test_the_family_is_that_of_the_address_that_the_edge_chose() -> None:
    seen = Sightings(neighbours={"virbr2": {IPv6Address("fd00:124::5"): mac(1)}})
    one = placed(AUTO, ROUTE, sightings=seen, answers=CHOSEN)
    assert one.claim is not None
    assert one.claim.private == IPv6Address("fd00:124::5")


def test_a_private_address_of_the_other_family_is_refused_then() -> None:
    one = placed(replace(AUTO, private=PRIVATE), ROUTE, answers=CHOSEN)
    assert one.refusal == (
        f"private address {PRIVATE} is not of the family of 2001:db8::10, which the edge chose: "
        "leave private out, or name another pool"
    )


def test_where_everybody_allowed_is_of_the_other_family_it_is_refused() -> None:
    allow = (IPv4Network("198.51.100.0/24"),)
    one = placed(replace(AUTO, allow=allow), ROUTE, answers=CHOSEN)
    assert one.refusal == (
        "every <allow> is of another family than 2001:db8::10, so that nobody could reach it: "
        "add one that is of its family"
    )


REQUESTS = st.builds(
    AddressRequest,
    public=st.sampled_from([PUBLIC, IPv6Address("2001:db8::10"), None]),
    mode=st.sampled_from(Mode),
    client=st.none() | st.sampled_from(Client),
    egress=st.sampled_from(Egress),
    interface=st.none() | st.integers(1, 3).map(mac),
)
INTERFACES = st.lists(
    st.sampled_from(["default", "lab", "dual", "gone", "br0", "macvtap", "nowhere"]), max_size=3
)


def interface(number: int, where: str) -> Interface:
    others = {
        "br0": on_bridge(number),
        "macvtap": macvtap(number),
        "nowhere": Interface(mac(number), NetworkKind.OTHER),
    }
    return others.get(where) or on_network(number, where)


@given(request_=REQUESTS, where=INTERFACES, via=st.none() | st.just(VIA))
def test_whatever_is_asked_for_is_refused_with_a_reason_or_can_work(
    request_: AddressRequest, where: list[str], via: IPv4Address | None
) -> None:
    interfaces = [interface(number, one) for number, one in enumerate(where, 1)]
    one = placed(request_, *interfaces, via=via)
    assert (one.claim is None) == bool(one.refusal)
    if one.claim is None or one.placement is None or not one.placement.known:
        return
    kind, claim = one.placement.interface.kind, one.claim
    assert request_.interface in {None, one.placement.interface.mac}
    if via is not None:
        assert (claim.client, claim.rewriter, claim.mode) == (HIDE, Rewriter.EDGE, Mode.NAT)
        assert claim.egress is Egress.HOME
        assert not one.placement.carried
        return
    assert claim.client is (request_.client or claim.client)
    if claim.mode is Mode.ROUTED or claim.egress is Egress.PUBLIC or claim.client is KEEP:
        assert kind.routed_by_host
    if not kind.routed_by_host:
        assert (claim.client, claim.rewriter) == (HIDE, Rewriter.HOST)
    assert kind is not NetworkKind.MACVTAP
