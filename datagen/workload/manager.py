"""The run-time resource manager: profiles, plans, dispatches, watches, and plans anew.

It is told of every answered input, and looks after the nodes once per heartbeat: one that does not
answer is gone, and one whose times are far from its table has drifted. Either way it takes back
what no node has begun, corrects its table, and splits what is left with the time that is left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from simpy import Environment
from simpy.events import Event as SimpyEvent

from datagen.errors import require
from datagen.workload.nodes import Completion, SimulatedNode
from datagen.workload.plans import ExplorationTable, Plan, Planner, Request
from datagen.workload.states import Event, State, StateMachine

__all__ = ["ManagerOptions", "Outcome", "ResourceManager"]

Result = TypeVar("Result")
Life = Generator[SimpyEvent, None, Result]
"""What a process does: it yields the events that it waits for, and returns something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ManagerOptions:
    """How the manager watches its nodes.

    Args:
        profiled: Inputs that each node answers by each variant when profiled, >= 1.
        heartbeat: Time between looks at the nodes [s], > 0.
        tolerance: A node has drifted when its times differ by more than this factor, > 1; infinity
            never to notice.
        window: Inputs over which its times are averaged, >= 1.
        margin: Share of the time of a required rate that plans leave unused, in [0, 1): nodes are
            not exactly as fast as profiled, and the last of them counts.

    Raises:
        InvalidInputError: If a number breaks its rule.
    """

    profiled: int = 5
    heartbeat: float = 0.25
    tolerance: float = 1.3
    window: int = 5
    margin: float = 0.05

    def __post_init__(self) -> None:
        require(self.profiled >= 1, "profiled", "be >= 1", self.profiled)
        require(0 < self.heartbeat < float("inf"), "heartbeat", "be finite, > 0", self.heartbeat)
        require(self.tolerance > 1, "tolerance", "be > 1", self.tolerance)
        require(self.window >= 1, "window", "be >= 1", self.window)
        require(0 <= self.margin < 1, "margin", "lie in [0, 1)", self.margin)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of a request.

    Args:
        request: The request.
        begun: When it was taken up [s].
        seconds: Time until its last answer [s].
        answered: Inputs answered by each node and variant [N, V].
        accuracy: Mean accuracy of the answered inputs, in [0, 1]; NaN without any.
        plans: How often it was planned; 0 where no node was left to plan for.
    """

    request: Request
    begun: float
    seconds: float
    answered: NDArray[np.int64]
    accuracy: float
    plans: int

    @property
    def unanswered(self) -> int:
        """Inputs left over because no node was there for them."""
        return self.request.inputs - int(self.answered.sum())

    @property
    def rate(self) -> float:
        """Answered inputs per second [1/s]; 0 without any."""
        return float(self.answered.sum() / self.seconds) if self.seconds > 0 else 0.0


class ResourceManager:
    """Answers requests one after the other, on the nodes that it is given.

    Args:
        environment: The simulation.
        planner: Splits requests.
        accuracy: Accuracy of each variant [V], which profiling does not tell.
        setup: Time before each node begins [s] [N].
        options: How nodes are watched.
    """

    def __init__(
        self,
        environment: Environment,
        planner: Planner,
        *,
        accuracy: Sequence[float],
        setup: Sequence[float],
        options: ManagerOptions,
    ) -> None:
        self._environment, self._planner, self._options = environment, planner, options
        shape = (len(setup), len(accuracy))
        self.table = ExplorationTable(
            seconds=np.ones(shape), setup=np.array(setup), accuracy=np.array(accuracy)
        )
        self.machine = StateMachine()
        self.nodes: Sequence[SimulatedNode] = ()
        self._answered = np.zeros(shape, dtype=np.int64)
        self._spent = np.zeros(shape)
        self._ratios = [deque[float](maxlen=options.window) for _ in setup]
        self._open = 0
        self._finished = environment.event()

    def report(self, completion: Completion) -> None:
        """Take note of an answered input.

        Args:
            completion: What was answered.
        """
        where = completion.node, completion.variant
        self._answered[where] += 1
        self._spent[where] += completion.seconds
        self._ratios[completion.node].append(completion.seconds / self.table.seconds[where])
        self._open -= 1
        if self._open == 0:
            self._finished.succeed()

    def profile(self) -> Life[None]:
        """Fill the exploration table: all nodes at once, one variant after the other.

        Nodes do not leave meanwhile: what happens to them begins with the first request.

        Yields:
            What it waits for.
        """
        self._fire(Event.STARTED)
        for variant in range(len(self.table.accuracy)):
            share = np.full(len(self.nodes), self._options.profiled)
            self._dispatch(Plan(inputs=share, variant=np.full(len(share), variant)))
            yield self._finished
        self.table = replace(self.table, seconds=self._spent / self._answered)
        self._forget_ratios()  # they are of a table that knew nothing
        self._fire(Event.PROFILED)

    def serve(self, request: Request) -> Life[Outcome]:
        """Answer a request.

        Args:
            request: What is asked.

        Yields:
            What it waits for.

        Returns:
            What became of it.
        """
        begun, plans, left = self._environment.now, 0, request.inputs
        self._answered[:] = 0
        self._fire(Event.REQUESTED)
        while self.machine.state is State.PLANNING:
            self._strike_out()
            if left > 0 and not self.table.usable.any():
                self._fire(Event.STRANDED)
                break
            if left > 0:
                plan = self._planner(self.table, self._rest(request, left, begun))
                plans += 1
            self._fire(Event.PLANNED)
            if left > 0:
                self._dispatch(plan)
            self._fire(Event.DISPATCHED)
            self._fire((yield from self._watch()))
            left = self._recall()
        answered = self._answered.copy()
        total = answered.sum()
        right = float(answered.sum(axis=0) @ self.table.accuracy)
        return Outcome(
            request=request,
            begun=begun,
            seconds=self._environment.now - begun,
            answered=answered,
            accuracy=right / total if total else float("nan"),
            plans=plans,
        )

    def _fire(self, event: Event) -> None:
        self.machine.fire(event, time=self._environment.now)

    def _alive(self) -> NDArray[np.bool_]:
        return np.array([node.alive for node in self.nodes])

    def _strike_out(self) -> None:
        """Take nodes that are gone out of the table."""
        for index in np.flatnonzero(~self._alive() & self.table.usable):
            self.table = self.table.slowed(int(index), np.inf)

    def _rest(self, request: Request, left: int, begun: float) -> Request:
        """Return what is asked of the inputs that no node has begun."""
        if request.accuracy is None:
            usable = (1.0 - self._options.margin) * request.seconds
            time = usable - (self._environment.now - begun)
            if time > 0:
                return Request(inputs=left, rate=left / time)
            return Request(inputs=left, accuracy=0.0)  # too late: as fast as can be
        working = [node.answering for node in self.nodes if node.answering is not None]
        right = self._answered.sum(axis=0) @ self.table.accuracy
        right += self.table.accuracy[working].sum()
        missing = (request.accuracy * request.inputs - right) / left
        return Request(inputs=left, accuracy=min(max(float(missing), 0.0), 1.0))

    def _dispatch(self, plan: Plan) -> None:
        self._open += int(plan.inputs.sum())
        if self._open and self._finished.triggered:
            self._finished = self._environment.event()
        for index in np.flatnonzero(plan.inputs).tolist():
            self.nodes[index].assign(int(plan.variant[index]), int(plan.inputs[index]))

    def _recall(self) -> int:
        """Take back what nobody has begun, and all that nodes hold that are gone."""
        left = sum(node.recall() if node.alive else node.abandoned() for node in self.nodes)
        self._open -= left
        self._forget_ratios()
        return left

    def _forget_ratios(self) -> None:
        for ratios in self._ratios:
            ratios.clear()

    def _watch(self) -> Life[Event]:
        """Wait until all is answered or a node is not what the table says, and correct that."""
        while True:
            yield self._finished | self._environment.timeout(self._options.heartbeat)
            if self._finished.triggered:
                return Event.FINISHED
            if any(node.unfinished for node in self.nodes if not node.alive):
                return Event.LEFT
            drifts = [self._drift(index) for index in range(len(self.nodes))]
            if any(drift != 1.0 for drift in drifts):
                for index, drift in enumerate(drifts):
                    self.table = self.table.slowed(index, drift)
                return Event.DRIFTED

    def _drift(self, index: int) -> float:
        """Return how much slower a node is than its table says; 1 within the tolerance."""
        node, ratios = self.nodes[index], self._ratios[index]
        tolerance, window = self._options.tolerance, self._options.window
        if not node.alive or node.unfinished == 0:
            return 1.0
        if node.answering is not None:
            expected = self.table.seconds[index, node.answering]
            ratio = float((self._environment.now - node.begun) / expected)
            if ratio > tolerance * window:  # as long as a whole window of slow ones
                return ratio
        if len(ratios) < window:
            return 1.0
        ratio = float(np.mean(ratios))
        return ratio if not 1.0 / tolerance <= ratio <= tolerance else 1.0
