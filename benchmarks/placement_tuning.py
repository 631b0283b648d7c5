"""Tunes the rival of the placement benchmark: annealing on the compiled simulator.

``python benchmarks/placement_tuning.py --seconds 1 5`` finds, for each budget, the length
of a simulation, then the cooling, then the number of neighbours judged at once, that give the least
loss on problems which the benchmark does not use, and notes them in ``placement_tuned.json`` with
all that was tried.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from placement_cases import TUNING_SEED, cases
from placement_rivals import TUNED, LossSimulator, Tuning
from placement_trial import FLOOR, judged, row_of, searched

from datagen.deployment import Deployment
from surrogate.optimizers import proof

FIRST = Tuning(events=3e4, cooling=1e-3, tries=8)
"""Where tuning begins: the defaults of the annealing."""

TRIED: dict[str, tuple[float, ...]] = {
    "events": (3e3, 1e4, 3e4, 1e5, 3e5, 1e6),
    "cooling": (1e-1, 1e-2, 1e-3),
    "tries": (1, 4, 8, 16),
}
"""What is varied, one after the other, the best of each being kept."""

JUDGING_EVENTS = 4e5
"""Events of the simulation that judges what was found."""

JUDGING_SEED = 41


def score(problems: Sequence[tuple[int, Deployment]], tuning: Tuning, seconds: float) -> float:
    """Return the mean logarithm of the loss that a setting leads to.

    Args:
        problems: Row and start of each.
        tuning: The setting.
        seconds: Budget [s of processor time].

    Returns:
        The mean; less is better.
    """
    logs = []
    for row, start in problems:
        simulator = LossSimulator.of(start, events=tuning.events, seed=row)
        result = searched(
            start, simulator, tuning.search(), seconds=seconds, time="processor", seed=row
        )
        measures = judged(start, row_of(result), events=JUDGING_EVENTS, seed=JUDGING_SEED)
        logs.append(np.log(measures.deployment["loss_ratio"][0] + FLOOR))
    return float(np.mean(logs))


def tune(problems: Sequence[tuple[int, Deployment]], seconds: float) -> dict[str, Any]:
    """Tune for one budget.

    Args:
        problems: Row and start of each.
        seconds: Budget [s of processor time].

    Returns:
        The chosen settings, and what was tried with its score.
    """
    known: dict[Tuning, float] = {}

    def scored(tuning: Tuning) -> float:
        if tuning not in known:
            known[tuning] = score(problems, tuning, seconds)
            sys.stderr.write(f"{seconds:g} s, {tuning}: {known[tuning]:.4f}\n")
        return known[tuning]

    best = FIRST
    for name, values in TRIED.items():
        kind = type(getattr(FIRST, name))
        best = min((replace(best, **{name: kind(value)}) for value in values), key=scored)
    tried = [asdict(tuning) | {"mean_log_loss": value} for tuning, value in known.items()]
    return {"chosen": asdict(best), "tried": tried}


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune and write the file.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--seconds", type=float, nargs="+", action="extend", required=True, help="budgets [s]"
    )
    parser.add_argument("--problems", type=int, default=9, help="how many to tune on")
    given = parser.parse_args(arguments)
    proof.VERIFICATION_EVENTS = 1e4  # outside the budget, and not read here
    problems = cases(given.problems, TUNING_SEED)
    document: dict[str, Any] = {"chosen": {}, "tried": {}}
    if TUNED.exists():
        document = json.loads(TUNED.read_text(encoding="utf-8"))
    for seconds in given.seconds:
        found = tune(problems, seconds)
        document["chosen"][f"{seconds:g}"] = found["chosen"]
        document["tried"][f"{seconds:g}"] = {"problems": given.problems, "scores": found["tried"]}
        TUNED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
