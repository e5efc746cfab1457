"""Who answers for addresses on a device now: what the kernel believes may be long gone."""

import time
from collections.abc import Iterable

from zthook.kernel.near import answering_mac, probe
from zthook.model.addresses import IPAddress

ANSWER_SECONDS, LOOK_SECONDS = 1.5, 0.1
"""The kernel asks again after a second."""


def answering(places: Iterable[tuple[IPAddress, int]]) -> dict[IPAddress, str]:
    """Address → MAC of those that anybody answers for, by address and the device's index.

    As soon as there is one, else after a second and a half. Raises KernelError.
    """
    asked, found = list(places), dict[IPAddress, str]()
    deadline = time.monotonic() + ANSWER_SECONDS
    while asked and not found and time.monotonic() < deadline:
        for address, device in asked:
            # Each time: what the kernel has just given up asking for is asked for anew.
            probe(address, device)
        time.sleep(LOOK_SECONDS)
        macs = ((address, answering_mac(address, device)) for address, device in asked)
        found = {address: mac for address, mac in macs if mac}
    return found
