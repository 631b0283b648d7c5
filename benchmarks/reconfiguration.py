"""When the load rises: cheapest moves against a new placement and against doing nothing.

``python benchmarks/reconfiguration.py --json`` takes problems of the placement benchmark. A search
places each at its load until the change; then all rates rise by a factor, and three ways follow:
the cheapest moves that keep a loss target, the placement that a full search finds, and nothing. The
target lies between what a full search reaches at the new load and what is lost without moves. All
moves go at one bandwidth; each way is simulated across the change, with requests refused while
fragments of their chain are on their way, for one length of time. Problems where nothing is to be
gained, because doing nothing loses hardly more than a full search, are passed over.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from placement_cases import EVALUATION_SEED, cases
from placement_trial import judged, searched
from result_file import BenchmarkParser, deliver, head, machine

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.evaluation import Evaluator
from surrogate import load_surrogate
from surrogate.optimizers import Budget, PlacementSpace, reconfigure
from surrogate.optimizers.lookup import scaled
from surrogate.optimizers.migration import Migration
from surrogate.optimizers.reconfiguration import timeline_of
from surrogate.optimizers.space import Placements
from surrogate.optimizers.transition import simulate_change

WAYS = ("cheapest", "full", "nothing")

SHARE = 0.5
"""Where the target lies between the loss of a full search (0) and that without moves (1)."""

LEAST_GAIN = 0.005
"""Difference of these two losses from which a problem counts."""

WEIGHTS = (1e6, 2e7)
"""Range of the weights of a fragment [bytes], log-uniform: those of small networks."""

ROOM = 1.5
"""Memory over what the fragments of the problem weigh, shared out evenly."""

CHANGE_SEED = 5150
"""Of the simulation across the change; no search uses it."""

JUDGING_EVENTS = 1e6


def with_weights(start: Deployment, seed: int) -> Deployment:
    """Return a problem whose fragments weigh differently, and boards with room for them.

    Args:
        start: A problem of the placement benchmark.
        seed: Seed of the weights.

    Returns:
        The same placed least-loaded.
    """
    rng = np.random.default_rng(seed)
    problem = start.problem
    chains = []
    for chain in problem.chains:
        drawn = np.exp(rng.uniform(*np.log(WEIGHTS), size=len(chain.fragments)))
        pairs = zip(chain.fragments, drawn.round().tolist(), strict=True)
        fragments = tuple(replace(fragment, weights=weight) for fragment, weight in pairs)
        chains.append(replace(chain, fragments=fragments))
    total = sum(f.weights for chain in chains for f in chain.fragments)
    memory = max(ROOM * total / len(problem.devices), 2 * WEIGHTS[1])
    devices = tuple(replace(device, memory=memory) for device in problem.devices)
    other = replace(problem, devices=devices, chains=tuple(chains))
    return replace(start, problem=other)


def compared(
    evaluator: Evaluator, number: int, start: Deployment, given: argparse.Namespace
) -> dict[str, Any] | None:
    """Let every way meet the change of one problem.

    Args:
        evaluator: Judges placements.
        number: Number of the problem, and seed of its searches.
        start: The problem at the load before the change.
        given: Factor, bandwidth and budgets.

    Returns:
        One row; None where nothing is to be gained.
    """

    def found(base: Deployment) -> Deployment:
        result = searched(
            base, evaluator, None, seconds=given.seconds, time=given.time, seed=number
        )
        return result.deployment

    running = found(start)
    after = scaled(running, given.factor)
    space = PlacementSpace(after)
    full = found(after)
    rows = np.stack([PlacementSpace(full).start, space.start])
    measures = judged(after, rows, events=JUDGING_EVENTS, seed=CHANGE_SEED)
    best, still = measures.deployment["loss_ratio"].tolist()
    if still - best < LEAST_GAIN:
        return None
    target = best + SHARE * (still - best)
    result = reconfigure(
        running,
        after.problem,
        evaluator,
        loss_target=target,
        bandwidth=given.bandwidth,
        budget=Budget(seconds=given.seconds, time=given.time),
        seed=number,
        across=False,
    )
    placements = {
        "cheapest": PlacementSpace(result.deployment).start,
        "full": rows[0],
        "nothing": rows[1],
    }
    seconds, ways = _played(running, Migration(space, given.bandwidth), placements)
    return {
        "problem": number,
        "devices": space.devices,
        "fragments": space.slots,
        "target": target,
        "kept": result.feasible,
        "cheapest": result.cheapest,
        "predicted": result.predicted.loss_ratio,
        "verified": result.verified.loss_ratio,
        "aimed": result.aimed,
        "evaluations": result.evaluations,
        "seconds_since": seconds,
        "ways": ways,
    }


def _played(
    running: Deployment, migration: Migration, placements: Mapping[str, Placements]
) -> tuple[float, dict[str, dict[str, float]]]:
    """Simulate the change with every way, all for as long as the longest moves want.

    Returns:
        Time since the change [s], and what each way costs and brings.
    """
    space, ways = migration.space, {}
    longest = max((migration.outages(row) for row in placements.values()), key=_length)
    timeline = timeline_of(running, space.base.problem, longest)
    for name, row in placements.items():
        outages = migration.outages(row)
        deployment = space.candidates(row[None]).deployment(0)
        change = simulate_change(running, deployment, outages, timeline, seed=CHANGE_SEED)
        ways[name] = {
            "bytes": float(migration.bytes(row[None])[0]),
            "moves": len(migration.moves(row)),
            "moving_seconds": _length(outages),
            "refused": change.since.refused,
            "loss_since": change.since.loss_ratio,
            "loss_after": change.phases[-1].loss_ratio,
        }
    return timeline.end - timeline.change, ways


def _length(outages: Sequence[Any]) -> float:
    """Return how long moves take [s]."""
    return float(outages[-1].end) if outages else 0.0


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return medians over the problems, of bytes over those of a full search among others.

    Args:
        rows: Rows of the comparison, at least one.

    Returns:
        Plain figures.
    """
    share = [row["ways"]["cheapest"]["bytes"] / row["ways"]["full"]["bytes"] for row in rows]
    return {
        "problems": len(rows),
        "kept": statistics.mean(row["kept"] for row in rows),
        "proved_cheapest": statistics.mean(row["cheapest"] for row in rows),
        "median_bytes_over_full": statistics.median(share),
        "median": {
            name: {
                value: statistics.median(row["ways"][name][value] for row in rows)
                for value in ("bytes", "moves", "refused", "loss_since", "loss_after")
            }
            for name in WAYS
        },
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Compare the ways on every problem.

    Args:
        given: The options.

    Returns:
        Plain figures.
    """
    evaluator: Evaluator = AnalyticEvaluator()
    if given.checkpoint != "analytic":
        evaluator = load_surrogate(given.checkpoint)
    about = machine()
    rows, passed = [], []
    for number, start in cases(given.problems, EVALUATION_SEED):
        calm = scaled(with_weights(start, number), 1.0 / given.factor)
        row = compared(evaluator, number, calm, given)
        if row is None:
            passed.append(number)
            continue
        rows.append(row)
        done = {name: f"{way['loss_since']:.4f}" for name, way in row["ways"].items()}
        sys.stderr.write(f"problem {number}: target {row['target']:.4f}, lost since {done}\n")
    settings = ("checkpoint", "factor", "bandwidth", "seconds", "time")
    return {name: getattr(given, name) for name in settings} | {
        "rows": rows,
        "passed_over": passed,
        "summary": summary(rows) if rows else None,
        "machine": about,
    }


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What :func:`measure` gave.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    lines = head(
        "Reconfiguration when the load rises",
        report["machine"],
        configuration=f"judge {report['checkpoint']}, all rates times {report['factor']:g}, moves "
        f"at {report['bandwidth']:.0e} bytes/s, {report['seconds']:g} s ({report['time']} time) a "
        "search",
        command=command,
        hardware=hardware,
    )
    told = report["summary"]
    if told is None:
        return "\n".join([*lines, "No problem where anything is to be gained.", ""])
    lines += [
        f"{told['problems']} problems; passed over, for moves would gain less than "
        f"{100 * LEAST_GAIN:g} points: {len(report['passed_over'])}. The target lies half-way "
        "between the loss of a full new placement and that without moves.",
        "",
        f"Target kept in the verification: {_percent(told['kept'])}. Everything cheaper tried: "
        f"{_percent(told['proved_cheapest'])}. Bytes over those of a full new placement (median): "
        f"{told['median_bytes_over_full']:.3f}.",
        "",
        "| median of | MB moved | moves | requests refused | loss since the change | loss after the"
        " moves |",
        "|---|---|---|---|---|---|",
    ]
    for name, way in told["median"].items():
        lines.append(
            f"| {SAID[name]} | {way['bytes'] / 1e6:.1f} | {way['moves']:g} | {way['refused']:.1f} "
            f"| {_percent(way['loss_since'])} | {_percent(way['loss_after'])} |"
        )
    return "\n".join([*lines, "", *_problem_lines(report["rows"])])


SAID = {"cheapest": "cheapest moves", "full": "full new placement", "nothing": "doing nothing"}


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _problem_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line per problem: loss since the change, and MB moved."""
    heads = [f"{SAID[name]}: lost, MB" for name in WAYS[:2]]
    lines = [
        f"| problem | devices | fragments | target | predicted | verified | {' | '.join(heads)} | "
        "doing nothing: lost |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ways = row["ways"]
        told = [
            f"{_percent(ways[n]['loss_since'])}, {ways[n]['bytes'] / 1e6:.1f}" for n in WAYS[:2]
        ]
        lines.append(
            f"| {row['problem']} | {row['devices']} | {row['fragments']} "
            f"| {_percent(row['target'])} | {_percent(row['predicted'])} "
            f"| {_percent(row['verified'])} | {' | '.join(told)} "
            f"| {_percent(ways['nothing']['loss_since'])} |"
        )
    return [
        *lines,
        "",
        "Lost: of the requests since the change, with those refused while their chain is away.",
        "",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    add = parser.add_argument
    parser.add_checkpoint(said="name, folder, or analytic")
    add("--problems", metavar="N", type=int, default=12, help="problems looked at")
    add("--factor", metavar="X", type=float, default=1.4, help="rates after over those before")
    add("--bandwidth", metavar="B", type=float, default=1e6, help="bytes per second of a move")
    add("--seconds", metavar="B", type=float, default=2.0, help="budget of each search [s]")
    add("--time", choices=("processor", "wall"), default="processor", help="time of the budgets")
    given = parser.given(arguments)
    deliver("reconfiguration", measure(given), given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
