"""Jobs of the readable engine whose exits a policy decides, service by service.

Arrivals, paths, samples and quantiles are the very draws of :class:`RoutedDraws`, so that a policy
that always gives the same thresholds plays event for event what fixed thresholds play. The time
that decisions and feedback take is measured; it is no part of the simulated time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import thread_time_ns

import numpy as np
from numpy.typing import NDArray

from datagen.exits import ExitTrace
from datagen.policies.exit_policy import Decision, ExitPolicy, Made, Outcome, Scene, Seen
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.routes import JobDraws, Part, RoutedDraws
from datagen.simulator.simpy_devices import Device
from datagen.simulator.simpy_sums import Route
from datagen.simulator.simpy_work import CHUNK, Drawn, JobWork, WorkSource

__all__ = ["Decided", "DecisionCost", "PolicyChain"]

Floats = NDArray[np.float64]


@dataclass(slots=True)
class DecisionCost:
    """Processor time that a policy took, over all runs.

    Args:
        decisions: Decisions made.
        deciding: Time of these [ns].
        learning: Time of all notes and feedback [ns].
    """

    decisions: int = 0
    deciding: int = 0
    learning: int = 0

    @property
    def per_decision(self) -> float:
        """Mean time of a decision and its share of the feedback [s]; NaN where none was made."""
        spent = self.deciding + self.learning
        return 1e-9 * spent / self.decisions if self.decisions else float("nan")


@dataclass(kw_only=True)
class PolicyChain:
    """A chain whose exits are decided online.

    Args:
        policy: Its policy.
        scene: What that is told.
        trace: What the network answers to the samples that its jobs hold.
        order: Row of the trace of each sample, in the order that samples are drawn by [N].
        left: Jobs that have left at each exit, over all runs [E]; counted here.
        cost: Processor time that the policy took; measured here.
    """

    policy: ExitPolicy
    scene: Scene
    trace: ExitTrace
    order: NDArray[np.int64]
    left: NDArray[np.int64] = field(init=False)
    cost: DecisionCost = field(default_factory=DecisionCost, init=False)

    def __post_init__(self) -> None:
        self.left = np.zeros(self.trace.exits, dtype=np.int64)


class _Step:
    """How long a step takes by the classifiers that are open and the fragment it ends with.

    The sum is that of :class:`RoutedDraws`: what is not random first, then the others in order.
    """

    def __init__(self, parts: list[Part], first_random: int) -> None:
        self.fixed = [part for part in parts if not part.law.is_random]
        random = [part for part in parts if part.law.is_random]
        self.random = [
            (place, part.fragment, part.head) for place, part in enumerate(random, first_random)
        ]
        self.heads = [part.fragment for part in parts if part.head]
        self._sums: dict[tuple[tuple[int, ...], int], float] = {}

    def fixed_time(self, asked: tuple[int, ...], last: int) -> float:
        """Return the sum of the parts that are not random [s]."""
        key = (asked, last)
        if key not in self._sums:
            needed = (p for p in self.fixed if p.fragment in asked or not p.head)
            self._sums[key] = sum(part.mean for part in needed if part.fragment <= last)
        return self._sums[key]


class _Played:
    """A chain under its policy in one run.

    Args:
        chain: The chain.
        source: Its draws.
        routes: Its routes: by path, exit and whether the answer is right.
        listening: Device -> the chains whose policies decide there.
    """

    def __init__(
        self,
        chain: PolicyChain,
        source: RoutedDraws,
        routes: list[Route],
        listening: Mapping[int, list[PolicyChain]],
    ) -> None:
        self.policy, self.cost, self.scene = chain.policy, chain.cost, chain.scene
        self.listening = listening
        self.left = chain.left
        self.source, self.routes = source, routes
        self.exits = chain.trace.exits
        self.confidences = chain.trace.confidences[chain.order].tolist()
        self.correct = chain.trace.correct[chain.order].tolist()
        self.exit_fragment = source.routes.exit_fragment[::2].tolist()
        self.random = [
            [part for step in path for part in step if part.law.is_random]
            for path in source.routes.paths
        ]
        self.steps: list[_Step] = []
        for path in source.routes.paths:
            drawn = 0
            for step in path:
                self.steps.append(_Step(step, drawn))
                drawn += len(self.steps[-1].random)
        self.policy.begin(chain.scene, source.policy_stream())

    def jobs(self) -> Iterator[tuple[float, JobWork]]:
        """Yield arrival time [s] and work of each job."""
        while True:
            drawn = self.source.next_jobs(CHUNK)
            times = [self._times(random, drawn) for random in self.random]
            columns = (drawn.arrivals.tolist(), drawn.path.tolist(), drawn.sample.tolist())
            for job, (arrival, path, sample) in enumerate(zip(*columns, strict=True)):
                yield arrival, _DecidedWork(self, path, sample, times[path][job])

    def _times(self, random: list[Part], drawn: JobDraws) -> list[list[float]]:
        """Return the random times of a path's parts by job [s] [N, parts]."""
        rows = [
            part.law.quantile(drawn.uniforms[part.head, part.fragment]) / part.speed
            for part in random
        ]
        return np.array(rows).reshape(len(rows), CHUNK).T.tolist()

    def route(self, path: int, exit_: int, sample: int) -> Route:
        """Return the route of a job that leaves at an exit."""
        right = int(self.correct[sample][exit_])
        return self.routes[(path * self.exits + exit_) * 2 + right]

    def tell_arrival(self, stage: int, time: float, admitted: bool) -> None:
        """Tell all policies that decide where a job has come to."""
        device = self.scene.stages[stage].device
        for chain in self.listening[device]:
            began = thread_time_ns()
            chain.policy.arrived(device, time, admitted)
            chain.cost.learning += thread_time_ns() - began

    def tell_outcome(self, outcome: Outcome) -> None:
        """Tell the chain's policy how a job fared."""
        began = thread_time_ns()
        self.policy.finished(outcome)
        self.cost.learning += thread_time_ns() - began


class _DecidedWork(JobWork):
    """The work of a job that is decided about at every step."""

    __slots__ = ("asked", "exit", "first", "made", "now", "path", "played", "sample")

    def __init__(self, played: _Played, path: int, sample: int, times: list[float]) -> None:
        super().__init__(played.route(path, played.exits - 1, sample), times)
        self.played, self.path, self.sample = played, path, sample
        self.first = played.scene.path_start[path]
        self.made: list[Made] = []
        self.asked: list[tuple[int, float]] = []
        self.exit, self.now = played.exits - 1, 0.0

    def arrives(self, index: int, device: Device, admitted: bool) -> None:
        played, now = self.played, device.env.now
        played.tell_arrival(self.first + index, now, admitted)
        if not admitted:
            played.tell_outcome(Outcome(now, tuple(self.made), None, tuple(self.asked)))

    def begin(self, index: int, device: Device) -> float:
        played, number = self.played, self.first + index
        now, busy = device.env.now, device.servers - device.idle
        cost, began = played.cost, thread_time_ns()
        decision = played.policy.decide(Seen(number, now, device.jobs, busy))
        cost.deciding += thread_time_ns() - began
        cost.decisions += 1
        self.made.append(Made(number, decision))
        service = self._served(number, decision)
        self.now = now + service
        return service

    def _served(self, number: int, decision: Decision) -> float:
        """Let the job leave where the decision says; return how long it is served [s]."""
        played, stage = self.played, self.played.scene.stages[number]
        confidences, step = played.confidences[self.sample], played.steps[number]
        left, asked = None, []
        for exit_, threshold in enumerate(decision.thresholds, stage.first_exit):
            if threshold > 1:
                continue
            asked.append(played.exit_fragment[exit_])
            self.asked.append((exit_, confidences[exit_]))
            if confidences[exit_] >= threshold:
                left = exit_
                break
        if left is not None:
            self.exit = left
            self.route = played.route(self.path, left, self.sample)
        elif stage.is_final:
            self.asked.append((self.exit, confidences[self.exit]))
        last = played.exit_fragment[self.exit]
        total = step.fixed_time(tuple(asked), last)
        for place, fragment, head in step.random:
            if fragment <= last and (not head or fragment in asked):
                total += self.services[place]
        return total

    def completes(self) -> None:
        self.played.left[self.exit] += 1
        outcome = Outcome(self.now, tuple(self.made), self.exit, tuple(self.asked))
        self.played.tell_outcome(outcome)


class Decided(WorkSource):
    """Jobs of some chains are decided by policies; those of others are drawn.

    Args:
        chains: Chain -> its policy and what that needs.
    """

    def __init__(self, chains: Mapping[int, PolicyChain]) -> None:
        self.chains = dict(chains)
        self._others = Drawn()
        self._listening: dict[int, list[PolicyChain]] = {}
        for own in self.chains.values():
            for device in sorted({stage.device for stage in own.scene.stages}):
                self._listening.setdefault(device, []).append(own)

    def jobs(
        self, chain: int, source: ChainDraws, routes: list[Route]
    ) -> Iterator[tuple[float, JobWork]]:
        if chain not in self.chains:
            return self._others.jobs(chain, source, routes)
        assert isinstance(source, RoutedDraws)
        return _Played(self.chains[chain], source, routes, self._listening).jobs()
