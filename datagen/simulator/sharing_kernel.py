"""What happens at devices whose jobs change pace, in the event loop.

The jobs in service at a device lie in a heap by the virtual time at which they end; the heap is
made of slots, as waiting lines are, so that all devices share the room. Of each device the next end
is kept in real time, outside the heap of events: it moves whenever a job comes or goes.

Reference:
    Sleator and Tarjan, Self-adjusting heaps, SIAM Journal on Computing 15, 1986 (skew heaps).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.network import Network
from datagen.simulator.sharing import Sharing
from datagen.simulator.state_kernel import NONE, State, clip, finish_key, step_of
from datagen.simulator.tally import RunLength, Tally

__all__ = [
    "Sharers",
    "begin_sharing",
    "count_shared",
    "due_before",
    "end_first",
    "join_shared",
    "shares",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


_ENDLESS = 1 << 40
"""Servers of a device that serves everybody at once: more than there are ever jobs."""


class Sharers(NamedTuple):
    """What changes at devices whose jobs change pace.

    Args:
        sharing: How they share.
        present: Jobs in service [D].
        virtual: Virtual time at ``since`` [s] [D].
        since: When it was last looked at [s] [D].
        root: Slot of the job in service that ends first, or NONE [D].
        due: When it ends if nobody comes or goes; inf if there is none [s] [D].
        soonest: The device with the first of these ends, or NONE [1].
        tag: Virtual time at which the job in a slot ends [s] [N].
        left: First child of a slot in the heap of its device, or NONE [N].
        right: The other one [N].
    """

    sharing: Sharing
    present: Ints
    virtual: Floats
    since: Floats
    root: Ints
    due: Floats
    soonest: Ints
    tag: Floats
    left: Ints
    right: Ints


@inlined
def shares(device: int, shared: Sharers) -> bool:
    """Return whether the jobs of a device change pace."""
    return shared.sharing.shares[device]  # type: ignore[no-any-return]


@inlined
def _precedes(one: int, other: int, state: State, shared: Sharers) -> bool:
    """Return whether the job in a slot ends before that in another one of the same device."""
    mine, theirs = shared.tag[one], shared.tag[other]
    return bool(mine < theirs or (mine == theirs and state.identity[one] < state.identity[other]))


@inlined
def _melded(one: int, other: int, state: State, shared: Sharers) -> int:
    """Return the root of the jobs in two heaps."""
    if one == NONE:
        return other
    if other == NONE:
        return one
    if _precedes(unsigned(other), unsigned(one), state, shared):
        one, other = other, one
    left, right = shared.left, shared.right
    parent = unsigned(one)
    rest = right[parent]
    right[parent] = left[parent]
    while rest != NONE:
        if _precedes(unsigned(other), unsigned(rest), state, shared):
            rest, other = other, rest
        left[parent] = rest
        parent = unsigned(rest)
        rest = right[parent]
        right[parent] = left[parent]
    left[parent] = other
    return one


@inlined
def _pace(device: int, network: Network, shared: Sharers) -> float:
    """Return the relative speed of each job in service; there is at least one."""
    count = shared.present[device]
    if count <= network.servers[device]:
        return shared.sharing.pace[device, unsigned(count - 1)]  # type: ignore[no-any-return]
    return shared.sharing.together[device] / count  # type: ignore[no-any-return]


@inlined
def _pass_time(
    device: int, now: float, network: Network, run: RunLength, tally: Tally, shared: Sharers
) -> None:
    """Let virtual time and the servers' busy time go on to this moment."""
    count = shared.present[device]
    if count > 0:
        since = shared.since[device]
        shared.virtual[device] += (now - since) * _pace(device, network, shared)
        busy = min(count, network.servers[device])
        tally.busy[device] += (clip(now, run) - clip(since, run)) * busy
    shared.since[device] = now


@compiled
def join_shared(
    slot: int,
    identity: int,
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    shared: Sharers,
) -> None:
    """Let the service of a job begin."""
    _pass_time(device, now, network, run, tally, shared)
    shared.tag[slot] = shared.virtual[device] + state.service[slot, step_of(identity)]
    shared.left[slot] = NONE
    shared.right[slot] = NONE
    shared.root[device] = _melded(shared.root[device], signed(slot), state, shared)
    shared.present[device] += 1
    _set_due(device, now, network, state, shared)


@compiled
def end_first(
    device: int,
    now: float,
    network: Network,
    run: RunLength,
    state: State,
    tally: Tally,
    shared: Sharers,
) -> None:
    """Let the service that is due end."""
    _pass_time(device, now, network, run, tally, shared)
    first = unsigned(shared.root[device])
    shared.root[device] = _melded(shared.left[first], shared.right[first], state, shared)
    shared.present[device] -= 1
    # Exactly so, not as far as roundings got: who ends at the same virtual time ends now as well.
    # An empty device starts from zero, which keeps virtual times small, and so exact.
    shared.virtual[device] = shared.tag[first] if shared.present[device] > 0 else 0.0
    _set_due(device, now, network, state, shared)


@inlined
def _set_due(device: int, now: float, network: Network, state: State, shared: Sharers) -> None:
    """Set the next end of a service at a device, and find the device where one ends first."""
    if shared.present[device] > 0:
        left = shared.tag[unsigned(shared.root[device])] - shared.virtual[device]
        shared.due[device] = now + max(left, 0.0) / _pace(device, network, shared)
    else:
        shared.due[device] = np.inf
    if shared.soonest[0] != NONE and shared.soonest[0] != signed(device):
        if _is_due_before(device, unsigned(shared.soonest[0]), state, shared):
            shared.soonest[0] = signed(device)
        return
    soonest = NONE
    for member in shared.sharing.members:
        if shared.present[unsigned(member)] == 0:
            continue
        if soonest == NONE or _is_due_before(unsigned(member), unsigned(soonest), state, shared):
            soonest = member
    shared.soonest[0] = soonest


@inlined
def _is_due_before(one: int, other: int, state: State, shared: Sharers) -> bool:
    """Return whether a service ends at a device before one does at another, where some do."""
    mine, theirs = shared.due[one], shared.due[other]
    if mine != theirs or shared.present[one] == 0:
        return mine < theirs  # type: ignore[no-any-return]
    first, second = unsigned(shared.root[one]), unsigned(shared.root[other])
    return state.identity[first] < state.identity[second]  # type: ignore[no-any-return]


@inlined
def due_before(time: float, key: int, state: State, shared: Sharers) -> bool:
    """Return whether a service of a sharing device ends before an event of this time and key."""
    soonest = shared.soonest[0]
    if soonest == NONE:
        return False
    device = unsigned(soonest)
    due = shared.due[device]
    if due != time:
        return due < time  # type: ignore[no-any-return]
    return finish_key(state.identity[unsigned(shared.root[device])]) < key


@inlined
def begin_sharing(state: State, shared: Sharers) -> None:
    """Empty the devices for a run; who welcomes everybody never runs out of servers."""
    for member in shared.sharing.members:
        if shared.sharing.welcomes[unsigned(member)]:
            state.idle[unsigned(member)] = _ENDLESS
    shared.present[:] = 0
    shared.virtual[:] = 0.0
    shared.since[:] = 0.0
    shared.root[:] = NONE
    shared.due[:] = np.inf
    shared.soonest[0] = NONE


@inlined
def count_shared(network: Network, run: RunLength, tally: Tally, shared: Sharers) -> None:
    """Count the busy time of services that a run ends in the midst of."""
    for member in shared.sharing.members:
        _pass_time(unsigned(member), run.horizon, network, run, tally, shared)
