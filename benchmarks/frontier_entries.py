"""What competes on the frontier of error against time: networks, formulas, simulations.

Each entry is an :class:`~datagen.evaluation.Evaluator` with what a table says about it. Simulations
play one long run: for the time that they take, that is what gives the smallest errors, since every
further run begins with empty queues again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from datagen.analytic.decomposition import COVERS, AnalyticEvaluator
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.evaluation.effects import refuse_uncovered
from datagen.evaluation.loads import unstable
from datagen.simulator import SimulationEvaluator, SimulationOptions
from surrogate.evaluator import load_surrogate
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.decomposition import Decomposition
from surrogate.models.latency_law import LEVELS
from surrogate.models.readout import Prediction, read_out

__all__ = [
    "Entry",
    "Kind",
    "PredictionEvaluator",
    "PriorEvaluator",
    "formulas",
    "simulations",
    "surrogates",
]

Kind = Literal["surrogate", "baseline", "formula", "simulation"]

SEED = 20_261
"""Of the simulations, unless the labels were simulated with it: see :func:`simulations`."""


BATCH = 1024
"""Deployments per forward pass."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A competitor.

    Args:
        name: What to call it.
        kind: What it is.
        evaluator: How it evaluates.
        threads: Threads it may use, >= 1.
        horizon: Simulated time [s] of a simulation, else None.
        fit_s: Time that a model fitted for this comparison took to fit [s], else None.
        fitted_on: Deployments that it was fitted on, else None.
    """

    name: str
    kind: Kind
    evaluator: Evaluator
    threads: int
    horizon: float | None = None
    fit_s: float | None = None
    fitted_on: int | None = None

    @property
    def simulates(self) -> bool:
        """Whether it is a simulation, one of the rivals."""
        return self.kind == "simulation"


class PredictionEvaluator(Evaluator):
    """Whatever predicts from flow arrays, without intervals and flags of a released network.

    Args:
        name: What to call it.
        source: What its measures are: ``surrogate`` or ``analytic``.
        predict: The prediction of a batch.
    """

    def __init__(self, name: str, source: str, predict: Callable[[FlowArrays], Prediction]) -> None:
        self.name = name
        self.source = source
        self.predict = predict

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        refuse_uncovered(self.name, COVERS, batch.effects)
        names = ("throughput_ratio", "loss_ratio", "latency", "latency_ratio")
        parts: list[dict[str, Any]] = []
        for rows in np.array_split(np.arange(len(batch)), -(-len(batch) // BATCH)):
            with torch.inference_mode():
                said = self.predict(flow_arrays(batch.select(rows)))
            parts.append({name: getattr(said, name).numpy().astype(np.float64) for name in names})
        chain = {name: np.concatenate([part[name] for part in parts]) for name in names}
        without = unstable(batch)
        for values in chain.values():
            values[without[batch.owner("chain")]] = np.nan
        return Measures.of(batch, self.source, deployment={"unstable": without}, chain=chain)


class PriorEvaluator(PredictionEvaluator):
    """The decomposition that surrogates correct, read out as it is: a network without training."""

    def __init__(self) -> None:
        self.decomposition = Decomposition()
        super().__init__("prior", "analytic", self._read_out)

    def _read_out(self, arrays: FlowArrays) -> Prediction:
        steps, flows = len(arrays.step_mean), len(arrays.flow_chain)
        nothing = torch.zeros(steps, 2), torch.zeros(flows, len(LEVELS))
        return read_out(arrays, self.decomposition(arrays), *nothing)


def surrogates(checkpoints: Sequence[str], threads: int) -> list[Entry]:
    """Return released networks.

    Args:
        checkpoints: Names of shipped ones, or folders, each perhaps as ``NAME=FOLDER``.
        threads: Threads that they may use.

    Returns:
        One entry each, named as said or after the folder; namesakes are numbered.
    """
    entries: list[Entry] = []
    names: list[str] = []
    for word in checkpoints:
        said, _, place = ("", "", word) if Path(word).is_dir() else word.rpartition("=")
        short = said or Path(place).name
        namesakes = names.count(short)
        names.append(short)
        name = f"{short} ({namesakes + 1})" if namesakes else short
        evaluator = load_surrogate(place)
        entries.append(Entry(name=name, kind="surrogate", evaluator=evaluator, threads=threads))
    return entries


def formulas(threads: int) -> list[Entry]:
    """Return what needs neither training nor simulation.

    Args:
        threads: Threads that tensors may use; the compiled formula uses one.

    Returns:
        The surrogates' prior and the analytic evaluator.
    """
    prior, analytic = PriorEvaluator(), AnalyticEvaluator()
    return [
        Entry(name="prior", kind="formula", evaluator=prior, threads=threads),
        Entry(name="analytic", kind="formula", evaluator=analytic, threads=1),
    ]


def simulations(horizons: Sequence[float], label_seed: int | None) -> list[Entry]:
    """Return the compiled simulation at several horizons.

    Args:
        horizons: Simulated times [s], > 0.
        label_seed: Seed of the labels, or None. Simulations take another one: with the same seed
            they would meet the very jobs the labels were counted on.

    Returns:
        One entry each, shortest first.
    """
    seed = SEED + (label_seed == SEED)
    return [
        Entry(
            name=f"simulation, {horizon:g} s",
            kind="simulation",
            evaluator=SimulationEvaluator(
                SimulationOptions(engine="numba", horizon=horizon, replications=1, seed=seed)
            ),
            threads=1,
            horizon=horizon,
        )
        for horizon in sorted(set(horizons))
    ]
