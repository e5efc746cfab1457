"""What of a state makes a difference to what can follow: two with the same face are one.

Numbers count by their order alone, what only dates something not at all, and messages on
their way in no order, as each may arrive at any time.
"""

from collections.abc import Iterable
from typing import Any

from tests.faults.protocol import Host, Protocol, Sent
from zthook.store.rows import HostRow
from zthook.wire.messages import (
    ClaimMessage,
    ClaimsReply,
    ListRequest,
    MappingReply,
    SessionRequest,
)

Ranks = dict[int, int]


def face(state: Protocol) -> object:
    """Of the whole state."""
    epochs, looks = _epochs(state), _looks(state)
    rows = state.rows()
    places = _ranks(row.place for row in rows)
    return (
        tuple(sorted(state.where.items(), key=str)),
        tuple(state.may.values()),
        tuple(sorted((guest, looks[looked], host)
                     for guest, (looked, host) in state.latest.items())),
        looks[state.moved],
        tuple(
            sorted(
                (row.key, row.standing, row.private, places[row.place], epochs[row.epoch],
                 row.heir, row.after, row.leaving, row.then and row.then.leaving, row.reason)
                for row in rows
            )
        ),
        tuple(sorted(state.edge.kernel.sets.get("arriving", ()))),
        tuple(_of_host(state, host, epochs, looks) for host in state.hosts.values()),
    )  # fmt: skip


def _epochs(state: Protocol) -> Ranks:
    hosts = state.hosts.values()
    return _ranks(
        [
            *(row.epoch for row in state.rows()),
            *(one.epoch for host in hosts for one in host.answers.values()),
            *(one.epoch for sent in state.flight if not late(state, sent) for one in claims(sent)),
            *(one.epoch for host in hosts for one in _answers(host.answer)),
        ]
    )


def _looks(state: Protocol) -> Ranks:
    sent = [one.looked for one in state.flight if not late(state, one)]
    return _ranks([state.moved, *sent, *(looked for looked, _ in state.latest.values())])


def _of_host(state: Protocol, host: Host, epochs: Ranks, looks: Ranks) -> object:
    row = state.edge.ledger.host(host.name)
    assert isinstance(row, HostRow)
    mine = [sent for sent in state.flight if sent.host == host.name]
    lists = [one.request for one in mine
             if isinstance(one.request, ListRequest) and not late(state, one)]  # fmt: skip
    sessions = _ranks([row.session, host.session, *(one.session for one in lists)])
    sequences = _ranks([row.sequence, host.sequence, *(one.sequence for one in lists)])
    generation = state.edge.service._news.generation(host.name)
    answered = getattr(host.answer, "session", 0), getattr(host.answer, "moment", 0)
    on_its_way = {
        (sent.number == host.waiting, *_of_sent(state, sent, sessions, sequences, epochs, looks))
        for sent in mine
    }
    return (
        host.asleep, host.due, state.live(host.name), generation > host.generation,
        host.content() == host.said, frozenset(host.seen), frozenset(host.leaving),
        sessions[host.session], host.session == 0, sessions[row.session],
        state.counts(host.name, host.session), state.counts(host.name, answered[0]),
        sequences[host.sequence], sequences[row.sequence],
        row.instance == f"{host.name}-{host.instance}", row.digest == "",
        host.waiting is not None,
        unheard(state, host.name, host.moment), unheard(state, host.name, answered[1]),
        _of_answer(host.answer, epochs, host.generation),
        tuple(sorted((guest, one.state, epochs[one.epoch])
                     for guest, one in host.answers.items())),
        frozenset(on_its_way),
    )  # fmt: skip


def _of_sent(
    state: Protocol,
    sent: Sent,
    sessions: Ranks,
    sequences: Ranks,
    epochs: Ranks,
    looks: Ranks,
) -> tuple[Any, ...]:
    """One list that is to be refused is as good as any other."""
    request = sent.request
    if isinstance(request, SessionRequest):
        return "session", request.instance
    if late(state, sent):
        return ("late",)
    said = tuple((one.guest, one.leaving, epochs[one.epoch]) for one in request.claims)
    number = sessions[request.session], sequences[request.sequence]
    return *number, said, looks[sent.looked], unheard(state, sent.host, request.heard)


def late(state: Protocol, sent: Sent) -> bool:
    """Whether it is a list that is to be refused."""
    row, request = state.edge.ledger.host(sent.host), sent.request
    assert row is not None
    if not isinstance(request, ListRequest):
        return False
    overtaken = (request.session, request.sequence) <= (row.session, row.sequence)
    return overtaken or not state.counts(sent.host, request.session)


def unheard(state: Protocol, name: str, heard: int) -> frozenset[str]:
    """Of which hosts in its group what they said last came after that, where guests move."""
    older = state.edge.service._looks.older_than(heard)
    if older is None or not state.moves or state.groups[name] is None:
        return frozenset()
    group = (one for one in state.groups if state.groups[one] == state.groups[name])
    return frozenset(one for one in group if one != name and older(one))


def claims(sent: Sent) -> list[ClaimMessage]:
    """What a message claims."""
    return sent.request.claims if isinstance(sent.request, ListRequest) else []


def _answers(answer: object) -> list[MappingReply]:
    return answer.mappings if isinstance(answer, ClaimsReply) else []


def _of_answer(answer: object, epochs: Ranks, generation: int) -> Any:
    if isinstance(answer, ClaimsReply):
        told = tuple((one.guest, one.state, epochs[one.epoch]) for one in answer.mappings)
        return "claims", told, answer.generation > generation
    return type(answer).__name__


def _ranks(numbers: Iterable[int]) -> Ranks:
    return {number: rank for rank, number in enumerate(sorted({0, *numbers}))}
