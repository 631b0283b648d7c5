"""How batches form while an accelerator waits for company: from one batch's end to the next start.

*With a time-out* the accelerator waits until it has as many as fit in a batch, or time is up.

*Full batches only*, several lines: so many wait of each line that its full batches leave a rest of
0 to B - 1 samples. The rests are what has come of each line, modulo B: whatever the accelerator
does, over time each is uniform and independent of the others. So where u samples wait and no batch
is full, every split of u into rests is as likely as any other, and with N(l, u) ways to split u
into l rests, the next to come fills a batch with the chance

    f(u) = N(L - 1, u - B + 1) / N(L, u).

Of n who wait in all, k batches are full with a weight of q^k N(L, n - k B), as if their number had
a geometric law with the load q as its factor. When nobody else has room and no batch is full, the
line whose turn it is starts with what it has: that is one more state, behind the largest number.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import inlined

__all__ = ["fill_counts", "gather_full", "split_rests", "wait_for_company"]

Floats = NDArray[np.float64]

LEAST_EXCESS = 1e-3
"""Excess of the dispersion over Poisson's below which counts are taken to be Poisson."""

MOST_LOAD = 0.95
"""Largest factor of the geometric law of full batches: beyond it buffers bound their number."""


@inlined
def fill_counts(counts: Floats, mean: float, excess: float, most: int) -> None:
    """Fill in the probabilities of 0..most arrivals.

    Args:
        counts: Where to [most + 1].
        mean: Mean number, >= 0.
        excess: Index of dispersion less 1, >= 0: Poisson's law if 0, else a negative binomial one.
        most: Largest number.
    """
    if excess < LEAST_EXCESS:
        counts[0] = math.exp(-mean)
        for number in range(most):
            counts[number + 1] = counts[number] * mean / (number + 1.0)
    else:
        shape, stays = mean / excess, excess / (1.0 + excess)
        counts[0] = math.exp(-shape * math.log1p(excess))
        for number in range(most):
            counts[number + 1] = counts[number] * stays * (number + shape) / (number + 1.0)


@inlined
def wait_for_company(given: Any, queue: int, work: Any, row: int, wait: float, full: int) -> None:
    """Wait until so many are there or time is up.

    Args:
        given: Accelerators.
        queue: Which of them.
        work: Scratch: ``present`` is the law of those present now, ``follows[row]`` becomes that of
            those present at the next start, and ``about[:, row]`` gains time and waiting.
        row: State that the batch before started in.
        wait: What is left of the time-out for those present [s].
        full: Number with which waiting ends.
    """
    rate, capacity = given.rate[queue], given.capacity[queue]
    follows, present = work.follows, work.present
    # Nobody waits: the next one to come is the first, and waits in full for others.
    idle = present[0]
    work.about[0, row] += idle / rate
    present[0] = 0.0
    for begun in range(2):
        delay = wait if begun == 0 else given.timeout[queue]
        fill_counts(work.company, rate * delay, 0.0, full)
        for number in range(1, capacity + 1):
            mass = present[number] if begun == 0 else (idle if number == 1 else 0.0)
            if mass <= 0.0:
                continue
            room = min(full, capacity) - number
            if room <= 0 or delay <= 0.0:
                follows[row, number] += mass
                continue
            left = 1.0
            for more in range(room):
                chance = work.company[more]
                left -= chance
                follows[row, number + more] += mass * chance
                work.about[0, row] += mass * max(left, 0.0) / rate
                work.about[2, row] += mass * max(left, 0.0) * (number + more) / rate
            follows[row, number + room] += mass * max(left, 0.0)


@inlined
def split_rests(lines: int, largest: int, load: float, most: int, work: Any) -> None:
    """Fill in the chances that rests of lines decide.

    Args:
        lines: Lines, >= 1.
        largest: Size of a full batch.
        load: Of the accelerator with full batches.
        most: Largest number that waits.
        work: Scratch: ``fills[u]`` becomes the chance that the next to come fills a batch where u
            wait and none is full, ``none[u]`` that none is full where u wait; ``ways`` is used.
    """
    ways, fills, none = work.ways, work.fills, work.none
    for number in range(most + 1):
        ways[0, number] = 0.0
    ways[0, 0] = 1.0
    for _ in range(lines):  # ways[1]: with one more line than ways[0]
        total = 0.0
        for number in range(most + 1):
            total += ways[0, number]
            if number >= largest:
                total -= ways[0, number - largest]
            ways[1, number] = total
        for number in range(most + 1):
            # Of the last line, ways[0] is what the others make.
            none[number] = ways[0, number]
            ways[0, number] = ways[1, number]
    factor = min(load, MOST_LOAD)
    for number in range(most + 1):
        before = number - largest + 1
        fills[number] = 1.0
        if ways[0, number] > 0.5:
            fills[number] = none[before] / ways[0, number] if before >= 0 else 0.0
    for number in range(most + 1):
        weight, total = 1.0, 0.0
        for rest in range(number, -1, -largest):
            total += weight * ways[0, rest]
            weight *= factor
        none[number] = ways[0, number] / total if total > 0.0 else 0.0


@inlined
def gather_full(given: Any, queue: int, work: Any, row: int, rest: int, single: bool) -> None:
    """Wait until some batch is full, or nobody else has room.

    Args:
        given: Accelerators.
        queue: Which of them.
        work: Scratch as in :func:`wait_for_company`; forced starts go to the state behind the
            capacity.
        row: State that the batch before started in.
        rest: Those that it left behind.
        single: Whether no other batch was full then.
    """
    rate, capacity = given.rate[queue], given.capacity[queue]
    follows, present = work.follows, work.present
    unready, waiting = 1.0 if single else work.none[rest], 0.0
    for number in range(rest, capacity + 1):
        follows[row, number] += present[number] * (1.0 - unready)
        waiting += present[number] * unready
        if number == capacity:
            follows[row, capacity + 1] += waiting
            break
        work.about[0, row] += waiting / rate
        work.about[2, row] += waiting * number / rate
        filled = work.fills[number]
        follows[row, number + 1] += waiting * filled
        waiting *= 1.0 - filled
        unready *= 1.0 - filled
