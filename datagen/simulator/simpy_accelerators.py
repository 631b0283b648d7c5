"""Accelerators of the readable engine: lines, a stack of batches, and a policy that decides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from datagen.npu.batch_policies import Batch, Line, Sample, Situation, batch_policy
from datagen.simulator.batching import NO_ACCELERATOR, Batching
from datagen.simulator.event_log import CHOSEN, QUEUED, STARTED
from datagen.simulator.keys import alarm_key, choice_key
from datagen.simulator.network import Network
from datagen.simulator.simpy_devices import Device, Note, Token
from datagen.simulator.simpy_events import KeyedEnvironment
from datagen.simulator.tally import RunLength

__all__ = ["Accelerator", "BatchSums", "visits"]


def visits(network: Network) -> list[tuple[int | None, bool]]:
    """Return of every step its line and whether the next one belongs to the same visit.

    Args:
        network: The network.

    Returns:
        A list with an entry per step; the line is None where no accelerator runs it.
    """
    batching = network.batching
    if batching is None:
        return [(None, False)] * network.steps
    steps = zip(batching.step_line.tolist(), batching.step_stays.tolist(), strict=True)
    return [(None if line == NO_ACCELERATOR else line, stays) for line, stays in steps]


@dataclass(kw_only=True, slots=True)
class _Guest:
    """A sample on the accelerator, as policies see it, and its job.

    Args:
        token: The job as it stands in line.
        deadline: When it should have left the system [s].
        entered: When it came [s].
        ticket: Its place among all that came.
    """

    token: Token
    deadline: float
    entered: float
    ticket: int


class BatchSums:
    """What the accelerators of a network did in the window.

    Args:
        batching: The accelerators.
        length: The window.
    """

    def __init__(self, batching: Batching, length: RunLength) -> None:
        self.length = length
        self.sizes: NDArray[np.int64] = np.zeros(batching.seconds.shape, dtype=np.int64)
        self.preemptions = np.zeros(len(batching.policy), dtype=np.int64)

    def counts(self, now: float) -> bool:
        """Return whether what happens now is in the window."""
        return self.length.warmup < now <= self.length.horizon


class Accelerator(Device):
    """A device that runs batches of samples, segment by segment.

    Args:
        env: Where it is.
        index: Its number.
        network: The network that it belongs to, with accelerators.
        sums: Where its batches are counted.
        note: Where what it starts is written down.
    """

    def __init__(
        self, env: KeyedEnvironment, index: int, network: Network, sums: BatchSums, note: Note
    ) -> None:
        super().__init__(env, 1, float(network.capacity[index]))
        assert network.batching is not None
        batching = network.batching
        self.index, self.note, self.sums = index, note, sums
        self.least_demand = float(batching.least_demand[index])
        self.deadlines = [math.inf if d != d else d for d in network.deadline.tolist()]
        numbers = np.flatnonzero(batching.line_device == index).tolist()
        self.lines = {number: _line(batching, number) for number in numbers}
        self.first = {id(line): batching.line_start[n] for n, line in self.lines.items()}
        self.policy = batch_policy(
            int(batching.policy[index]), expectant=bool(batching.expectant[index])
        )
        self.situation = Situation(
            lines=list(self.lines.values()),
            stack=[],
            max_batch=int(batching.max_batch[index]),
            timeout=float(batching.timeout[index]),
            compacts=bool(batching.compacts[index]),
        )
        self.tickets = 0
        self.running = self.in_hand = self.choosing = self.alarmed = False
        self.told: _Guest
        self.kept: list[Sample] = []

    def welcome(self, token: Token) -> int:
        """Let a sample wait for a batch of its line."""
        assert token.line is not None
        deadline = token.arrival + self.deadlines[token.chain]
        guest = _Guest(token=token, deadline=deadline, entered=self.env.now, ticket=self.tickets)
        self.tickets += 1
        line = self.lines[token.line]
        line.waiting.insert(self.policy.place(line, guest), guest)
        self.let_choose()
        return QUEUED

    def go_on(self) -> None:
        """Do nothing: a sample that leaves is told so in the midst of its batch."""

    def hold(self) -> int:
        """Let a sample wait for room elsewhere; the accelerator goes on without it."""
        return 0

    def stay(self, token: Token) -> None:
        """Keep the sample that has just been told, now on its way to the next segment."""
        self.told.token = token
        self.kept.append(self.told)

    def let_choose(self) -> None:
        """Have it look, at the end of this instant, at what there is, if it is not running."""
        waits = any(line.waiting for line in self.situation.lines)
        if (self.situation.stack or waits) and not self.running and not self.choosing:
            self.choosing = True
            self.env.at(self.env.now, choice_key(self.index)).callbacks.append(self.choose)

    def choose(self, _: Event) -> None:
        """Go on with a batch, begin one, or wait."""
        self.choosing = False
        seen = self.situation
        seen.now = self.env.now
        seen.is_full = not self.has_room(self.least_demand)
        if seen.stack:
            fresh = not self.merges() and self.in_hand
            count = self.policy.newcomers(seen) if fresh else 0
            if count:
                self.sums.preemptions[self.index] += self.sums.counts(seen.now)
                self.begin(seen.stack[-1].line, count)
            self.start()
            return
        ready = [ln for ln in seen.lines if ln.waiting and self.policy.is_ready(ln, seen)]
        if ready:
            line = min(ready, key=self.policy.rank)
            self.begin(line, min(len(line.waiting), seen.max_batch))
            self.start()
            return
        alarm = self.policy.alarm(seen)
        if alarm is not None and not self.alarmed:
            self.alarmed = True
            self.env.at(alarm, alarm_key(self.index)).callbacks.append(self.look_again)

    def look_again(self, _: Event) -> None:
        """Look at what there is because somebody has waited for long enough."""
        self.alarmed = False
        self.let_choose()

    def merges(self) -> bool:
        """Join the batch in hand to the one below if they have come as far."""
        stack = self.situation.stack
        if len(stack) < 2:
            return False
        below, top = stack[-2:]
        if below.line is not top.line or below.segment != top.segment:
            return False
        below.samples += top.samples
        below.width = len(below.samples)
        stack.pop()
        return True

    def begin(self, line: Line, count: int) -> None:
        """Put a batch of those who wait on the stack."""
        samples = line.waiting[:count]
        del line.waiting[:count]
        self.situation.stack.append(Batch(line, samples, width=count))

    def start(self) -> None:
        """Let the batch on top of the stack run its segment."""
        self.observe()
        batch, now = self.situation.stack[-1], self.env.now
        size = len(batch.samples)
        if self.situation.compacts:
            batch.width = size
        guests = cast("list[_Guest]", batch.samples)
        self.running, self.idle = True, 0
        row = self.first[id(batch.line)] + batch.segment
        self.sums.sizes[row, size - 1] += self.sums.counts(now)
        end = now + batch.line.seconds[batch.segment][batch.width - 1]
        self.env.at(end, guests[0].token.key).callbacks.append(self.end_segment)
        for guest in guests:
            token = guest.token
            self.note(CHOSEN, token.chain, token.job, token.step, STARTED)

    def end_segment(self, _: Event) -> None:
        """Tell the samples of the running batch that their segment is over; keep who stays."""
        self.observe()
        self.running, self.idle = False, 1
        batch = self.situation.stack[-1]
        self.kept = []
        for guest in cast("list[_Guest]", batch.samples):
            self.told = guest
            self.env.tell(guest.token.finished)
        batch.samples = self.kept
        batch.segment += 1
        self.in_hand = bool(self.kept)
        if not self.kept:
            self.situation.stack.pop()
        self.let_choose()


def _line(batching: Batching, number: int) -> Line:
    rows = slice(*batching.line_start[number : number + 2].tolist())
    return Line(
        seconds=batching.seconds[rows].tolist(),
        before=batching.before[rows].tolist(),
        rest=batching.rest[rows].tolist(),
        reached=batching.reached[rows].tolist(),
    )
