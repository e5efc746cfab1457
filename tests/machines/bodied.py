"""A guest for a machine that is emulated itself: its processor halts, and a namespace beside it
answers in its place, with its MAC, as in tests/lab/stand_in.py.
"""

from pathlib import Path

from tests.lab.domain import Domain, Interface, annotation

NAME = "web1"
PUBLIC, PRIVATE, GATEWAY = "203.0.113.10", "192.168.122.50", "192.168.122.1"
MAC = "52:54:00:7a:00:50"
BODY = """
while ! ip link show virbr0; do sleep 0.2; done
ip netns add body
ip link add body0 type veth peer name eth0 netns body address {mac}
ip link set body0 address fe{port} master virbr0 up
ip -n body link set lo up
ip -n body link set eth0 up
ip -n body addr add {private}/24 dev eth0
ip -n body route add default via {gateway}
systemd-run --quiet --unit=body ip netns exec body python3 {service} {name}
"""


def guest(firmware: str) -> Domain:
    """It claims PUBLIC. ``firmware`` is where the machine has what ``halting_firmware`` makes."""
    return Domain(
        name=NAME,
        uuid="6c9f1ab2-5a0c-4c3e-9d0e-000000000050",
        interfaces=(Interface(MAC),),
        console=Path("/tmp/web1.console"),
        firmware=Path(firmware),
        annotation=annotation(PUBLIC, private=PRIVATE),
    )


def body(service: str) -> str:
    """What a root shell has to do after each boot; ``service`` is tests/lab/service.py there."""
    return BODY.format(
        mac=MAC, port=MAC[2:], private=PRIVATE, gateway=GATEWAY, service=service, name=NAME
    )
