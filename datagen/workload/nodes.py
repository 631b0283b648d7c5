"""Nodes of a cluster: how fast they are, what happens to them, and one of them at work."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from simpy import Environment, Interrupt
from simpy.events import Event as SimpyEvent

from datagen.errors import require

__all__ = ["Change", "Completion", "Node", "SimulatedNode"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A computer that answers inputs, one after the other.

    Args:
        name: Its name.
        seconds: Mean time per input of each variant, transfer included [s], > 0.
        setup: Time to receive an assignment and load its variant [s], >= 0.

    Raises:
        InvalidInputError: If a time breaks its rule.
    """

    name: str
    seconds: tuple[float, ...]
    setup: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seconds", tuple(float(value) for value in self.seconds))
        proper = len(self.seconds) > 0 and all(0 < v < float("inf") for v in self.seconds)
        require(proper, "seconds", "be finite and > 0, one per variant", self.seconds)
        require(0 <= self.setup < float("inf"), "setup", "be finite and >= 0", self.setup)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Something that happens to a node.

    Args:
        time: When [s], >= 0.
        node: Its index.
        factor: What its times are multiplied by from the next input on, > 0; None if it leaves.

    Raises:
        InvalidInputError: If a number breaks its rule.
    """

    time: float
    node: int
    factor: float | None

    def __post_init__(self) -> None:
        require(0 <= self.time < float("inf"), "time", "be finite and >= 0", self.time)
        if self.factor is not None:
            require(0 < self.factor < float("inf"), "factor", "be finite and > 0", self.factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One answered input.

    Args:
        node: Index of the node.
        variant: Index of the variant that answered.
        seconds: Time it took [s].
    """

    node: int
    variant: int
    seconds: float


class SimulatedNode:
    """A node at work. What it has begun it finishes, unless it leaves; the rest can be recalled.

    Args:
        environment: The simulation.
        index: Its index.
        node: Its speed.
        noise: Draws the factor of the time of an input, of mean 1.
        report: Is told of every answered input.
    """

    def __init__(
        self,
        environment: Environment,
        index: int,
        node: Node,
        noise: Callable[[], float],
        report: Callable[[Completion], None],
    ) -> None:
        self._environment, self._index, self._node = environment, index, node
        self._noise, self._report = noise, report
        self.alive, self.factor = True, 1.0
        self.variant, self.waiting = 0, 0
        self.begun = 0.0
        """When it began the input that it is working on [s]."""
        self.answering: int | None = None
        """The variant by which it is answering an input; None while it has none in work."""
        self._to_load = False
        self._assigned = environment.event()
        self._process = environment.process(self._life())

    @property
    def unfinished(self) -> int:
        """Inputs that it holds, the one in work included."""
        return self.waiting + (self.answering is not None)

    def assign(self, variant: int, inputs: int) -> None:
        """Give it work, in place of what it was given before and has not begun.

        Args:
            variant: Which model to answer by.
            inputs: How many, >= 1.
        """
        self.variant, self.waiting, self._to_load = variant, inputs, True
        if not self._assigned.triggered:
            self._assigned.succeed()

    def recall(self) -> int:
        """Take back what it has not begun.

        Returns:
            Number of inputs.
        """
        inputs, self.waiting = self.waiting, 0
        return inputs

    def leave(self) -> None:
        """Let it disappear, with nothing answered of what it holds."""
        self.alive = False
        self._process.interrupt()

    def abandoned(self) -> int:
        """Take back all that it holds, once it is gone.

        Returns:
            Number of inputs.
        """
        inputs, self.waiting, self.answering = self.unfinished, 0, None
        return inputs

    def _life(self) -> Generator[SimpyEvent, None, None]:
        try:
            while True:
                if self.waiting == 0:
                    self._assigned = self._environment.event()
                    yield self._assigned
                elif self._to_load:
                    self._to_load = False
                    yield self._environment.timeout(self._node.setup * self.factor)
                else:
                    yield from self._answer()
        except Interrupt:
            return

    def _answer(self) -> Generator[SimpyEvent, None, None]:
        """Answer one input, by the variant that is assigned when it is begun."""
        self.waiting -= 1
        self.begun, self.answering = self._environment.now, self.variant
        variant = self.variant
        mean = self._node.seconds[variant] * self.factor
        yield self._environment.timeout(mean * self._noise())
        self.answering = None
        took = self._environment.now - self.begun
        self._report(Completion(node=self._index, variant=variant, seconds=took))
