"""Genetic algorithms of pymoo: one for a single objective, NSGA-II for fronts.

Batches of any size are asked for: a generation is at least a population, what is left of it when
more is asked for is filled up with neighbours, and all that was told since enters the survival.

References:
    Blank and Deb, pymoo: multi-objective optimization in Python, IEEE Access 8, 2020.
    Deb, Pratap, Agarwal and Meyarivan, A fast and elitist multiobjective genetic algorithm:
    NSGA-II, IEEE Transactions on Evolutionary Computation 6, 2002.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.crossover import Crossover
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination

from datagen.errors import require
from datagen.evaluation import Candidates
from surrogate.optimizers.baselines import first_rows
from surrogate.optimizers.moves import propose
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements, PlacementSpace

__all__ = ["GeneticSearch", "NondominatedSearch"]

Floats = NDArray[np.float64]

WHOLE_PATHS = 0.5
"""Share of the crossings that hand whole paths on; the others mix the fragments of a path too,
without which problems of one chain would never cross."""

ATTEMPTS = 4
"""Crossings of two parents that are tried; memory that binds refuses about half of them."""

MARKS = ("rank", "crowding")
"""What the survival of pymoo notes at an individual, and the next tournament reads."""


class _PathCrossover(Crossover):  # type: ignore[misc]
    """Children take each path, or each fragment, from either parent."""

    def __init__(self, space: PlacementSpace) -> None:
        super().__init__(2, 2)
        self._space = space

    def _do(
        self, problem: Problem, X: Placements, *, random_state: np.random.Generator, **_: Any
    ) -> Placements:
        """Cross pairs of parents [2, B, F]; pymoo names the argument.

        Children of parents that fit fit too: others are crossed anew a few times, and are then
        copies of their parents, to be moved by the mutation.
        """
        children = X.astype(np.int32)
        pending = np.arange(X.shape[1])
        for _attempt in range(ATTEMPTS):
            trial = self._crossed(children[:, pending], random_state)
            allowed = np.maximum(*self._excess(children[:, pending]))
            good = np.maximum(*self._excess(trial)) <= allowed
            children[:, pending[good]] = trial[:, good]
            pending = pending[~good]
            if len(pending) == 0:
                break
        return children

    def _excess(self, pairs: Placements) -> list[Floats]:
        return [self._space.excess(rows) for rows in pairs]

    def _crossed(self, parents: Placements, rng: np.random.Generator) -> Placements:
        _, count, slots = parents.shape
        path = self._space.path
        by_path = rng.random((count, int(path[-1]) + 1))[:, path]
        draw = np.where(rng.random((count, 1)) < WHOLE_PATHS, by_path, rng.random((count, slots)))
        return np.stack([
            np.where(draw < 0.5, parents[1], parents[0]),
            np.where(draw < 0.5, parents[0], parents[1]),
        ])


class _MoveMutation(Mutation):  # type: ignore[misc]
    """A random neighbour of every child, as the other searches move."""

    def __init__(self, space: PlacementSpace) -> None:
        super().__init__()
        self._space = space

    def _do(
        self, problem: Problem, X: Placements, *, random_state: np.random.Generator, **_: Any
    ) -> Placements:
        """Move the children [B, F]; pymoo names the argument."""
        return propose(self._space, X.astype(np.int32), random_state)


class _Evolution(Search):
    """What both algorithms share.

    Args:
        population: Individuals that survive a generation, >= 4.

    Raises:
        InvalidInputError: If the population is too small.
    """

    def __init__(self, *, population: int = 40) -> None:
        require(population >= 4, "population", "be >= 4", population)
        self.population = population

    @abstractmethod
    def _algorithm(self, **operators: Any) -> Any:
        """Return pymoo's algorithm.

        Args:
            operators: Arguments that every algorithm takes.
        """

    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        self._space, self._rng = space, rng
        self._evolving = self._algorithm(
            pop_size=self.population,
            crossover=_PathCrossover(space),
            mutation=_MoveMutation(space),
        )
        self._evolving.setup(Problem(n_var=space.slots, n_obj=1), termination=NoTermination())
        self._evolving.random_state = rng
        # Where hardly a placement is new, looking for one longer finds none.
        self._evolving.mating.n_max_iterations = 3
        self._pending = np.empty((0, space.slots), dtype=np.int32)
        self._told: list[tuple[Placements, Floats]] = []

    def ask(self, count: int) -> Candidates:
        if len(self._pending) == 0 and not self._told:
            self._pending = self._generation(max(count, self.population))
        rows, self._pending = self._pending[:count], self._pending[count:]
        if len(rows) < count:
            rows = np.concatenate([rows, self._more(count - len(rows))])
        return self._space.candidates(rows)

    def _generation(self, count: int) -> Placements:
        if not self._evolving.is_initialized:
            return first_rows(self._space, count, self._rng)
        self._evolving.n_offsprings = count
        children = self._evolving.ask()
        if children is None:  # all were old; pymoo takes that for the end
            self._evolving.termination.force_termination = False
            return self._more(count)
        return np.asarray(children.get("X"), dtype=np.int32)

    def _more(self, count: int) -> Placements:
        """Return neighbours of random survivors, or of the start before there are any."""
        parents = self._space.start[None]
        if self._evolving.is_initialized:
            parents = np.asarray(self._evolving.pop.get("X"), dtype=np.int32)
        chosen = parents[self._rng.integers(len(parents), size=count)]
        return propose(self._space, chosen, self._rng)

    def tell(self, candidates: Candidates, values: Floats) -> None:
        columns = values if values.ndim == 2 else values[:, None]
        self._told.append((candidates.placement, columns))
        if len(self._pending) == 0:
            rows, told = (np.concatenate(parts) for parts in zip(*self._told, strict=True))
            self._told = []
            self._evolving.problem.n_obj = told.shape[1]
            self._evolving.tell(infills=_individuals(rows, told))

    def state(self) -> dict[str, Any]:
        survivors = None
        if self._evolving.is_initialized:
            survivors = {name: self._evolving.pop.get(name) for name in ("X", "F")}
            survivors["marks"] = [
                [_finite(one.data.get(name)) for name in MARKS] for one in self._evolving.pop
            ]
        return {
            "rng": self._rng.bit_generator.state,
            "pending": self._pending,
            "told": [[rows, values] for rows, values in self._told],
            "survivors": survivors,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        shape = (-1, self._space.slots)
        self._pending = np.array(state["pending"], dtype=np.int32).reshape(shape)
        self._told = [
            (np.array(rows, dtype=np.int32), np.array(values, dtype=np.float64))
            for rows, values in state["told"]
        ]
        survivors = state["survivors"]
        if survivors is None:
            return
        values = np.array(survivors["F"], dtype=np.float64)
        population = _individuals(np.array(survivors["X"], dtype=np.int32), values)
        for one, marks in zip(population, survivors["marks"], strict=True):
            for name, mark in zip(MARKS, marks, strict=True):
                if mark is not None:
                    one.set(name, np.inf if mark == "inf" else mark)
        self._evolving.problem.n_obj = values.shape[1]
        self._evolving.pop, self._evolving.n_iter = population, 1
        self._evolving.is_initialized = True


def _finite(mark: Any) -> float | str | None:
    """Return a mark as JSON has it: the ends of a front are infinitely far from the crowd."""
    if mark is None:
        return None
    return "inf" if np.isinf(mark) else float(mark)


def _individuals(rows: Placements, values: Floats) -> Any:
    """Return placements [B, F] and their values [B, M] as a population of pymoo."""
    return Population.new("X", rows, "F", values)


class GeneticSearch(_Evolution):
    """A genetic algorithm for one objective.

    Args:
        population: Individuals that survive a generation, >= 4.
    """

    def _algorithm(self, **operators: Any) -> Any:
        return GA(**operators, advance_after_initial_infill=True)


class NondominatedSearch(_Evolution):
    """NSGA-II: a population spread along the front of several objectives.

    Args:
        population: Individuals that survive a generation, >= 4.
    """

    takes_several = True

    def _algorithm(self, **operators: Any) -> Any:
        return NSGA2(**operators)
