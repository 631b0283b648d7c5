"""The batching policies for the event loop: :mod:`datagen.npu.batch_policies` on arrays."""

from __future__ import annotations

import math

import numpy as np

from datagen.compiled import inlined
from datagen.npu.batch_policies import ROUNDING
from datagen.npu.batching import DEADLINE_FIRST, EXIT_AWARE, LAZY, SERIAL, STATIC
from datagen.simulator.accelerator_kernel import Accelerators, deadline_of
from datagen.simulator.index_kernel import signed, unsigned
from datagen.simulator.network import Network
from datagen.simulator.state_kernel import NONE, State

__all__ = ["alarm_time", "newcomers", "ready_line"]


@inlined
def _oldest(line: int, policy: int, state: State, accelerators: Accelerators) -> float:
    """Return when the first came of those who wait in a line."""
    slot = accelerators.line_head[line]
    oldest: float = state.entered[unsigned(slot)]
    if policy == DEADLINE_FIRST:
        while slot != NONE:
            oldest = min(oldest, state.entered[unsigned(slot)])
            slot = state.following[unsigned(slot)]
    return oldest


@inlined
def _is_ready(
    line: int, device: int, now: float, network: Network, state: State, accelerators: Accelerators
) -> bool:
    """Return whether a batch of those who wait in a line would start now."""
    batching = accelerators.batching
    policy = batching.policy[device]
    if policy == SERIAL or accelerators.line_size[line] >= batching.max_batch[device]:
        return True
    if policy == STATIC:
        return state.used[device] + batching.least_demand[device] > network.capacity[device]  # type: ignore[no-any-return]
    alarm = _oldest(line, policy, state, accelerators) + batching.timeout[device]
    return bool(now >= alarm)


@inlined
def ready_line(
    device: int, now: float, network: Network, state: State, accelerators: Accelerators
) -> int:
    """Return the line whose batch starts now, or NONE."""
    batching = accelerators.batching
    by_deadline = batching.policy[device] == DEADLINE_FIRST
    best, best_deadline, best_ticket = NONE, np.inf, 0
    for number in range(batching.line_device.size):
        line = unsigned(number)
        if batching.line_device[line] != signed(device) or accelerators.line_size[line] == 0:
            continue
        if not _is_ready(line, device, now, network, state, accelerators):
            continue
        head = unsigned(accelerators.line_head[line])
        deadline = deadline_of(head, network, state) if by_deadline else 0.0
        ticket = accelerators.ticket[head]
        earlier = deadline < best_deadline or (deadline == best_deadline and ticket < best_ticket)
        if best == NONE or earlier:
            best, best_deadline, best_ticket = number, deadline, ticket
    return best


@inlined
def alarm_time(device: int, state: State, accelerators: Accelerators) -> float:
    """Return when to look again although nobody comes; inf if never."""
    batching = accelerators.batching
    policy = batching.policy[device]
    earliest = np.inf
    if policy in (SERIAL, STATIC):
        return earliest
    for number in range(batching.line_device.size):
        line = unsigned(number)
        if batching.line_device[line] == signed(device) and accelerators.line_size[line] > 0:
            earliest = min(earliest, _oldest(line, policy, state, accelerators))
    return earliest + batching.timeout[device]  # type: ignore[no-any-return]


@inlined
def newcomers(
    device: int, now: float, network: Network, state: State, accelerators: Accelerators
) -> int:
    """Return how many who wait run ahead of the batch in hand; 0 for none."""
    policy = accelerators.batching.policy[device]
    if policy == LAZY:
        return _lazy_newcomers(device, now, network, state, accelerators)
    if policy == EXIT_AWARE:
        return _exit_aware_newcomers(device, now, network, state, accelerators)
    return 0


@inlined
def _earliest(slot: int, count: int, network: Network, state: State) -> float:
    """Return the earliest deadline of so many samples from a slot on."""
    earliest = np.inf
    for _ in range(count):
        earliest = min(earliest, deadline_of(unsigned(slot), network, state))
        slot = state.following[unsigned(slot)]
    return earliest


@inlined
def _lazy_newcomers(
    device: int, now: float, network: Network, state: State, accelerators: Accelerators
) -> int:
    batching, depth = accelerators.batching, accelerators.depth[device]
    line = unsigned(accelerators.line[device, unsigned(depth - 1)])
    room = batching.max_batch[device]
    for level in range(depth):
        room -= accelerators.size[device, unsigned(level)]
    wanted = min(accelerators.line_size[line], room)
    if wanted <= 0:
        return 0
    first = unsigned(batching.line_start[line])
    work, earliest = 0.0, np.inf
    for number in range(depth):
        level = unsigned(number)
        row = first + unsigned(accelerators.segment[device, level])
        size = accelerators.size[device, level]
        work += size * batching.rest[row, 0]
        head = accelerators.head[device, level]
        earliest = min(earliest, _earliest(head, size, network, state))
    work += wanted * batching.rest[first, 0]
    earliest = min(earliest, _earliest(accelerators.line_head[line], wanted, network, state))
    return wanted if now + work <= earliest else 0


@inlined
def _exit_aware_newcomers(
    device: int, now: float, network: Network, state: State, accelerators: Accelerators
) -> int:
    batching = accelerators.batching
    if accelerators.depth[device] > 1:
        return 0
    top = unsigned(0)
    size, line = accelerators.size[device, top], unsigned(accelerators.line[device, top])
    wanted = min(accelerators.line_size[line], batching.max_batch[device] - size)
    if wanted <= 0:
        return 0
    width = size if batching.compacts[device] else accelerators.width[device, top]
    if batching.expectant[device]:
        times = _expected_times(device, size, width, wanted, accelerators)
    else:
        first = unsigned(batching.line_start[line])
        row = first + unsigned(accelerators.segment[device, top])
        times = (
            batching.before[row, unsigned(wanted - 1)],
            batching.rest[row, unsigned(width - 1)],
            batching.rest[row, unsigned(size + wanted - 1)],
            batching.rest[first, unsigned(wanted - 1)],
        )
    up, rest, merged, full = times
    if now + up + merged > _earliest(accelerators.head[device, top], size, network, state):
        return 0
    delay = up + merged - rest
    return wanted if size * delay + wanted * (delay - full) < 0.0 else 0


@inlined
def _place(samples: float) -> int:
    """Return where the time of an expected number of samples stands in a row."""
    return unsigned(max(math.ceil(samples - ROUNDING), 1) - 1)


@inlined
def _expected_times(
    device: int, size: int, width: int, wanted: int, accelerators: Accelerators
) -> tuple[float, float, float, float]:
    batching, top = accelerators.batching, unsigned(0)
    line = unsigned(accelerators.line[device, top])
    first, stop = batching.line_start[line], batching.line_start[line + unsigned(1)]
    here = first + accelerators.segment[device, top]
    compacts = batching.compacts[device]
    reached = batching.reached
    come = wanted * reached[unsigned(here)]
    up, rest, merged, full = 0.0, 0.0, 0.0, 0.0
    for number in range(first, stop):
        row = unsigned(number)
        share = reached[row] if compacts else 1.0
        own = batching.seconds[row, _place(wanted * share)]
        full += own
        if number < here:
            up += own
            continue
        share = reached[row] / reached[unsigned(here)] if compacts else 1.0
        rest += batching.seconds[row, _place(width * share)]
        merged += batching.seconds[row, _place((size + come) * share)]
    return up, rest, merged, full
