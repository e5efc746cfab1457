"""A host that changes everything it claims as fast as the edge answers.

As a program on a machine that joined, `storm.py SEED`, it prints a JSON object before and after
each list that it sends: {"sent": {PUBLIC: PRIVATE, …}}, then {"heard": true}. It ends when the
edge does not answer.
"""

import asyncio
import json
import random
import sys
from uuid import UUID

from zthook.config.places import Places
from zthook.errors import ZthookError
from zthook.host.credential import load_credential
from zthook.host.edge_client import EdgeClient
from zthook.model.clock import SystemClock
from zthook.wire.messages import ClaimMessage

PUBLICS = [f"198.18.0.{number}" for number in range(1, 121)]


def claims_of(wanted: dict[str, str]) -> list[ClaimMessage]:
    """One guest for each public address, so that none is in another's way."""
    return [
        ClaimMessage(
            guest=str(UUID(int=PUBLICS.index(public) + 1)),
            name=f"storm{PUBLICS.index(public) + 1}",
            public=public,
            private=private,
        )
        for public, private in wanted.items()
    ]


def some(chance: random.Random) -> dict[str, str]:
    """About half of the addresses, each at one of two private ones of its own."""
    return {
        public: f"10.50.{chance.randrange(2)}.{number}"
        for number, public in enumerate(PUBLICS, 1)
        if chance.random() < 0.5
    }


def say(**words: object) -> None:
    """One line."""
    print(json.dumps(words), flush=True)


async def _main(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same storm again for the same seed
    client = EdgeClient(load_credential(Places.from_environment().credential), SystemClock())
    try:
        while True:
            wanted = some(chance)
            say(sent=wanted)
            await client.list_claims(lambda wanted=wanted: claims_of(wanted))
            say(heard=True)
    except ZthookError as error:
        say(ended=error.message)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
