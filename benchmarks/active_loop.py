"""Does a search gain when its surrogate learns from its own simulated candidates?

``python benchmarks/active_loop.py --json`` searches placement problems in equal processor time in
four ways: ``plain`` is the default search; ``restart`` searches for a share of the budget, and for
the rest again from what that returned; ``head`` and ``all`` do so too, but in between simulate the
best candidates of the first part and fine-tune a copy of the network on them, its last layers or
all of it. Simulating and fine-tuning are paid from the budget. What each returns is judged by one
long simulation on common random numbers; the problems are neither those that searches are compared
on nor those that rivals were tuned on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from placement_cases import cases
from placement_report import table
from placement_search import tied
from placement_trial import FLOOR, judged, row_of, searched
from result_file import BenchmarkParser, deliver, head, machine
from torch import Tensor

from datagen.deployment import Deployment
from datagen.evaluation import Candidates, Measures
from datagen.evaluation.evaluator import Evaluable
from datagen.simulator import SimulationEvaluator
from surrogate import load_surrogate
from surrogate.evaluator import SurrogateEvaluator
from surrogate.features.arrays import flow_arrays
from surrogate.models import DeploymentNetwork
from surrogate.models.readout import read_out
from surrogate.optimizers import Budget, PlacementSpace, proof
from surrogate.optimizers.archive import Archive
from surrogate.optimizers.proof import same_window

PROBLEM_SEED = 20261123
"""Of problems that serve no other comparison."""

FIRST = 0.5
"""Share of the budget after which the candidates are simulated."""

LEARNT_FROM = 24
"""Candidates that are simulated: the best that the first part came by."""

LABEL_EVENTS = 5e4
"""Events of each of these simulations: a loss ratio of 5 % is known to about 5 % of itself."""

LABEL_SEED, JUDGING_SEED = 60, 61
JUDGING_EVENTS = 1e6

STEPS = {"head": 40, "all": 8}
"""Steps of fine-tuning: each takes about a tenth of the budget of 5 s at most."""

RATE = {"head": 1e-3, "all": 3e-4}
"""Step lengths of Adam."""

LEAST_LOSS = 1e-3
"""Losses below are not told apart: so few jobs are lost in a label's simulation."""

METHODS = ("plain", "restart", "head", "all")


class Remembering(SurrogateEvaluator):
    """A surrogate that remembers the best placements that it was asked about.

    Args:
        surrogate: The surrogate.
        slots: Length of a placement.
    """

    def __init__(self, surrogate: SurrogateEvaluator, slots: int) -> None:
        super().__init__(surrogate.release, details=False)
        self.archive = Archive(LEARNT_FROM, slots)

    def without_details(self) -> Remembering:
        return self

    def evaluate(self, deployments: Evaluable) -> Measures:
        measures = super().evaluate(deployments)
        if isinstance(deployments, Candidates):
            loss = np.asarray(measures.deployment["loss_ratio"], dtype=np.float64)
            known = np.isfinite(loss)
            rows = deployments.placement[known]
            self.archive.add(rows, loss[known], evaluations=0, seconds=0.0)
        return measures


def learnt(
    surrogate: SurrogateEvaluator, candidates: Candidates, loss: NDArray[np.float64], kind: str
) -> SurrogateEvaluator:
    """Return a copy of a surrogate that was fine-tuned on simulated candidates.

    Args:
        surrogate: The surrogate.
        candidates: N placements of one problem.
        loss: Their simulated loss ratios [N].
        kind: ``head`` for the last layers, ``all`` for the whole network.

    Returns:
        The copy.
    """
    network = deepcopy(surrogate.release.network).requires_grad_()
    predict = _predictor(network, candidates, kind)
    parts = network.head if kind == "head" else network
    optimizer = torch.optim.Adam(parts.parameters(), lr=RATE[kind])
    wanted = torch.tensor(loss + LEAST_LOSS, dtype=torch.float32).log()
    for _ in range(STEPS[kind]):
        optimizer.zero_grad()
        error = (predict() + LEAST_LOSS).log() - wanted
        torch.autograd.backward((error**2).mean())
        optimizer.step()
    return SurrogateEvaluator(replace(surrogate.release, network=network.eval()), details=False)


def _predictor(
    network: DeploymentNetwork, candidates: Candidates, kind: str
) -> Callable[[], Tensor]:
    """Return what predicts the system loss ratios [N] with gradients to the weights."""
    batch = candidates.batch(laws=False)
    arrays = flow_arrays(batch)
    with torch.no_grad():
        features = network.features(arrays)
        step, device, flow = network.states(arrays, features)
        known = torch.cat([step, arrays.at_steps(device), arrays.of_flows(flow)], dim=-1)
        law = network.law_head(flow)
    rate = torch.tensor(batch.chain_rate, dtype=torch.float32).reshape(len(batch), -1)
    share = rate / rate.sum(dim=1, keepdim=True)

    def predict() -> Tensor:
        if kind == "head":
            found = read_out(arrays, features.prior, network.head(known), law)
        else:
            found = network.predict(arrays, features)
        return (found.loss_ratio.reshape(share.shape) * share).sum(dim=1)

    return predict


def looped(
    start: Deployment, surrogate: SurrogateEvaluator, kind: str, seconds: float, seed: int
) -> tuple[Deployment, float]:
    """Search, learn, and search on.

    Args:
        start: Where it starts.
        surrogate: The surrogate.
        kind: One of METHODS but ``plain``.
        seconds: Budget [s of processor time].
        seed: Seed of the searches.

    Returns:
        What was found, and the processor time that learning took [s].
    """
    space = PlacementSpace(start)
    remembering = Remembering(surrogate, space.slots)
    first = searched(start, remembering, None, seconds=FIRST * seconds, time="processor", seed=seed)
    now = Budget(seconds=seconds, time="processor").now
    began, judge = now(), surrogate
    if kind != "restart":
        candidates = space.candidates(remembering.archive.placements)
        options = same_window(start.problem, events=LABEL_EVENTS, replications=1, seed=LABEL_SEED)
        loss = SimulationEvaluator(options).evaluate(candidates).deployment["loss_ratio"]
        judge = learnt(surrogate, candidates, np.asarray(loss, dtype=np.float64), kind)
    spent = now() - began
    left = max((1.0 - FIRST) * seconds - spent, 0.05 * seconds)
    second = searched(first.deployment, judge, None, seconds=left, time="processor", seed=seed + 1)
    return second.deployment, spent


def compared(
    surrogate: SurrogateEvaluator, row: int, start: Deployment, seconds: float
) -> dict[str, Any]:
    """Search one problem in every way.

    Args:
        surrogate: The surrogate.
        row: Number of the problem, and seed of its searches.
        start: Its start.
        seconds: Budget [s of processor time].

    Returns:
        Loss ratio and standard error by method.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the budget is of one core
    plain = searched(start, surrogate, None, seconds=seconds, time="processor", seed=row)
    found = {"plain": row_of(plain)}
    learning = {}
    for kind in METHODS[1:]:
        deployment, learning[kind] = looped(start, surrogate, kind, seconds, row)
        found[kind] = PlacementSpace(deployment).start
    torch.set_num_threads(threads)
    rows = np.stack([found[name] for name in METHODS])
    measures = judged(start, rows, events=JUDGING_EVENTS, seed=JUDGING_SEED).deployment
    return {
        "problem": row,
        "seconds": seconds,
        "learning_seconds": learning,
        "loss_ratio": dict(zip(METHODS, measures["loss_ratio"].tolist(), strict=True)),
        "standard_error": dict(zip(METHODS, measures["loss_ratio_se"].tolist(), strict=True)),
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Compare every other method with the plain search.

    Args:
        rows: What :func:`compared` gave.

    Returns:
        Method -> problems at which it is better and worse by more than a tie, and the median and
        geometric mean of the losses over the plain search's.
    """
    told = {}
    for name in METHODS[1:]:
        ratios = [
            (row["loss_ratio"][name] + FLOOR) / (row["loss_ratio"]["plain"] + FLOOR) for row in rows
        ]
        apart = [
            0 if tied(row, name, "plain") else (1 if ratio < 1 else -1)
            for row, ratio in zip(rows, ratios, strict=True)
        ]
        told[name] = {
            "better": apart.count(1),
            "worse": apart.count(-1),
            "median_loss_ratio": statistics.median(ratios),
            "mean_loss_ratio": statistics.geometric_mean(ratios),
        }
    return told


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What the benchmark measured.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    lines = head(
        "Searches that learn from their own simulated candidates",
        report["machine"],
        configuration=f"checkpoint {report['checkpoint']}; {report['seconds']:g} s of processor "
        f"time each; {LEARNT_FROM} candidates simulated with {LABEL_EVENTS:.0e} events after "
        f"{FIRST:.0%} of the budget; judged by {JUDGING_EVENTS:.0e} events",
        command=command,
        hardware=hardware,
    )
    shown = [
        [name, str(found["better"]), str(found["worse"])]
        + [f"{found[key]:.3f}" for key in ("median_loss_ratio", "mean_loss_ratio")]
        for name, found in report["summary"].items()
    ]
    lines += ["Against the plain search:", ""]
    lines += table(["method", "better", "worse", "median loss over its", "geometric mean"], shown)
    shown = [
        [str(row["problem"]), *(f"{100 * row['loss_ratio'][name]:.3f} %" for name in METHODS)]
        + [f"{row['learning_seconds'][name]:.2f}" for name in METHODS[2:]]
        for row in report["rows"]
    ]
    learning = [f"learning by {name} [s]" for name in METHODS[2:]]
    lines += ["Simulated loss ratios:", ""] + table(["problem", *METHODS, *learning], shown)
    return "\n".join(lines)


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Compare on every problem.

    Args:
        given: The options.

    Returns:
        Plain figures.
    """
    surrogate = load_surrogate(given.checkpoint)
    proof.VERIFICATION_EVENTS = 1e4  # outside the budget, and not read here
    rows = []
    for row, start in cases(given.problems, PROBLEM_SEED):
        rows.append(compared(surrogate, row, start, given.seconds))
        said = ", ".join(f"{name} {loss:.5f}" for name, loss in rows[-1]["loss_ratio"].items())
        sys.stderr.write(f"problem {len(rows)} of {given.problems}: {said}\n")
    return {
        "checkpoint": given.checkpoint,
        "seconds": given.seconds,
        "rows": rows,
        "summary": summary(rows),
        "machine": machine(),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    add = parser.add_argument
    parser.add_checkpoint()
    add("--seconds", metavar="B", type=float, default=5.0, help="budget of each search [s]")
    add("--problems", metavar="N", type=int, default=8, help="problems searched")
    given = parser.given(arguments)
    deliver("active_loop", measure(given), given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
