"""Searches for batching: against an exhaustive grid, and all decisions at once against in turn.

**Grid.** On random hubs, ``tune_npu`` gets a few seconds; every point of a grid of policies, sizes,
time-outs, variants and thresholds is simulated, the best of these again for longer. Both answers
are then judged by one long simulation on random numbers that neither has met.

**Joint.** On random homes of accelerator and processors, ``tune_jointly`` gets some seconds; its
rival is given as many in three parts: placement, then thresholds and routing, then batching, each
starting from what the part before found. Both are judged in the same way.

Seconds are of processor time, so that other programs on the machine change nothing.

    python benchmarks/npu_search.py --json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from npu_problems import hub, mixed, wanted_accuracy
from result_file import BenchmarkParser, deliver, head, machine

from datagen.deployment import Deployment
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers import (
    AccuracyFloor,
    Budget,
    Constraint,
    DecisionSpace,
    Latency,
    LossLimit,
    proof,
    tune_jointly,
    tune_npu,
)
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.known_accuracy import KnownAccuracy
from surrogate.optimizers.proof import same_window
from surrogate.optimizers.tuning import NPU_DECISIONS

PROBLEMS = 10

TUNE_SECONDS = 5.0
JOINT_SECONDS = 6.0

LOSS = 0.01
"""Largest system loss ratio."""

GRID_SIZES, GRID_WAITS, GRID_OPEN = 3, 3, 10
"""Values of sizes, time-outs and each threshold in the grid, spread over those of the search."""

GRID_EVENTS, AGAIN_EVENTS = 2e4, 4e5
"""Events per point of the grid, and of the best of them."""

AGAIN = 40
"""Best points of the grid that are simulated again."""

JUDGE_EVENTS = 1e6
"""Events of the simulation that judges answers: a mean latency is known to half a percent."""

NEAR = 0.03
"""What an answer may be worse than the grid's and still count as near."""

ALIKE = 0.005
"""Difference between two answers that is none: less than the judge can tell."""

SLACK = 0.005
"""Share of a limit by which an answer may break it in the judgement, as that has noise, too."""

PARTS = (("placement",), ("thresholds", "routing"), ("batching", "variant"))

ROUNDS = 512
"""Points of the grid that are simulated at once."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem with its limits.

    Args:
        start: Where searches start.
        constraints: What has to be kept.
    """

    start: Deployment
    constraints: tuple[Constraint, ...]

    @property
    def goal(self) -> Goal:
        """The mean latency under the limits."""
        return Goal.of(Latency(), self.constraints)


def case_of(start: Deployment, number: int) -> Case:
    """Return a random problem with its limits."""
    floor = AccuracyFloor(wanted_accuracy(start, number))
    return Case(start=start, constraints=(floor, LossLimit(LOSS)))


def judged(case: Case, answers: Sequence[Deployment], seed: int) -> list[dict[str, float]]:
    """Simulate answers for long, on the same random numbers.

    Returns:
        Mean latency, excess over the limits, attainment, accuracy and loss of each.
    """
    options = same_window(case.start.problem, events=JUDGE_EVENTS, replications=4, seed=seed)
    rows = []
    for answer in answers:
        found = SimulationEvaluator(options).evaluate([answer])
        rows.append({
            "latency": float(case.goal.plain(found)[0, 0]),
            "over": float(case.goal.over(found)[0]),
            "attainment": float(found.chain["attainment"].mean()),
            "accuracy": float(found.chain["accuracy_offered"].mean()),
            "loss_ratio": float(found.deployment["loss_ratio"][0]),
        })
    return rows


def grid_rows(space: DecisionSpace) -> np.ndarray:
    """Return every point of the grid, as rows of the space [B, K]."""
    # Policy, size, time-out and variant of the one accelerator come first; all that is not thinned
    # out is there.
    thinned = [np.inf, GRID_SIZES, GRID_WAITS, np.inf]
    thinned += [GRID_OPEN] * (len(space.columns) - len(thinned))
    values = []
    for column, most in zip(space.columns, thinned, strict=True):
        places = np.linspace(0, column.count - 1, int(min(most, column.count)))
        values.append(np.unique(np.rint(places).astype(int)))
    rows = np.array(list(product(*values)), dtype=np.int32)
    return np.unique(space.canonical(rows), axis=0)


def best_of_grid(case: Case, seed: int) -> tuple[Deployment, int]:
    """Simulate the whole grid; return its best point and how many there were."""
    space = DecisionSpace(case.start, NPU_DECISIONS)
    rows = grid_rows(space)
    values = np.concatenate([
        _values(case, space, part, GRID_EVENTS, 1, seed)
        for part in np.array_split(rows, -(-len(rows) // ROUNDS))
    ])
    best = rows[np.argsort(values, kind="stable")[:AGAIN]]
    again = _values(case, space, best, AGAIN_EVENTS, 4, seed + 1)
    return space.candidates(best).deployment(int(np.argmin(again))), len(rows)


def _values(
    case: Case, space: DecisionSpace, rows: np.ndarray, events: float, runs: int, seed: int
) -> np.ndarray:
    options = same_window(case.start.problem, events=events, replications=runs, seed=seed)
    # The grid knows its accuracies, as our search does: else its best points break their floors.
    found = KnownAccuracy(SimulationEvaluator(options)).evaluate(space.candidates(rows))
    return case.goal.values(found, space.excess(rows))[:, 0]


def against_grid(number: int, seconds: float) -> dict[str, Any]:
    """Compare ``tune_npu`` with the exhaustive grid on a random hub."""
    case, began = case_of(hub(number), number), time.process_time()
    ours = tune_npu(
        case.start,
        budget=Budget(seconds=seconds, time="processor"),
        seed=number,
        constraints=case.constraints,
    )
    tuned = time.process_time()
    grid, points = best_of_grid(case, seed=1000 + number)
    searched = time.process_time()
    ours_row, grid_row = judged(case, [ours.deployment, grid], seed=2000 + number)
    return {
        "problem": number,
        "ours": ours_row,
        "grid": grid_row,
        "start": judged(case, [case.start], seed=2000 + number)[0],
        "ratio": ours_row["latency"] / grid_row["latency"],
        "near": _at_least_as_good(ours_row, grid_row, NEAR),
        "evaluations": ours.evaluations,
        "seconds": ours.seconds,
        "seconds_with_proof": tuned - began,
        "grid_points": points,
        "grid_seconds": searched - tuned,
        "chosen": ours.to_dict()["npu"]["hub"],
    }


def in_turn(case: Case, seconds: float, seed: int) -> tuple[Deployment, int]:
    """Decide placement, thresholds and routing, and batching one after the other."""
    found, evaluations = case.start, 0
    for decide in PARTS:
        result = tune_jointly(
            found,
            budget=Budget(seconds=seconds / len(PARTS), time="processor"),
            seed=seed,
            decide=decide,
            constraints=case.constraints,
        )
        found, evaluations = result.deployment, evaluations + result.evaluations
    return found, evaluations


def against_turns(number: int, seconds: float) -> dict[str, Any]:
    """Compare ``tune_jointly`` with deciding in turn, at equal time, on a random home."""
    case = case_of(mixed(number), number)
    ours = tune_jointly(
        case.start,
        budget=Budget(seconds=seconds, time="processor"),
        seed=number,
        constraints=case.constraints,
    )
    other, evaluations = in_turn(case, seconds, number)
    rows = judged(case, [ours.deployment, other, case.start], seed=3000 + number)
    return {
        "problem": number,
        "ours": rows[0],
        "in_turn": rows[1],
        "start": rows[2],
        "gain": 1.0 - rows[0]["latency"] / rows[1]["latency"],
        "at_least_as_good": _at_least_as_good(rows[0], rows[1], ALIKE),
        "evaluations": ours.evaluations,
        "in_turn_evaluations": evaluations,
    }


def _at_least_as_good(ours: dict[str, float], other: dict[str, float], slack: float) -> bool:
    """Tell whether an answer keeps the limits and is as fast but for slack, or breaks them less."""
    kept, others_kept = ours["over"] <= SLACK, other["over"] <= SLACK
    if kept and others_kept:
        return ours["latency"] <= (1.0 + slack) * other["latency"]
    return kept or (not others_kept and ours["over"] <= other["over"])


def report_of(given: Any) -> dict[str, Any]:
    """Measure everything that was asked for."""
    # Searches prove their answers themselves; here the judge does, for longer.
    proof.VERIFICATION_EVENTS = 1e5
    grid, joint = [], []
    for number in range(given.problems):
        grid.append(against_grid(number, given.seconds))
        _tell(
            f"hub {number}: {grid[-1]['ratio']:.3f} of the grid's latency, near "
            f"{grid[-1]['near']}, grid {grid[-1]['grid_seconds']:.0f} s"
        )
        joint.append(against_turns(number, given.joint_seconds))
        _tell(
            f"home {number}: {joint[-1]['gain']:+.1%} less latency than in turn, as good "
            f"{joint[-1]['at_least_as_good']}"
        )
    both = [
        row["gain"] for row in joint if max(row["ours"]["over"], row["in_turn"]["over"]) <= SLACK
    ]
    return {
        "machine": machine(),
        "problems": given.problems,
        "seconds": given.seconds,
        "joint_seconds": given.joint_seconds,
        "grid": grid,
        "near": sum(row["near"] for row in grid),
        "joint": joint,
        "at_least_as_good": sum(row["at_least_as_good"] for row in joint),
        "median_gain": float(np.median(both)) if both else None,
        "limits_kept": {
            "joint": sum(row["ours"]["over"] <= SLACK for row in joint),
            "in_turn": sum(row["in_turn"]["over"] <= SLACK for row in joint),
        },
    }


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def _milliseconds(row: dict[str, float]) -> str:
    kept = "" if row["over"] <= SLACK else f" (limits broken by {row['over']:.1%})"
    return f"{1e3 * row['latency']:.3g}{kept}"


def result_text(report: dict[str, Any], command: str, hardware: str | None) -> str:
    """Return the content of a result file."""
    count = report["problems"]
    lines = head(
        "Searches for batching",
        report["machine"],
        configuration=(
            f"{count} random hubs, {report['seconds']:g} s of processor time each; {count} random "
            f"homes, {report['joint_seconds']:g} s each; loss at most {LOSS:g}, accuracy floors by "
            f"problem; judged by {JUDGE_EVENTS:g} events on fresh seeds"
        ),
        command=command,
        hardware=hardware,
    )
    lines += [
        "## One accelerator, against an exhaustive grid",
        "",
        f"Within {NEAR:.0%} of the grid's mean latency, or below, on {report['near']} of {count}.",
        "",
        "| hub | start [ms] | grid [ms] | tuned [ms] | tuned/grid | simulated by the search "
        "| points of the grid | its time [s] | chosen |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in report["grid"]:
        chosen = row["chosen"]
        lines.append(
            f"| {row['problem']} | {_milliseconds(row['start'])} | {_milliseconds(row['grid'])} "
            f"| {_milliseconds(row['ours'])} | {row['ratio']:.3f} | {row['evaluations']} "
            f"| {row['grid_points']} | {row['grid_seconds']:.0f} "
            f"| {chosen['policy']} {chosen['max_batch']}, {1e3 * chosen['timeout']:.2g} ms, "
            f"{chosen.get('variant')} |"
        )
    kept, gain = report["limits_kept"], report["median_gain"]
    lines += [
        "",
        "## Accelerator and processors, all decisions at once against in turn",
        "",
        f"At least as good on {report['at_least_as_good']} of {count}; the limits are kept on "
        f"{kept['joint']} and {kept['in_turn']}. Median gain in mean latency where both keep them: "
        + ("none." if gain is None else f"{gain:.1%}."),
        "",
        "| home | start [ms] | in turn [ms] | jointly [ms] | gain | at least as good "
        "| candidates jointly | in turn |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["joint"]:
        lines.append(
            f"| {row['problem']} | {_milliseconds(row['start'])} "
            f"| {_milliseconds(row['in_turn'])} | {_milliseconds(row['ours'])} "
            f"| {row['gain']:+.1%} | {'yes' if row['at_least_as_good'] else 'no'} "
            f"| {row['evaluations']} | {row['in_turn_evaluations']} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = BenchmarkParser(__doc__)
    add = parser.add_argument
    add("--problems", type=int, default=PROBLEMS, help="problems of each kind")
    add("--seconds", type=float, default=TUNE_SECONDS, help="processor time of tune_npu")
    add("--joint-seconds", type=float, default=JOINT_SECONDS, help="that of tune_jointly")
    given = parser.given(arguments)
    deliver("npu_search", report_of(given), given, result_text=result_text)


if __name__ == "__main__":
    main()
