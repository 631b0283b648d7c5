"""How often verified intervals contain the truth, on many small placements.

``python benchmarks/verified_intervals.py --json`` draws small placement problems that lose 0.1 to
30 %, an equal number from each class of loss, placed at random, by balancing loads or by annealing.
Each is verified as a search verifies its winner (``surrogate.optimizers.verification``), and
simulated again, with other random numbers, 16 times as long as the round that verification ended
with. ``--events`` is the length of the first round; short ones make many placements affordable and
are the harder test, for averages of short runs are less normal.

The longer simulation has an error of its own. An interval counts as holding *the truth* if it and
the estimate differ by no more than both errors together, and as holding *the estimate* if the
estimate lies in it, of which an exact 95 % interval does 94.3 % when the other error is a quarter
of its own.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from placement_report import table
from result_file import BenchmarkParser, deliver, head, machine
from scipy.stats import binomtest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment, Problem
from datagen.scenarios.placement import PlacementScenario
from datagen.simulator import SimulationEvaluator, SimulationOptions
from datagen.simulator.standard_errors import Z_LEVEL
from surrogate.optimizers import PlacementSpace
from surrogate.optimizers.verification import Verification

SCENARIO = PlacementScenario(
    chains=(1, 8), length=(1, 6), devices=(2, 12), load=(0.2, 1.5), random_service=0.3
)
"""Small problems: events cost the same everywhere, drawing and packing do not."""

CLASSES = (0.001, 0.01, 0.1, 0.3)
"""Loss ratios at which classes begin, and beyond the last, as the approximation has them."""

LONGER = 16.0
"""Length of the independent simulation over the verification's."""

PROBLEM_SEED = 20261121
VERIFICATION_SEED, LONGER_SEED = 11, 12
"""Seeds; every placement takes its own number beside."""


@dataclass(frozen=True, kw_only=True)
class Noted(Verification):
    """Verification that notes how it simulated each round.

    Args:
        played: Options of the rounds so far.
    """

    played: list[SimulationOptions] = field(default_factory=list)

    def options(
        self, problem: Problem, events: float, most: float, memory: float, seed: int
    ) -> SimulationOptions:
        found = Verification.options(self, problem, events, most, memory, seed)
        self.played.append(found)
        return found


def placements(count: int) -> Iterator[tuple[int, int, Deployment]]:
    """Draw placements, as many of each class of loss.

    Args:
        count: How many, >= 1.

    Yields:
        Row of the scenario, class, and the placement.
    """
    classes = len(CLASSES) - 1
    wanted = [len(range(own, count, classes)) for own in range(classes)]
    row = 0
    while any(wanted):
        drawn = SCENARIO.sample(row, PROBLEM_SEED)
        loss = float(AnalyticEvaluator().evaluate([drawn]).deployment["loss_ratio"][0])
        own = int(np.searchsorted(CLASSES, loss, side="right")) - 1
        if 0 <= own < classes and wanted[own] > 0:
            wanted[own] -= 1
            yield row, own, drawn
        row += 1


def checked(row: int, own: int, deployment: Deployment, events: float) -> dict[str, Any]:
    """Verify one placement, and compare with a longer simulation.

    Args:
        row: Its number.
        own: Its class of loss.
        deployment: The placement.
        events: Events of the first round of verification.

    Returns:
        Plain values.
    """
    candidates = PlacementSpace(deployment).repeated_start(1)
    verification = Noted(events=events)
    found = verification.measured(candidates, _seed(VERIFICATION_SEED, row)).deployment
    last = verification.played[-1]
    assert last.horizon is not None
    longer = replace(last, horizon=LONGER * last.horizon, seed=_seed(LONGER_SEED, row))
    truth = SimulationEvaluator(longer).evaluate(candidates).deployment
    names = ("loss_ratio", "loss_ratio_low", "loss_ratio_high")
    loss, low, high = (float(found[name][0]) for name in names)
    estimate, error = float(truth["loss_ratio"][0]), float(truth["loss_ratio_se"][0])
    side = high - loss if estimate > loss else loss - low
    return {
        "row": row,
        "class": own,
        "rounds": len(verification.played),
        "events": float(found["events"][0]),
        "loss_ratio": loss,
        "ci95": [low, high],
        "longer": estimate,
        "longer_se": error,
        "holds_estimate": bool(low <= estimate <= high),
        "holds_truth": bool(abs(estimate - loss) <= np.hypot(side, Z_LEVEL * error)),
    }


def _seed(kind: int, row: int) -> int:
    return int(np.random.SeedSequence([kind, row]).generate_state(1)[0])


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the coverage, of all placements and by class of loss.

    Args:
        rows: What :func:`checked` gave.

    Returns:
        Share and its 95 % interval (Wilson) by what has to lie in the interval.
    """
    names = [f"{100 * low:g} to {100 * high:g} %" for low, high in pairwise(CLASSES)]
    parts = {"all": list(rows)}
    parts |= {name: [row for row in rows if row["class"] == n] for n, name in enumerate(names)}
    return {
        name: {
            kind: _share([row[kind] for row in own]) for kind in ("holds_truth", "holds_estimate")
        }
        | {"n": len(own), "median_width": _width(own)}
        for name, own in parts.items()
        if own
    }


def _share(inside: Sequence[bool]) -> dict[str, float]:
    found = binomtest(sum(inside), len(inside))
    between = found.proportion_ci(0.95, method="wilson")
    return {"share": sum(inside) / len(inside), "low": between.low, "high": between.high}


def _width(rows: Sequence[dict[str, Any]]) -> float:
    return statistics.median(
        0.5 * (row["ci95"][1] - row["ci95"][0]) / max(row["loss_ratio"], 1e-9) for row in rows
    )


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
        "Verified intervals against longer simulations",
        report["machine"],
        configuration=f"{report['placements']} placements, first round of {report['events']:.0e} "
        f"events, independent simulations {LONGER:g} times as long as the last round",
        command=command,
        hardware=hardware,
    )
    shown = [
        [name, str(part["n"]), *(_said(part[kind]) for kind in ("holds_truth", "holds_estimate"))]
        + [f"{100 * part['median_width']:.1f} %"]
        for name, part in report["summary"].items()
    ]
    names = ["loss", "placements", "hold the truth", "hold the estimate", "half-width / loss"]
    lines += table(names, shown)
    rounds = [row["rounds"] for row in report["rows"]]
    lines += [
        "In brackets: 95 % interval of the share (Wilson). An interval holds the truth if it and "
        "the longer simulation differ by no more than both errors together; the estimate of the "
        "longer simulation alone would lie in 94.3 % of exact intervals. Half-widths are medians.",
        "",
        f"Losses are classed by the analytic approximation. Verification took "
        f"{statistics.mean(rounds):.2f} rounds on average.",
        "",
    ]
    return "\n".join(lines)


def _said(found: dict[str, float]) -> str:
    share, low, high = (100 * found[name] for name in ("share", "low", "high"))
    return f"{share:.1f} % ({low:.1f} to {high:.1f})"


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Check every placement.

    Args:
        given: The options.

    Returns:
        Plain figures.
    """
    rows = []
    for row, own, deployment in placements(given.placements):
        rows.append(checked(row, own, deployment, given.events))
        told = rows[-1]
        inside = "holds" if told["holds_truth"] else "MISSES"
        sys.stderr.write(f"{len(rows)}: loss {told['loss_ratio']:.5f} {inside}\n")
    return {
        "placements": given.placements,
        "events": given.events,
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
    add("--placements", metavar="N", type=int, default=150, help="placements verified")
    add("--events", metavar="N", type=float, default=1e5, help="of the first round")
    given = parser.given(arguments)
    deliver("verified_intervals", measure(given), given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
