"""A host that claims, run by ``bench.claims`` in the host's namespace.

``python -m bench.claiming CREDENTIAL NUMBER ROUNDS`` times ROUNDS times a request that changes
nothing, one that claims the address of that number, and one that gives it back, from request to
answer; prints the seconds as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from bench.stored import FIRST_PRIVATE, FIRST_PUBLIC
from zthook.host.credential import load_credential
from zthook.host.edge_client import EdgeClient
from zthook.model.clock import SystemClock
from zthook.wire.messages import ClaimMessage, ClaimsReply

WARM_UP = 5


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


async def cycle(client: EdgeClient, number: int, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"nothing": [], "claim": [], "withdraw": []}

    async def timed(what: str, request: Callable[[], Awaitable[object]]) -> object:
        begun = time.perf_counter()
        answer = await request()
        seconds[what].append(time.perf_counter() - begun)
        return answer

    for _ in range(rounds + WARM_UP):
        await timed("nothing", client.heartbeat)
        reply = await timed("claim", lambda: client.reserve([claim(number)]))
        assert isinstance(reply, ClaimsReply)
        expect_active(reply)
        await timed("withdraw", lambda: client.list_claims(list))
    return {what: some[WARM_UP:] for what, some in seconds.items()}


async def main(credential: str, number: int, rounds: int) -> None:
    client = EdgeClient(load_credential(Path(credential)), SystemClock())
    try:
        print(json.dumps(await cycle(client, number, rounds)))
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
