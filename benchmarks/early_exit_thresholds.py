"""Thresholds for a loss target: predicted, simulated, and beside what is exactly possible.

The network is CEED's measured ResNet-50 (folder ``ceed`` of the public data), cut after its gates;
where its jobs leave is told by a trace, recorded (``--trace``) or made up: exits that master
samples up to a difficulty, the accuracies of the golden table, and little beyond. Two topologies: a
gateway alone with room for 10 jobs, and a gateway that runs the first gates and sends what is left
to a near or to a far edge.
The load factor is the load of the busiest device if every job left at the last exit and none were
lost, both ways being taken alike.

    python benchmarks/early_exit_thresholds.py --json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from result_file import BenchmarkParser, deliver, head, machine

from datagen.analytic import ExitQueue, gamma_counts
from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, LogNormal
from datagen.errors import InvalidInputError
from datagen.evaluation import Evaluator, pack
from datagen.evaluation.loads import offered_load
from datagen.exits import ExitTrace, Thresholds
from surrogate.optimizers import ThresholdResult, tune_thresholds
from surrogate.optimizers.lookup import scaled

GATES = (3, 5, 7, 9, 11, 13, 15, 17, 19)
"""Layers of the profile that gates hang behind."""

ACCURACY = (0.55, 0.68, 0.74, 0.78, 0.84, 0.87, 0.89, 0.92, 0.93)
"""Accuracies of the golden table, which the profile itself does not tell."""

SAMPLES = 4000
SHARPNESS = 8.0
"""How steeply an exit's confidence falls with the difficulty of a sample."""

LOADS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
ROOM = 10
"""Jobs that each device holds, the one in service included."""

NEAR, FAR = 2.0, 5.0
"""Speeds of the edges; the gateway has 1."""

LOCAL = 3
"""Gates on the gateway where there are edges."""

BANDS = 4
CLOSE_ABSOLUTE, CLOSE_RELATIVE = 0.002, 0.25
"""A predicted loss is close within the larger of both."""

STATIC_SLACK, AWARE_SLACK = 0.003, 0.007
"""Accuracy by which a gateway may stay below the exact optima of single exits."""


def made_up_trace() -> ExitTrace:
    """Return a trace whose exits master the golden shares of samples and know when they do."""
    rng = np.random.default_rng(7)
    difficulty = rng.uniform(size=(SAMPLES, 1))
    # The chance to be right falls from 1 to 0 around the share of samples that the exit masters.
    right = 1.0 / (1.0 + np.exp(SHARPNESS * (difficulty - np.array(ACCURACY))))
    correct = rng.uniform(size=right.shape) < right
    noise = rng.normal(0.0, 0.3, size=right.shape)
    confidence = 1.0 / (1.0 + np.exp(-(np.log(right / (1.0 - right)) + noise)))
    return ExitTrace(name="trace", confidences=confidence, correct=correct)


def fragments(source: Path, exits: int) -> tuple[Fragment, ...]:
    """Return the profile cut after some of its gates, evenly spread, the last included.

    Args:
        source: Folder with ``system_profile.json``.
        exits: Number of exits.

    Returns:
        A fragment per exit.
    """
    profile = json.loads((source / "system_profile.json").read_text())
    layers = list(profile["backbone_execution_time"].values())
    gates = np.unique(np.round(np.linspace(0, len(GATES) - 1, exits)).astype(int)).tolist()
    parts, first = [], 0
    for gate in gates:
        last = GATES[gate] + 1
        mean = sum(layer["mean"] for layer in layers[first:last])
        variance = sum(layer["var"] for layer in layers[first:last])
        operations = profile["gate_execution_time"]
        cost = sum(v["mean"] for k, v in operations.items() if k.startswith(f"gate_{gate}_"))
        parts.append(
            Fragment(
                name=f"gate{gate}",
                service=LogNormal(mean=mean, scv=variance / mean**2),
                exit=None if gate == gates[-1] else Exit(head=Deterministic(mean=cost)),
            )
        )
        first = last
    return tuple(parts)


def deployed(parts: Sequence[Fragment], trace: ExitTrace, edges: bool, load: float) -> Deployment:
    """Return the network on a gateway alone, or with two edges, at a load factor."""
    chain = Chain(
        name="camera", arrivals=Poisson(rate=1.0), fragments=tuple(parts), trace=trace.name
    )
    devices = [Device(name="gateway", capacity=ROOM)]
    ways: list[tuple[str, ...]] = [("gateway",) * len(parts)]
    if edges:
        devices += [
            Device(name=n, speed=s, capacity=ROOM) for n, s in (("near", NEAR), ("far", FAR))
        ]
        first = ("gateway",) * LOCAL
        ways = [(*first, *(edge,) * (len(parts) - LOCAL)) for edge in ("near", "far")]
    never = (1.01,) * (len(parts) - 1)
    deployment = Deployment(
        problem=Problem(devices=tuple(devices), chains=(chain,), traces=(trace,)),
        placement={"camera": tuple(ways)},
        routing={"camera": tuple(1.0 / len(ways) for _ in ways)},
        exits={"camera": Thresholds(tau=never)},
    )
    busiest = float(offered_load(pack([deployment])).max())
    return scaled(deployment, load / busiest)


def single_exits(
    deployment: Deployment, trace: ExitTrace, target: float
) -> dict[str, float | None]:
    """Return the exact optima of policies that choose one exit per job on the gateway."""
    chain = deployment.problem.chains[0]
    rate, mean, variance, counts = chain.arrivals.rate, 0.0, 0.0, []
    for fragment in chain.fragments:
        law = fragment.service
        assert isinstance(law, LogNormal)
        mean, variance = mean + law.mean, variance + law.scv * law.mean**2
        own = 0.0 if fragment.exit is None else fragment.exit.head.mean  # the others are closed
        counts.append(gamma_counts(rate * (mean + own), variance / (mean + own) ** 2, ROOM))
    queue = ExitQueue(rate, counts, trace.correct.mean(axis=0))
    try:
        return {
            "exact_static": queue.static(target).accuracy_offered,
            "ceiling": queue.queue_aware(target).accuracy_offered,
        }
    except InvalidInputError:  # not even the first exit keeps the target
        return {"exact_static": None, "ceiling": None}


def row(result: ThresholdResult, **said: Any) -> dict[str, Any]:
    """Return what is reported of one result."""
    assert result.verified is not None
    predicted, simulated = result.predicted, result.verified
    low, high = simulated.outcome.ci95 or (float("nan"), float("nan"))
    close = max(CLOSE_ABSOLUTE, CLOSE_RELATIVE * simulated.loss_ratio)
    return said | {
        "loss_target": result.loss_target,
        "predicted_loss": predicted.loss_ratio,
        "simulated_loss": simulated.loss_ratio,
        "simulated_loss_low": low,
        "simulated_loss_high": high,
        "predicted_accuracy": predicted.accuracy_offered,
        "simulated_accuracy": simulated.accuracy_offered,
        "accuracy_ci95": simulated.accuracy_ci95,
        "close": abs(predicted.loss_ratio - simulated.loss_ratio) <= close,
        "meets_target": high <= result.loss_target,
        "search_seconds": result.seconds,
        "routing": list(result.routing["camera"]),
        "thresholds": result.thresholds["camera"],
        "bands": [jobs for jobs, _ in result.bands],
    }


def measured(
    evaluator: Evaluator, source: Path, trace: ExitTrace, target: float, loads: Sequence[float]
) -> list[dict[str, Any]]:
    """Tune every cell."""
    parts = fragments(source, trace.exits)
    # The first search compiles, which belongs to no cell.
    tune_thresholds(deployed(parts, trace, edges=False, load=1.0), evaluator, loss_target=target)
    rows = []
    for edges in (False, True):
        for load in loads:
            deployment = deployed(parts, trace, edges, load)
            cell = {"topology": "edges" if edges else "gateway", "load": load}
            exact = {} if edges else single_exits(deployment, trace, target)
            for bands in (1,) if edges else (1, BANDS):
                form = "static" if bands == 1 else "queue-aware"
                result = tune_thresholds(deployment, evaluator, loss_target=target, bands=bands)
                rows.append(row(result, **cell, form=form, **exact))
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the shares of cells that keep what is promised."""
    gateway = [r for r in rows if r["topology"] == "gateway" and r["ceiling"] is not None]
    static = [r for r in gateway if r["form"] == "static"]
    aware = [r for r in gateway if r["form"] != "static"]
    return {
        "cells": len(rows),
        "close": float(np.mean([r["close"] for r in rows])),
        "meets_target": float(np.mean([r["meets_target"] for r in rows])),
        "static_least_gain": _least(static, "exact_static"),
        "static_within": _within(static, "exact_static", STATIC_SLACK),
        "aware_least_gain": _least(aware, "ceiling"),
        "aware_within": _within(aware, "ceiling", AWARE_SLACK),
    }


def _gains(rows: Sequence[dict[str, Any]], exact: str) -> list[float]:
    return [r["simulated_accuracy"] - r[exact] for r in rows]


def _least(rows: Sequence[dict[str, Any]], exact: str) -> float | None:
    return min(_gains(rows, exact), default=None)


def _within(rows: Sequence[dict[str, Any]], exact: str, slack: float) -> float | None:
    kept = [gain >= -slack for gain in _gains(rows, exact)]
    return float(np.mean(kept)) if kept else None


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the result file.

    Args:
        report: What was measured.
        command: How.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    lines = head(
        "Early-exit thresholds for a loss target",
        report["machine"],
        configuration=f"evaluator {report['evaluator']}, trace {report['trace']}, "
        f"{report['exits']} exits, loss target {report['loss_target']:g}, {ROOM} jobs per device, "
        f"gateway speed 1, near edge {NEAR:g}, far edge {FAR:g}, {BANDS} bands",
        command=command,
        hardware=hardware,
    )
    lines += [
        "| topology | form | load | predicted loss | simulated loss (95 %) | predicted accuracy |"
        " simulated accuracy | exact static | ceiling | search and selection [s] |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in report["rows"]:
        exact = [r.get("exact_static"), r.get("ceiling")]
        shown = ["-" if x is None else f"{x:.4f}" for x in exact]
        lines.append(
            f"| {r['topology']} | {r['form']} | {r['load']:g} | {r['predicted_loss']:.5f} |"
            f" {r['simulated_loss']:.5f} ({r['simulated_loss_low']:.5f} to"
            f" {r['simulated_loss_high']:.5f}) | {r['predicted_accuracy']:.4f} |"
            f" {r['simulated_accuracy']:.4f} | {shown[0]} | {shown[1]} |"
            f" {r['search_seconds']:.2f} |"
        )
    said = report["summary"]
    lines += [
        "",
        "`exact static` and `ceiling` are the exact optima of policies that choose one exit per job"
        " without looking at it; thresholds look, and may exceed both.",
        "",
        "| over all cells | |",
        "|---|---|",
        *(f"| {name.replace('_', ' ')} | {_shown(value)} |" for name, value in said.items()),
        "",
    ]
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw simulated accuracy against simulated loss."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    for name in dict.fromkeys((r["topology"], r["form"]) for r in rows):
        own = [r for r in rows if (r["topology"], r["form"]) == name]
        axes.plot(
            [100 * r["simulated_loss"] for r in own],
            [100 * r["simulated_accuracy"] for r in own],
            "o-",
            label=" ".join(name),
        )
        for r in own:
            at = (100 * r["simulated_loss"], 100 * r["simulated_accuracy"])
            axes.annotate(f"{r['load']:g}", at, fontsize=7)
    axes.axvline(100 * rows[0]["loss_target"], color="grey", linewidth=0.8)
    axes.set_xlabel("simulated loss [%]")
    axes.set_ylabel("accuracy over offered jobs [%]")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_public_data()
    parser.add_argument("--trace", metavar="FILE", type=Path, help="a recorded trace")
    parser.add_argument("--checkpoint", metavar="NAME", help="a surrogate; the analytic by default")
    parser.add_argument("--target", metavar="L", type=float, default=0.01, help="loss target")
    parser.add_argument(
        "--loads", metavar="L", type=float, nargs="+", default=LOADS, help="factors"
    )
    parser.add_argument("--plot", metavar="FILE", type=Path, help="accuracy against loss")
    given = parser.given(arguments)
    profile = given.data / "ceed" / "system_profile.json"
    parser.require_public_data(profile.is_file(), given.data)
    trace = made_up_trace()
    if given.trace is not None:
        trace = ExitTrace.load(given.trace, name="trace")
    evaluator: Evaluator = AnalyticEvaluator()
    if given.checkpoint is not None:
        from surrogate import load_surrogate

        evaluator = load_surrogate(given.checkpoint)
    rows = measured(evaluator, given.data / "ceed", trace, given.target, given.loads)
    report = {
        "evaluator": given.checkpoint or "analytic",
        "trace": "made up" if given.trace is None else given.trace.name,
        "exits": trace.exits,
        "loss_target": given.target,
        "rows": rows,
        "summary": summary(rows),
        "machine": machine(),
    }
    if given.plot is not None:
        plot(rows, given.plot)
    deliver("early_exit_thresholds", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
