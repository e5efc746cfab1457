"""A host that claims, run by ``bench.claims`` in the host's namespace: prints seconds as JSON.

``python -m bench.claiming CREDENTIAL FILL_FROM FILL_TO ROUNDS``: claims the addresses
numbered FILL_FROM to FILL_TO in large requests, then ROUNDS more, each in a request of its
own, and times those from the request to the answer.
"""

import asyncio
import json
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

from zthook.host.credential import load_credential
from zthook.host.edge_client import EdgeClient
from zthook.model.clock import SystemClock
from zthook.wire.messages import ClaimMessage, ClaimsReply

FIRST_PUBLIC = IPv4Address("198.18.0.0")  # RFC 2544: for benchmarks
FIRST_PRIVATE = IPv4Address("10.0.0.1")
BATCH = 100


def claim(number: int) -> ClaimMessage:
    return ClaimMessage(
        guest=str(UUID(int=number + 1)),
        name=f"guest{number}",
        public=str(FIRST_PUBLIC + number),
        private=str(FIRST_PRIVATE + number),
    )


def expect_active(reply: ClaimsReply) -> None:
    wrong = [one for one in reply.mappings if one.state != "active"]
    if wrong:
        raise RuntimeError(f"{len(wrong)} claims are not active, the first: {wrong[0]}")


async def measure(credential: Path, first: int, last: int, rounds: int) -> list[float]:
    client = EdgeClient(load_credential(credential), SystemClock())
    try:
        for start in range(first, last, BATCH):
            numbers = range(start, min(start + BATCH, last))
            expect_active(await client.reserve([claim(number) for number in numbers]))
        seconds = []
        for number in range(last, last + rounds):
            begun = time.perf_counter()
            reply = await client.reserve([claim(number)])
            seconds.append(time.perf_counter() - begun)
            expect_active(reply)
        return seconds
    finally:
        await client.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), *map(int, sys.argv[2:5])))))
