"""What a placement search needs of a surrogate: small losses, and placements in the right order.

Losses are judged on a data set whose chains were simulated until each had lost hundreds of jobs
(``configs/datagen/loss_test.yaml``); the order on problems of the ``placement`` distribution, each
with random, load-balanced and annealed placements, by Kendall's tau of the system loss between
prediction and simulation. Problems where hardly any placement loses anything have no order to find
and are left out.

    python benchmarks/loss_and_rank.py data/loss_test --json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result_file import BenchmarkParser, deliver, head, machine
from scipy.stats import kendalltau

from datagen import Deployment
from datagen.evaluation import Candidates, Evaluator, Measures
from datagen.scenarios.annealing import PlacementTask, annealed, balanced, scattered
from datagen.scenarios.placement import PlacementScenario
from datagen.simulator import SimulationEvaluator, SimulationOptions
from datagen.store import read_dataset

PROBLEMS, PLACEMENTS = 24, 64

DECADES = ((1e-3, 1e-2), (1e-2, 1e-1))
"""Ranges of the true loss by which errors are reported."""

SHORT, LONG = 5, 400
"""Moves of the annealed placements, log-uniform: from hardly improved to nearly optimal."""

LEAST_LOSS = 1e-3
"""A problem counts if at least half of its placements lose so much."""

OPTIONS = SimulationOptions(offered=20_000, max_events=3e6, replications=2, seed=0)

MOST_PER_DEVICE = 12

Floats = NDArray[np.float64]


def loss_errors(evaluator: Evaluator, folder: Path) -> dict[str, Any]:
    """Return relative errors of loss ratios by decade of the true loss.

    Args:
        evaluator: What is judged.
        folder: Data set with precise losses.

    Returns:
        Decade -> median relative error and number of chains.
    """
    dataset = read_dataset(folder)
    found = evaluator.evaluate(dataset.batch(laws=False)).chain["loss_ratio"]
    true = dataset.measures().chain["loss_ratio"]
    report = {}
    for low, high in DECADES:
        rows = np.isfinite(found) & (true >= low) & (true < high)
        error = np.abs(found[rows] / true[rows] - 1)
        median = float(np.median(error)) if rows.any() else None
        report[f"{low:g}-{high:g}"] = {"median": median, "n": int(rows.sum())}
    return report


def placements(deployment: Deployment, rng: np.random.Generator, count: int) -> Candidates:
    """Return placements of one problem as a search meets them.

    Args:
        deployment: Gives the problem.
        rng: Stream of the placements.
        count: Number of placements.

    Returns:
        A third random, a third load-balanced with some fragments moved, a third annealed.
    """
    problem = deployment.problem
    lengths = [len(chain.fragments) for chain in problem.chains]
    task = PlacementTask(
        rate=np.repeat([chain.arrivals.rate for chain in problem.chains], lengths),
        work=np.array([f.service.mean for chain in problem.chains for f in chain.fragments]),
        speed=np.array([device.speed for device in problem.devices]),
        capacity=np.array([device.capacity for device in problem.devices]),
        most_per_device=MOST_PER_DEVICE,
    )
    rows = []
    for number in range(count):
        if number % 3 == 0:
            hosts = scattered(task, rng)
        elif number % 3 == 1:
            hosts = balanced(task, rng)
            moved = rng.choice(len(hosts), size=rng.integers(1, 1 + max(1, len(hosts) // 4)))
            hosts[moved] = rng.integers(len(task.speed), size=len(moved))
        else:
            hosts = annealed(task, rng, int(np.exp(rng.uniform(np.log(SHORT), np.log(LONG)))))
        rows.append(hosts)
    return Candidates(base=deployment, placement=np.array(rows, dtype=np.int32))


def system_loss(candidates: Candidates, measures: Measures) -> Floats:
    """Return lost / offered over all chains, by expected arrivals [B]."""
    rate = np.array([chain.arrivals.rate for chain in candidates.base.problem.chains])
    loss = measures.chain["loss_ratio"].reshape(-1, len(rate))
    return np.asarray(loss @ rate / rate.sum())


def rank(evaluator: Evaluator, problems: int, count: int, seed: int) -> dict[str, Any]:
    """Return Kendall's tau between predicted and simulated losses of placements.

    Args:
        evaluator: What is judged.
        problems: Number of problems that count.
        count: Placements of each.
        seed: Seed of problems and placements.

    Returns:
        Mean, median and smallest tau, the taus, and the number of problems left out.
    """
    simulator, scenario = SimulationEvaluator(OPTIONS), PlacementScenario()
    taus: list[float] = []
    skipped = 0
    while len(taus) < problems:
        rng = np.random.default_rng([seed, len(taus) + skipped])
        candidates = placements(scenario.draw(rng), rng, count)
        true = system_loss(candidates, simulator.evaluate(candidates))
        if np.median(true) < LEAST_LOSS:
            skipped += 1
            continue
        found = system_loss(candidates, evaluator.evaluate(candidates))
        taus.append(float(kendalltau(found, true).statistic))
    return {
        "mean": float(np.mean(taus)),
        "median": float(np.median(taus)),
        "smallest": min(taus),
        "taus": taus,
        "left_out": skipped,
    }


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: The figures.
        command: The command that gave them.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    tau = report["rank"]
    shown = (
        f"| loss {name}, {part['n']} chains: median relative error | {100 * part['median']:.1f} % |"
        for name, part in report["loss"].items()
        if part["median"] is not None
    )
    return "\n".join([
        *head(
            "Small losses, and the order of placements",
            report["machine"],
            configuration=f"checkpoint {report['checkpoint']}; {len(tau['taus'])} problems of "
            f"{report['placements']} placements, {tau['left_out']} without losses left out",
            command=command,
            hardware=hardware,
        ),
        "| | |",
        "|---|---|",
        *shown,
        f"| Kendall's tau of the system loss, mean over problems | {tau['mean']:.3f} |",
        f"| median, smallest | {tau['median']:.3f}, {tau['smallest']:.3f} |",
        "",
    ])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("dataset", type=Path, help="data set with precise losses")
    parser.add_checkpoint()
    parser.add_argument("--problems", metavar="N", type=int, default=PROBLEMS, help="problems")
    parser.add_argument("--placements", metavar="N", type=int, default=PLACEMENTS, help="of each")
    parser.add_argument("--seed", metavar="S", type=int, default=2026, help="of the problems")
    given = parser.given(arguments)
    from surrogate import load_surrogate

    evaluator = load_surrogate(given.checkpoint)
    report = {
        "checkpoint": given.checkpoint,
        "placements": given.placements,
        "loss": loss_errors(evaluator, given.dataset),
        "rank": rank(evaluator, given.problems, given.placements, given.seed),
        "machine": machine(),
    }
    deliver("loss_and_rank", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
