"""Layer-wise or semantic split per task: bandits against fixed choices, with SplitPlace's workload.

Every decider meets the same tasks. Bandits are trained on other tasks first, as SplitPlace's are;
epsilon-greedy then explores no more, and all go on learning. Response times count from the arrival;
the reward is that of the bandits, a half for being in time and a half for accuracy above 0.9.

    python benchmarks/split_decision.py --json
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from result_file import BenchmarkParser, deliver, machine
from split_report import plot, result_text

from datagen.splitting import (
    Always,
    AtRandom,
    ByBandit,
    ContextualBandit,
    Decider,
    EpsilonGreedy,
    Finished,
    LeastLoaded,
    Placer,
    RandomHosts,
    Task,
    UpperConfidence,
    draw_tasks,
    interval_starts,
    reward,
    simulate_splits,
)
from datagen.splitting.applications import INTERVAL
from datagen.splitting.deciders import CONTEXTS, SPLITS
from surrogate.evaluator import SurrogateEvaluator, load_surrogate
from surrogate.optimizers.split_placement import GradientPlacer

TRAINING = 500
"""Tasks that bandits are trained on."""

NARROW = 0.3
"""Width of the second upper confidence bound: rewards differ by tenths, not by ones."""

MEANS = (1.0, 1.5, 2.0)
"""Means of SplitPlace's normal deviate: 0.5, 1 and 1.5 tasks per interval. The first is its own for
ten hosts; at the last, always splitting layer-wise keeps the hosts nearly busy."""

PLACED_MEAN = MEANS[-1]
"""Where placements are compared: where hosts are busy."""

PAPER = {"response": 0.46, "violations": 0.69, "accuracy": 0.03, "reward": 0.12}
"""Largest gains that the abstract of arXiv 2205.10635 names."""

FEW = 0.01
"""Share of missed deadlines below which parts of it say nothing."""

FIXED = ("always layer", "always semantic", "random")
MEASURES = ("response", "violations", "accuracy", "reward", "plain_reward", "layer")


def _trained(bandit: ContextualBandit, training: Sequence[Task], handoff: float) -> ByBandit:
    decider = ByBandit(bandit)
    simulate_splits(training, decider, handoff=handoff)
    if isinstance(bandit, EpsilonGreedy):
        bandit.settle()
    return decider


def deciders(training: Sequence[Task], seed: int, handoff: float = INTERVAL) -> dict[str, Decider]:
    """Return the deciders of one run.

    Args:
        training: What bandits are trained on.
        seed: Seed of their random numbers.
        handoff: Time that a piece occupies its host besides its work [s].

    Returns:
        Name -> decider.
    """

    def trained(kind: Callable[..., ContextualBandit], **settings: float) -> ByBandit:
        bandit = kind(CONTEXTS, SPLITS, np.random.default_rng([seed, 1]), **settings)
        return _trained(bandit, training, handoff)

    return {
        "always layer": Always("layer"),
        "always semantic": Always("semantic"),
        "random": AtRandom(np.random.default_rng([seed, 2])),
        "epsilon-greedy": trained(EpsilonGreedy),
        "UCB1": trained(UpperConfidence),
        f"UCB, width {NARROW:g}": trained(UpperConfidence, width=NARROW),
    }


def drawn(mean: float, count: int, seed: int) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
    """Draw the tasks to train on and those to be judged by.

    Args:
        mean: Mean of the normal deviate behind the number of tasks per interval.
        count: Tasks to be judged by.
        seed: Seed.

    Returns:
        Both.
    """
    rng = np.random.default_rng([seed, 0])
    training = draw_tasks(interval_starts(mean, TRAINING, rng), rng)
    return training, draw_tasks(interval_starts(mean, count, rng), rng)


def measures(finished: Sequence[Finished]) -> tuple[float, ...]:
    """Return what is said of a run, in the order of :data:`MEASURES`.

    Args:
        finished: Its tasks.

    Returns:
        Mean response [intervals], share of deadlines missed, accuracy, reward, the paper's plain
        reward (the mean of deadlines met and accuracy), share of layer-wise splits.
    """
    late = float(np.mean([not done.in_time for done in finished]))
    accuracy = float(np.mean([done.accuracy for done in finished]))
    return (
        float(np.mean([done.response for done in finished])) / INTERVAL,
        late,
        accuracy,
        float(np.mean([reward(done) for done in finished])),
        0.5 * (1.0 - late + accuracy),
        float(np.mean([done.split == "layer" for done in finished])),
    )


def _row(about: dict[str, Any], runs: Sequence[tuple[float, ...]]) -> dict[str, Any]:
    table = np.array(runs)
    error = table.std(axis=0, ddof=1) / np.sqrt(len(table)) if len(table) > 1 else [None] * 6
    row = about | dict(zip(MEASURES, table.mean(axis=0).tolist(), strict=True))
    row["reward_se"] = None if error[3] is None else float(error[3])
    return row


def decisions(repeats: int, count: int) -> list[dict[str, Any]]:
    """Compare the deciders, with least-loaded placement.

    Args:
        repeats: Runs with tasks of their own.
        count: Tasks of each.

    Returns:
        A row per arrival rate, hand-off and decider.
    """
    cells = [(mean, INTERVAL) for mean in MEANS] + [(MEANS[-1], 0.0)]
    rows = []
    for mean, handoff in cells:
        runs: dict[str, list[tuple[float, ...]]] = {}
        for seed in range(repeats):
            training, tasks = drawn(mean, count, seed)
            for name, decider in deciders(training, seed, handoff).items():
                finished = simulate_splits(tasks, decider, handoff=handoff)
                runs.setdefault(name, []).append(measures(finished))
        for name, own in runs.items():
            rows.append(_row({"mean": mean, "handoff": handoff, "decider": name}, own))
    return rows


def placements(surrogate: SurrogateEvaluator, repeats: int, count: int) -> list[dict[str, Any]]:
    """Compare placements, for fixed choices and for the bandits.

    Args:
        surrogate: Whose gradient is followed.
        repeats: Runs with tasks of their own.
        count: Tasks of each.

    Returns:
        A row per placement and decider.
    """

    def placers(seed: int) -> dict[str, Placer]:
        def hosts() -> RandomHosts:
            return RandomHosts(np.random.default_rng([seed, 3]))

        return {
            "random": hosts(),
            "least-loaded": LeastLoaded(),
            "gradient": GradientPlacer(surrogate),
            "gradient from random": GradientPlacer(surrogate, hosts()),
        }

    runs: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for seed in range(repeats):
        training, tasks = drawn(PLACED_MEAN, count, 1000 + seed)
        for placer in placers(seed):
            for name, decider in deciders(training, seed).items():
                if name.startswith("UCB") or (placer.endswith("random") and name in FIXED):
                    continue  # they say nothing more of placements
                finished = simulate_splits(tasks, decider, placers(seed)[placer])
                runs.setdefault((placer, name), []).append(measures(finished))
    return [
        _row({"mean": PLACED_MEAN, "placement": placer, "decider": name}, own)
        for (placer, name), own in runs.items()
    ]


def gains(rows: Sequence[dict[str, Any]], ours: str) -> dict[str, Any]:
    """Return what a decider gains over fixed choices.

    Args:
        rows: Rows of one arrival rate, hand-off and placement.
        ours: Name of the decider.

    Returns:
        By fixed choice: parts by which response and violations are lower, and accuracy and reward
        higher; None for violations where there are few to avoid.
    """
    found = {row["decider"]: row for row in rows}
    own = found[ours]
    return {
        other: {
            "response": 1.0 - own["response"] / found[other]["response"],
            "violations": (
                1.0 - own["violations"] / found[other]["violations"]
                if found[other]["violations"] >= FEW
                else None
            ),
            "accuracy": own["accuracy"] / found[other]["accuracy"] - 1.0,
            "reward": own["reward"] / found[other]["reward"] - 1.0,
        }
        for other in FIXED
    }


def measure(
    checkpoint: str, *, repeats: int, tasks: int, placed_repeats: int, placed_tasks: int
) -> dict[str, Any]:
    """Measure everything.

    Args:
        checkpoint: Name or folder of the surrogate.
        repeats: Runs that compare deciders.
        tasks: Tasks of each.
        placed_repeats: Runs that compare placements.
        placed_tasks: Tasks of each.

    Returns:
        Rows, gains, and the machine.
    """
    decided = decisions(repeats, tasks)
    placed = placements(load_surrogate(checkpoint), placed_repeats, placed_tasks)
    gained = []
    for mean, handoff in dict.fromkeys((row["mean"], row["handoff"]) for row in decided):
        own = [row for row in decided if (row["mean"], row["handoff"]) == (mean, handoff)]
        gained.append({"mean": mean, "handoff": handoff, "over": gains(own, "epsilon-greedy")})
    by_gradient = [row for row in placed if row["placement"] == "gradient"]
    return {
        "checkpoint": checkpoint,
        "repeats": repeats,
        "tasks": tasks,
        "placed_repeats": placed_repeats,
        "placed_tasks": placed_tasks,
        "rows": decided,
        "gains": gained,
        "placements": placed,
        "splitplace": {"mean": PLACED_MEAN, "over": gains(by_gradient, "epsilon-greedy")},
        "paper": PAPER,
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
    parser.add_checkpoint()
    parser.add_argument("--repeats", metavar="R", type=int, default=10, help="runs for deciders")
    parser.add_argument("--tasks", metavar="N", type=int, default=2000, help="tasks of each")
    parser.add_argument(
        "--placed-repeats", metavar="R", type=int, default=3, help="runs for placements"
    )
    parser.add_argument("--placed-tasks", metavar="N", type=int, default=300, help="tasks of each")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="measures against arrivals")
    given = parser.given(arguments)
    torch.set_num_threads(1)  # one small network at a time: threads would only wait for each other
    report = measure(
        given.checkpoint,
        repeats=given.repeats,
        tasks=given.tasks,
        placed_repeats=given.placed_repeats,
        placed_tasks=given.placed_tasks,
    )
    if given.plot is not None:
        plot(report["rows"], given.plot)
    deliver("split_decision", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
