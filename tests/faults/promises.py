"""What the protocol of holders, leases and epochs promises, of one step and in the end."""

from tests.faults.protocol import PUBLIC, Action, Host, Protocol
from tests.faults.soundness import assert_one_holder
from zthook.errors import TwoAgents
from zthook.store.rows import OCCUPYING, ClaimRow, Standing
from zthook.wire.messages import ListRequest

ROUNDS = 12
"""Of messages after which all has come to rest."""


def check(before: Protocol, action: Action, after: Protocol) -> None:
    """Of one step."""
    if before.reaches_the_edge(action):
        _decides_rightly(before, after)
    if action[0].startswith("arrives"):
        _late_changes_nothing(before, action, after)
        _takes_only_its_own(before, action, after)
        _older_look_takes_nothing(before, action, after)
    for host in after.hosts.values():
        _believes_nothing_old(after, host)
        assert not isinstance(host.answer, TwoAgents), f"{host.name} is told of another agent"


def _decides_rightly(before: Protocol, after: Protocol) -> None:
    assert_one_holder(after.rows())
    _kernel_is_right(after)
    old, new = before.holder(), after.holder()
    if new is not None and (old is None or (old.key, old.epoch) != (new.key, new.epoch)):
        assert new.epoch > _highest_epoch(before), "an old epoch"
        _nobody_waited_longer(before, after, old, new)


def _highest_epoch(state: Protocol) -> int:
    """Of all that were ever shown to anybody who is here."""
    shown = (one.epoch for host in state.hosts.values() for one in host.answers.values())
    return max([0, *(row.epoch for row in state.rows()), *shown])


def _late_changes_nothing(before: Protocol, action: Action, after: Protocol) -> None:
    """A list of another session, or that a later one overtook."""
    sent = before.flight[int(action[1])]
    host = before.edge.ledger.host(sent.host)
    if host is None or not isinstance(sent.request, ListRequest):
        return
    valid = (sent.request.session, sent.request.sequence) > (host.session, host.sequence)
    assert valid or before.rows() == after.rows(), "a late list changed something"


def _kernel_is_right(state: Protocol) -> None:
    reached = {
        str(public): str(private) for public, private in state.edge.kernel.mappings().items()
    }
    holder = state.holder()
    assert reached == ({PUBLIC: holder.private} if holder is not None else {})
    if holder is not None:
        host = state.edge.ledger.host(holder.host)
        assert host is not None
        (route,) = (one for one in state.edge.kernel.routes
                    if str(one.destination.network_address) == holder.private)  # fmt: skip
        assert str(route.via) == host.address, "by another host"


def _nobody_waited_longer(
    before: Protocol, after: Protocol, old: ClaimRow | None, new: ClaimRow
) -> None:
    """Unless it is the same guest's, who came from host to host."""
    stood = {row.key: row for row in before.rows()}
    was = stood.get(new.key)
    if was is None or was.heir or (old is not None and old.guest == new.guest):
        return
    for row in after.rows():
        other = stood.get(row.key)
        if (
            other is not None
            and row.standing is other.standing is Standing.WAITING
            and other.place < was.place
            and row.guest != new.guest
            and not row.leaving
            and before.live(row.host)
        ):
            raise AssertionError(f"{new.host} before {row.host}")


def _takes_only_its_own(before: Protocol, action: Action, after: Protocol) -> None:
    """A message takes nothing from another host, but for a guest that came from there."""
    sender = before.flight[int(action[1])].host
    old, new = before.holder(), after.holder()
    if old is None or old.host == sender or (new is not None and new.key == old.key):
        return
    assert new is not None, f"{sender} took the address from {old.host}, and nobody has it"
    gone = not before.live(old.host)
    group = before.groups[sender]
    moved = new.guest == old.guest and (
        old.leaving or (group is not None and group == before.groups[old.host])
    )
    assert gone or (new.host == sender and moved), f"{sender} took it from {old.host}"


def _older_look_takes_nothing(before: Protocol, action: Action, after: Protocol) -> None:
    """Who was told to run there by a later look keeps his address, though this says elsewhere."""
    sent = before.flight[int(action[1])]
    old, new = before.holder(), after.holder()
    if old is None or new is None or new.host != sent.host or old.host == new.host:
        return
    looked, host = before.latest.get(int(old.guest[-4:]), (-1, ""))
    same = old.guest == new.guest and host == old.host and not old.leaving
    older = same and before.live(host) and looked > sent.looked
    assert not older, f"{sent.host} took it from {host}, which looked later"


def _believes_nothing_old(state: Protocol, host: Host) -> None:
    """Who believes to have the address that was given away since hears of it, if he is awake."""
    row = state.edge.ledger.host(host.name)
    holder = state.holder()
    if host.asleep or host.waiting is not None or row is None or holder is None:
        return
    for guest, answer in host.answers.items():
        stale = answer.state == "active" and answer.epoch < holder.epoch
        if stale and guest in host.seen | host.leaving:
            news = host.session != row.session or state._news(host) or host.due
            assert news, f"{host.name} believes that its guest {guest} has it, and hears nothing"


def rest(state: Protocol) -> None:
    """Let all messages be lost, everybody wake and speak: then all is as it should be, and no
    time has to pass for any guest that runs.
    """
    state.flight.clear()
    state._kept = None
    for host in state.hosts.values():
        host.asleep = False
        state._gives_up(host)
    assert _quiet(state), "somebody has always more to say"
    state._departures_of_the_stopped_end()
    assert _quiet(state), "somebody has always more to say"
    amiss = _amiss(state)
    assert not amiss, f"never comes to rest: {amiss}"


def _quiet(state: Protocol) -> bool:
    """Whether within so many rounds nobody has anything more to say."""
    for _ in range(ROUNDS):
        spoke = [_speak(state, host) for host in list(state.hosts.values())]
        if not any(spoke):
            return True
    return False


def _speak(state: Protocol, host: Host) -> bool:
    """Whether it had anything to say; if so it said it and was answered."""
    name = host.name
    if host.session and not host.due and state._news(host):
        state._hears_of_news(name)
    if not state._to_say(host):
        return False
    state._sends(name)
    state._arrives(str(len(state.flight) - 1))
    state._reads(name)
    return True


def _amiss(state: Protocol) -> str:
    """Where a running guest has no answer, or no true one, or nobody has what one wants."""
    holder = state.holder()
    running = {(name, str(guest)) for guest, name in state.where.items() if name is not None}
    rows = state.rows()
    if {(row.host, row.guest[-1]) for row in rows} != running:
        return f"running are {running}, claimed is {rows}"
    if [row for row in rows if row.standing in OCCUPYING] != [holder] * bool(running):
        return f"running are {running}, {holder} has it"
    for name, guest in running:
        answer = state.hosts[name].answers[int(guest)]
        has = holder is not None and (holder.host, holder.guest[-1]) == (name, guest)
        if answer.state != ("active" if has else "conflict"):
            return f"{guest} on {name} is told {answer}"
    return ""
