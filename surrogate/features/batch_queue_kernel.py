"""A queue in front of an accelerator, as far as a chain embedded at the starts of batches tells it.

All who share the accelerator wait in one queue. With n present a batch takes those of one line, up
to its largest size. What it lasts follows from the tables of the lines and the shares of their
samples that leave at each exit, on average over the lines. Those who come meanwhile are counted by
a negative binomial law, which is Poisson's where the arrivals are not overdispersed. How batches
form where the policy waits for company is told in :mod:`surrogate.features.forming_kernel`.

For one line without exits, Poisson arrivals and batches that start at once, or full ones only, this
is exact, and for the former equal to :func:`datagen.analytic.batch_service.greedy_batches`. Else it
is a prior: several lines do not take turns as regularly, and what preempting policies do inside of
a batch is left out.

The stationary law is found by the elimination of Grassmann, Taksar and Heyman, which subtracts
nothing.

References:
    Grassmann, Taksar and Heyman, Regenerative analysis and steady state distributions for Markov
    chains, Operations Research 33, 1985.
    Chaudhry and Templeton, A First Course in Bulk Queues, 1983, ch. 3 and 4.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import compiled, inlined
from surrogate.features.forming_kernel import (
    fill_counts,
    gather_full,
    split_rests,
    wait_for_company,
)

__all__ = ["MOST_JOBS", "Accelerators", "Said", "Scratch", "batch_queues"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_JOBS = 96
"""Largest number of jobs that is told apart: elimination costs its third power."""

LEAST_RETURN = 1e-13
"""Probability added that a queue is found empty: full batches never leave fewer jobs, and in
overload the chance of that is too small for a number, but elimination divides by it."""

SHORT = 1e-6
"""Relative time below which 1 - (1 - exp(-x)) / x is taken from its series."""

TINY = 1e-300
"""Keeps what never happens away from 0/0."""


class Accelerators(NamedTuple):
    """Q accelerators and the I parts of chains that visit them, by accelerator, line and depth.

    Args:
        rate: Samples that come per second [Q].
        capacity: Samples that it holds, at most MOST_JOBS [Q].
        max_batch: Largest batch [Q].
        full: Whether only full batches start [Q].
        timeout: Longest wait for company [s] [Q].
        compacts: Whether a batch pays for those only who are left [Q].
        excess: Long-run index of dispersion of the arrivals, less 1 [Q].
        memory: Rate at which their correlation fades [1/s] [Q].
        first_line: First line of each, and the total [Q + 1].
        share: Share of the accelerator's samples that are of the line [lines].
        first_part: First part of each line, and the total [lines + 1].
        leaving: Share of the line's samples that are of the part [I].
        table: Place of the part's times for batches of 1, 2, ... [I].
        seconds: Times from the start of the visit to the part's exit [s].
    """

    rate: Floats
    capacity: Ints
    max_batch: Ints
    full: NDArray[np.bool_]
    timeout: Floats
    compacts: NDArray[np.bool_]
    excess: Floats
    memory: Floats
    first_line: Ints
    share: Floats
    first_part: Ints
    leaving: Floats
    table: Ints
    seconds: Floats


class Said(NamedTuple):
    """What is found, by accelerator.

    Args:
        loss: Share of the samples that find no room [Q].
        wait: Mean time of the others until their batch starts [s] [Q].
        batch: Mean number of samples in a batch [Q].
        company: The same as the samples see it: large batches count for more [Q].
        with_line: The same of each line: of several, those with more samples have larger ones
            [lines].
        busy: Share of the time that it works [Q].
        length: Mean time of a batch as the samples see it [s] [Q].
        own: Time of each part from the start of its batch to its exit, in company [s] [I].
    """

    loss: Floats
    wait: Floats
    batch: Floats
    company: Floats
    with_line: Floats
    busy: Floats
    length: Floats
    own: Floats


class Scratch(NamedTuple):
    """Room to work in, J = MOST_JOBS; a state is the number present at a start, or J + 1.

    Args:
        follows: Law of the state at the next start, by that at this one [J + 2, J + 2].
        counts: Law of the number that come during a batch [J + 2].
        company: The same while waiting for company [J + 2].
        present: Law of the number present when a batch ends [J + 2].
        stationary: Law of the states [J + 2].
        seconds: Mean time of a batch, by its samples [J + 2].
        scv: SCV of that time [J + 2].
        taken: Samples that a batch takes, by state [J + 2].
        fills: Chance that the next to come fills a batch, by those who wait [J + 2].
        none: Chance that no batch is full, by those who wait [J + 2].
        ways: Ways to split those who wait into rests of lines [2, J + 2].
        about: Per state: time, lost, job-seconds of waiting [3, J + 2].
    """

    follows: Floats
    counts: Floats
    company: Floats
    present: Floats
    stationary: Floats
    seconds: Floats
    scv: Floats
    taken: Ints
    fills: Floats
    none: Floats
    ways: Floats
    about: Floats

    @classmethod
    def new(cls) -> Scratch:
        """Return room for any accelerator."""
        states = MOST_JOBS + 2
        return cls(
            follows=np.zeros((states, states)),
            **{
                name: np.zeros(states)
                for name in (
                    "counts",
                    "company",
                    "present",
                    "stationary",
                    "seconds",
                    "scv",
                    "fills",
                    "none",
                )
            },
            taken=np.zeros(states, dtype=np.int64),
            ways=np.zeros((2, states)),
            about=np.zeros((3, states)),
        )


@inlined
def _interpolated(seconds: Floats, first: int, size: float, largest: int) -> float:
    """Time of a batch of a real size."""
    below = min(max(int(size), 1), largest)
    above = min(below + 1, largest)
    low, high = seconds[first + below - 1], seconds[first + above - 1]
    return float(low + (high - low) * min(max(size - below, 0.0), 1.0))


@inlined
def _line_moments(given: Any, queue: int, line: int, size: float) -> tuple[float, float]:
    """Mean [s] and mean square [s^2] of the time of a batch until its last sample leaves."""
    mean, square, behind, reach = 0.0, 0.0, 0.0, 1.0
    largest, compacts = given.max_batch[queue], given.compacts[queue]
    for part in range(given.first_part[line], given.first_part[line + 1]):
        width, runs = size, 1.0
        if compacts:
            width = max(size * reach, 1.0)
        if reach < 1.0:
            runs = 1.0 - (1.0 - reach) ** size
        own = _interpolated(given.seconds, given.table[part], width, largest)
        if part > given.first_part[line]:
            own -= _interpolated(given.seconds, given.table[part - 1], width, largest)
        own = max(own, 0.0)
        mean += runs * own
        square += runs * own * (own + 2.0 * behind)  # who runs here ran all that is behind
        behind += own
        reach = max(reach - given.leaving[part], 0.0)
    return mean, square


@inlined
def _fill_seconds(given: Any, queue: int, work: Any, most: int) -> None:
    """Fill in the mean [s] and the SCV of the time of batches of any line, by their samples."""
    for samples in range(1, most + 1):
        mean = square = 0.0
        for line in range(given.first_line[queue], given.first_line[queue + 1]):
            own, own_square = _line_moments(given, queue, line, float(samples))
            mean += given.share[line] * own
            square += given.share[line] * own_square
        work.seconds[samples] = mean
        work.scv[samples] = max(square / max(mean * mean, TINY) - 1.0, 0.0)


@inlined
def _spend(given: Any, queue: int, line: int, size: float, own: Floats) -> float:
    """Fill in when the samples of each part leave a batch; return the mean [s]."""
    largest, compacts = given.max_batch[queue], given.compacts[queue]
    total, mean, reach = 0.0, 0.0, 1.0
    for part in range(given.first_part[line], given.first_part[line + 1]):
        width = max(size * reach, 1.0) if compacts else size
        more = _interpolated(given.seconds, given.table[part], width, largest)
        if part > given.first_part[line]:
            more -= _interpolated(given.seconds, given.table[part - 1], width, largest)
        total += max(more, 0.0)
        own[part] = total
        mean += given.leaving[part] * total
        reach = max(reach - given.leaving[part], 0.0)
    return mean


@inlined
def _taken(number: int, reach: float, largest: int) -> int:
    """Samples that a batch takes where so many are present."""
    return min(max(int(number * reach + 0.5), 1), min(number, largest))


@inlined
def _eliminate(follows: Floats, stationary: Floats, most: int) -> None:
    """Find the stationary law of states 1..most."""
    for state in range(2, most + 1):
        follows[state, 1] += LEAST_RETURN
    for state in range(most, 1, -1):
        total = 0.0
        for other in range(1, state):
            total += follows[state, other]
        for before in range(1, state):
            part = follows[before, state] / total
            if part > 0.0:
                follows[before, state] = part
                for other in range(1, state):
                    follows[before, other] += part * follows[state, other]
            else:
                follows[before, state] = 0.0
    stationary[1] = 1.0
    total = 1.0
    for state in range(2, most + 1):
        weight = 0.0
        for before in range(1, state):
            weight += stationary[before] * follows[before, state]
        stationary[state] = weight
        total += weight
    for state in range(1, most + 1):
        stationary[state] /= total


@inlined
def _play_batch(given: Any, queue: int, work: Any, state: int, number: int, held: float) -> None:
    """Say what happens in a batch that starts with so many present."""
    capacity, rate, samples = given.capacity[queue], given.rate[queue], work.taken[state]
    seconds = work.seconds[samples]
    # Long batches meet more of those who come: these wait for the mean rest of a random time.
    rest = 0.5 * seconds * (1.0 + work.scv[samples])
    # Those who leave before the end make room for those who come after.
    mean, room = rate * seconds, capacity - number + int(samples * (1.0 - held) + 0.5)
    for other in range(capacity + 1):
        work.present[other] = 0.0
    found, below, waiting = 0.0, 0.0, 0.0
    for came in range(room + 1):
        chance = work.counts[came]
        found += chance * came
        below += chance
        waiting += chance * came * rest
        work.present[number - samples + came] += chance
    beyond = max(1.0 - below, 0.0)
    if beyond > 0.0:  # of many who come, the first ones find room
        many = max((mean - found) / max(beyond, TINY), room + 1.0)
        waiting += beyond * 2.0 * rest * room * (1.0 - 0.5 * (room + 1.0) / (many + 1.0))
        work.present[number - samples + room] += beyond
    work.about[0, state] = seconds
    work.about[1, state] = max(mean - found - beyond * room, 0.0)
    work.about[2, state] = (number - samples) * seconds + waiting


@inlined
def _say(given: Any, queue: int, work: Any, said: Any, most: int) -> None:
    """Turn the law of states 1..most into measures."""
    seconds = lost = waiting = busy = samples = squares = own = 0.0
    for state in range(1, most + 1):
        chance, taken = work.stationary[state], work.taken[state]
        seconds += chance * work.about[0, state]
        lost += chance * work.about[1, state]
        waiting += chance * work.about[2, state]
        busy += chance * work.seconds[taken]
        samples += chance * taken
        squares += chance * taken * taken
        own += chance * taken * work.seconds[taken]
    coming = given.rate[queue] * seconds
    said.loss[queue] = min(max(lost / max(coming, TINY), 0.0), 1.0)
    said.wait[queue] = waiting / max(coming - lost, TINY)
    said.batch[queue] = samples
    said.company[queue] = squares / samples
    said.busy[queue] = busy / seconds
    said.length[queue] = own / samples


@inlined
def _excess_seen(given: Any, queue: int, seconds: float) -> float:
    """Return the excess dispersion of what comes while a full buffer is served."""
    turns = given.memory[queue] * seconds
    seen = 1.0 - (1.0 - math.exp(-turns)) / turns if turns > SHORT else 0.5 * turns
    return float(given.excess[queue] * seen)


@inlined
def _choose_sizes(given: Any, queue: int, work: Any, alike: float) -> int:
    """Fill in how many a batch takes from each state; return the number of states."""
    capacity, largest = given.capacity[queue], given.max_batch[queue]
    # The line whose turn it is has gathered for longest: of L alike, for as long as L batches,
    # the others for L - 1, ..., 1.
    reach = 2.0 / (1.0 + 1.0 / max(alike, TINY))
    full = given.full[queue]
    for number in range(1, capacity + 1):
        work.taken[number] = _taken(number, 1.0 if full else reach, largest)
    if not full:
        return int(capacity)
    work.taken[capacity + 1] = _taken(capacity, reach, largest)
    return int(capacity) + 1


@compiled
def batch_queues(given: Any, work: Any, said: Any) -> None:
    """Find the measures of accelerators.

    Args:
        given: :class:`Accelerators`.
        work: :class:`Scratch`.
        said: :class:`Said`, which is filled in.
    """
    for queue in range(len(given.rate)):
        capacity, largest = given.capacity[queue], given.max_batch[queue]
        first, last = given.first_line[queue], given.first_line[queue + 1]
        alike = 0.0
        for line in range(first, last):
            alike += given.share[line] ** 2
        states = _choose_sizes(given, queue, work, alike)
        most = min(largest, capacity)
        _fill_seconds(given, queue, work, most)
        excess = _excess_seen(given, queue, work.seconds[most] * capacity / most)
        held = 0.0
        for line in range(first, last):
            held += given.share[line] * _spend(given, queue, line, float(most), said.own)
        held = min(held / work.seconds[most], 1.0)
        if given.full[queue]:
            load = given.rate[queue] * work.seconds[most] / most
            split_rests(last - first, largest, load, capacity, work)
        before = 0
        for state in range(1, states + 1):
            number, samples = min(state, capacity), work.taken[state]
            if samples != before:
                mean = given.rate[queue] * work.seconds[samples]
                # Those who come in a random time scatter with it, too.
                fill_counts(work.counts, mean, excess + mean * work.scv[samples], capacity)
            before = samples
            _play_batch(given, queue, work, state, number, held)
            for other in range(states + 1):
                work.follows[state, other] = 0.0
            if given.full[queue]:
                gather_full(given, queue, work, state, number - samples, state > capacity)
            else:
                # Who came in the meantime has waited for half of it already.
                wait = max(given.timeout[queue] - 0.5 * work.seconds[samples], 0.0)
                wait_for_company(given, queue, work, state, wait, most)
        _eliminate(work.follows, work.stationary, states)
        _say(given, queue, work, said, states)
        for line in range(first, last):
            size = said.company[queue]
            if not given.full[queue]:
                # As many of a line gather between its batches as come of it.
                more = (size - 1.0) * given.share[line] / max(alike, TINY)
                size = min(1.0 + more, float(largest))
            said.with_line[line] = size
            _spend(given, queue, line, size, said.own)
