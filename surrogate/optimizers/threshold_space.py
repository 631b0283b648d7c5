"""What a threshold search varies: levels of exits and shares of paths, and their candidates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation import Candidates
from datagen.evaluation.packing import DeploymentTables
from datagen.exits import Thresholds
from surrogate.exit_model import ExitModel, TraceExits

__all__ = ["ThresholdSpace", "on_simplex"]

Floats = NDArray[np.float64]


class ThresholdSpace:
    """Levels [B, T] and routing [B, P] of one deployment whose placement is given.

    Args:
        base: The deployment; the chains that it decides by thresholds on a trace are searched.
        exits: Chain -> exit model; the trace's counts where none is given.

    Raises:
        InvalidInputError: If no chain is decided by thresholds, or one has no trace.
    """

    def __init__(self, base: Deployment, exits: Mapping[str, ExitModel] | None = None) -> None:
        self.base = base
        self.tables = DeploymentTables(base)
        self.columns = self.tables.leaving.threshold_columns
        require(bool(self.columns), "exits", "decide some chain by thresholds", None)
        traces = {trace.name: trace for trace in base.problem.traces}
        given = dict(exits or {})
        for chain in base.problem.chains:
            if chain.name in self.columns and chain.name not in given:
                traced = chain.trace in traces
                require(traced, f"{chain.name}.trace", "name a trace of the problem", chain.trace)
                given[chain.name] = TraceExits(traces[chain.trace or ""])
        self.exits: dict[str, ExitModel] = {name: given[name] for name in self.columns}
        self.paths: list[int] = self.tables.path_counts.tolist()

    @property
    def thresholds(self) -> int:
        """Number of thresholds T."""
        return int(max(column.stop for column in self.columns.values()))

    @cached_property
    def start_routing(self) -> Floats:
        """The routing of the base [P]."""
        return self.tables.path_probability

    def candidates(self, levels: Floats, routing: Floats) -> Candidates:
        """Return candidates.

        Args:
            levels: Levels in [0, 1] [B, T].
            routing: Path probabilities [B, P].

        Returns:
            B candidates.
        """
        thresholds = np.concatenate(
            [self.exits[name].thresholds(levels[:, own]) for name, own in self.columns.items()],
            axis=1,
        )
        return self.of_thresholds(thresholds, routing)

    def of_thresholds(self, thresholds: Floats, routing: Floats) -> Candidates:
        """Return candidates with given thresholds [B, T] and routing [B, P]."""
        placement = np.tile(self.tables.base_placement(), (len(thresholds), 1))
        return Candidates(
            base=self.base,
            placement=placement,
            thresholds=thresholds.astype(np.float32),
            routing=on_simplex(routing, self.paths).astype(np.float32),
            tables=self.tables,
        )

    def start(self) -> Candidates:
        """Return the base's own decisions as a candidate."""
        tau: list[float] = []
        for name in self.columns:
            decision = (self.base.exits or {})[name]
            assert isinstance(decision, Thresholds)
            tau += decision.tau
        return self.of_thresholds(np.array([tau]), self.start_routing[None])


def on_simplex(values: Floats, paths: list[int]) -> Floats:
    """Return the nearest probabilities, chain by chain.

    Args:
        values: Numbers [B, P].
        paths: Paths of each chain, P in all.

    Returns:
        Probabilities [B, P]: the Euclidean projection.

    References:
        Held, Wolfe and Crowder, Validation of subgradient optimization, 1974.

    Example:
        >>> on_simplex(np.array([[0.9, 0.5, 3.0]]), [2, 1]).round(6).tolist()
        [[0.7, 0.3, 1.0]]
    """
    result = np.empty_like(values, dtype=np.float64)
    first = 0
    for count in paths:
        own = values[:, first : first + count]
        falling = -np.sort(-own, axis=1)
        over = np.cumsum(falling, axis=1) - 1.0
        support = falling - over / np.arange(1, count + 1) > 0
        last = count - 1 - np.argmax(support[:, ::-1], axis=1)
        shift = over[np.arange(len(own)), last] / (last + 1)
        result[:, first : first + count] = np.maximum(own - shift[:, None], 0.0)
        first += count
    return result
