"""How accelerators form batches, and when they let newcomers overtake: the policies, to be read.

A *line* holds the samples of one model that pass the same segments of it on the accelerator; only
they share batches. Samples wait in their line until a batch takes them to its first segment. After
each segment some may leave; the others are the batch in hand, which goes on, or is *suspended* for
the newcomers of its line. Suspended batches lie on a stack; a batch in hand that has come as far as
the top of the stack merges with it. A batch that goes on after an interruption runs a segment
before it can be interrupted again, so that no batch stands still for ever.

The compiled loop has the same rules in :mod:`datagen.simulator.policy_kernel`, and must come to the
same decisions.

References:
    Kouris, Venieris, Laskaridis and Lane, Fluid batching: Exit-aware preemptive serving of
    early-exit neural networks on edge NPUs, 2022. Its inequality is not published; that of
    :class:`ExitAware` weighs mean latencies, with a test of the deadlines.
    Choi, Kim and Rhu, LazyBatching: An SLA-aware batching system for cloud machine learning
    inference, 2021.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from datagen.npu.batching import BATCH_POLICIES

__all__ = [
    "ROUNDING",
    "Batch",
    "BatchPolicy",
    "Line",
    "Sample",
    "Situation",
    "batch_policy",
]

ROUNDING = 1e-9
"""What an expected number of samples may exceed a whole one by and still be that one: products of
shares such as 0.7 are rounded."""


class Sample(Protocol):
    """A sample on the accelerator.

    Attributes:
        deadline: When it should have left the system [s]; inf if it has no deadline.
        entered: When it came to the accelerator [s].
        ticket: Its place among all that came there.
    """

    deadline: float
    entered: float
    ticket: int


@dataclass(kw_only=True, slots=True)
class Line:
    """A waiting line, and the times of the segments that its samples pass.

    Args:
        seconds: Time of each segment by batch size less one [s] [segments][sizes].
        before: Sum of the segments before each one [s] [segments][sizes].
        rest: Sum of the segments from each one on [s] [segments][sizes].
        reached: Share of the samples that reach each segment [segments].
        waiting: Samples in the order in which they will be taken.
    """

    seconds: Sequence[Sequence[float]]
    before: Sequence[Sequence[float]]
    rest: Sequence[Sequence[float]]
    reached: Sequence[float]
    waiting: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Samples of one line that are about to run, or running, the same segment.

    Args:
        line: Where they come from.
        samples: Who they are.
        segment: The segment, counted from 0.
        width: The batch size that is paid for.
    """

    line: Line
    samples: list[Sample]
    segment: int = 0
    width: int = 0


@dataclass(kw_only=True, slots=True)
class Situation:
    """What a policy sees of an accelerator that is not running.

    Args:
        lines: All lines.
        stack: Batches that were begun and not finished; the last is in hand, or goes on next.
        now: The time [s].
        max_batch: Largest batch.
        timeout: Longest wait for company [s].
        compacts: Whether a batch pays only for those who are left.
        is_full: Whether no sample could enter any more.
    """

    lines: Sequence[Line]
    stack: list[Batch]
    max_batch: int
    timeout: float
    compacts: bool
    now: float = 0.0
    is_full: bool = False


class BatchPolicy(ABC):
    """Decides for an accelerator that is not running."""

    def place(self, line: Line, sample: Sample) -> int:
        """Return at which place of a line a newcomer waits: by default at the end.

        Args:
            line: The line.
            sample: The newcomer.

        Returns:
            Samples before it.
        """
        return len(line.waiting)

    def rank(self, line: Line) -> tuple[float, ...]:
        """Return what lines are compared by; the least one is served first.

        Args:
            line: A line where somebody waits.

        Returns:
            Numbers, compared one after the other.
        """
        return (line.waiting[0].ticket,)

    @abstractmethod
    def is_ready(self, line: Line, situation: Situation) -> bool:
        """Return whether a batch of those who wait in a line would start now.

        Args:
            line: A line where somebody waits.
            situation: What is seen of the accelerator.

        Returns:
            Whether it would.
        """

    def alarm(self, situation: Situation) -> float | None:
        """Return when to look again although nobody comes.

        Args:
            situation: What is seen of the accelerator.

        Returns:
            Time [s], or None for not before somebody comes.
        """
        return None

    def newcomers(self, situation: Situation) -> int:
        """Return how many who wait run ahead of the batch in hand.

        Args:
            situation: What is seen of the accelerator, with a batch in hand.

        Returns:
            Samples from the batch's own line; 0 for none.
        """
        return 0


class Serial(BatchPolicy):
    """One sample after the other, each through all its segments."""

    def is_ready(self, line: Line, situation: Situation) -> bool:
        return True


class Static(BatchPolicy):
    """Full batches only, but for those who wait when nobody else could enter."""

    def is_ready(self, line: Line, situation: Situation) -> bool:
        return len(line.waiting) >= situation.max_batch or situation.is_full


class Dynamic(BatchPolicy):
    """Full batches, and smaller ones once a sample has waited for the time-out."""

    def is_ready(self, line: Line, situation: Situation) -> bool:
        full = len(line.waiting) >= situation.max_batch
        return full or situation.now >= self.oldest(line) + situation.timeout

    def oldest(self, line: Line) -> float:
        """Return when the first came of those who wait [s]."""
        return line.waiting[0].entered

    def alarm(self, situation: Situation) -> float | None:
        waiting = [self.oldest(line) for line in situation.lines if line.waiting]
        return min(waiting) + situation.timeout if waiting else None


class DeadlineFirst(Dynamic):
    """The same, but whose deadline is earliest goes first."""

    def place(self, line: Line, sample: Sample) -> int:
        place = 0
        while place < len(line.waiting) and line.waiting[place].deadline <= sample.deadline:
            place += 1
        return place

    def rank(self, line: Line) -> tuple[float, ...]:
        return line.waiting[0].deadline, line.waiting[0].ticket

    def oldest(self, line: Line) -> float:
        return min(sample.entered for sample in line.waiting)


class Lazy(Dynamic):
    """Newcomers catch up after any segment while all deadlines hold.

    The test is conservative: it takes every sample to need its time in a batch of one. All batches
    on the stack may merge, so together they never exceed the largest batch.
    """

    def newcomers(self, situation: Situation) -> int:
        line = situation.stack[-1].line
        room = situation.max_batch - sum(len(batch.samples) for batch in situation.stack)
        wanted = min(len(line.waiting), room)
        if wanted <= 0:
            return 0
        work = 0.0
        for batch in situation.stack:
            work += len(batch.samples) * line.rest[batch.segment][0]
        work += wanted * line.rest[0][0]
        everybody = [sample for batch in situation.stack for sample in batch.samples]
        earliest = min(sample.deadline for sample in everybody + line.waiting[:wanted])
        return wanted if situation.now + work <= earliest else 0


class ExitAware(Dynamic):
    """Newcomers catch up at an exit where that lowers the mean latency and no deadline breaks.

    B samples are in hand at segment e, and m newcomers would take ``up`` to come there. Then both
    need rest(B + m) instead of rest(B) and, for the newcomers, full(m) after it. Newcomers catch up
    if nobody is suspended, if now + up + rest(B + m) is within the deadlines of those in hand, and
    if the sum over all samples of what they gain is positive:

        B (up + rest(B + m) - rest(B)) + m (up + rest(B + m) - rest(B) - full(m)) < 0.
    """

    def newcomers(self, situation: Situation) -> int:
        batch = situation.stack[-1]
        line, size = batch.line, len(batch.samples)
        wanted = min(len(line.waiting), situation.max_batch - size)
        if len(situation.stack) > 1 or wanted <= 0:
            return 0
        up, rest, merged, full = self.times(batch, wanted, compacts=situation.compacts)
        earliest = min(sample.deadline for sample in batch.samples)
        if situation.now + up + merged > earliest:
            return 0
        delay = up + merged - rest
        return wanted if size * delay + wanted * (delay - full) < 0.0 else 0

    def times(self, batch: Batch, wanted: int, *, compacts: bool) -> tuple[float, ...]:
        """Return up, rest(B), rest(B + m) and full(m) if nobody leaves before the end [s]."""
        line, size, here = batch.line, len(batch.samples), batch.segment
        return (
            line.before[here][wanted - 1],
            line.rest[here][(size if compacts else batch.width) - 1],
            line.rest[here][size + wanted - 1],
            line.rest[0][wanted - 1],
        )


class ExpectantExitAware(ExitAware):
    """The same, with batches that shrink as exits say on average."""

    def times(self, batch: Batch, wanted: int, *, compacts: bool) -> tuple[float, ...]:
        line, size, here = batch.line, len(batch.samples), batch.segment
        width = size if compacts else batch.width
        up = rest = merged = full = 0.0
        come = wanted * line.reached[here]
        for segment, seconds in enumerate(line.seconds):
            share = line.reached[segment] if compacts else 1.0
            own = seconds[_whole(wanted * share) - 1]
            full += own
            if segment < here:
                up += own
                continue
            share = line.reached[segment] / line.reached[here] if compacts else 1.0
            rest += seconds[_whole(width * share) - 1]
            merged += seconds[_whole((size + come) * share) - 1]
        return up, rest, merged, full


def _whole(samples: float) -> int:
    """Return the batch size that an expected number of samples is paid as."""
    return max(math.ceil(samples - ROUNDING), 1)


_CLASSES = (Serial, Static, Dynamic, DeadlineFirst, Lazy, ExitAware)


def batch_policy(code: int, *, expectant: bool = False) -> BatchPolicy:
    """Return a policy.

    Args:
        code: Its place in :data:`BATCH_POLICIES`.
        expectant: Whether an exit-aware one expects samples to leave.

    Returns:
        The policy.
    """
    assert len(_CLASSES) == len(BATCH_POLICIES)
    return ExpectantExitAware() if expectant else _CLASSES[code]()
