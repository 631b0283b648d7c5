"""How near the surrogate of batching accelerators is to simulation, by policy and by load.

Deployments with accelerators and plain devices, exits, bursts and deadlines, simulated at length
and seen by no training: mean and 95 % quantile of the latency, share of the jobs in time, loss.
Beside the surrogate stand its own prior, which the network corrects, and a short simulation.

    python benchmarks/npu_surrogate.py data/npu_judged --json

How to draw and simulate the deployments is told in ``configs/train/npu.yaml``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from result_file import BenchmarkParser, deliver, head, machine

from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.evaluation.loads import chain_load, offered_load
from datagen.npu import BATCH_POLICIES
from datagen.simulator import SimulationEvaluator, SimulationOptions
from datagen.store import read_dataset

Floats = NDArray[np.float64]

GOALS = {"latency": 0.05, "p95": 0.08, "attainment": 0.02, "loss_ratio": 0.01}
"""Largest mean errors: relative for the latency and its quantile, absolute for the shares."""

RELATIVE = ("latency", "p95")

LOADS = (0.0, 0.5, 0.8, 1.0, np.inf)
"""Bounds of the largest load on a chain's devices, with best batches."""

SHORT = SimulationOptions(events=2e4, replications=1, seed=5)
"""The rival: some ten milliseconds for each deployment."""

NOWHERE = "no accelerator"

REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is judged, and by what.

    Args:
        batch: The deployments.
        true: Their labels by measure [C].
        parts: Flags of chains by the name of a part [C].
        origin: Where the labels come from, in words.
    """

    batch: DeploymentBatch
    true: Mapping[str, Floats]
    parts: Mapping[str, NDArray[np.bool_]]
    origin: str


def busiest_policy(batch: DeploymentBatch) -> NDArray[np.str_]:
    """Return the policy of the busiest accelerator that each chain visits.

    Args:
        batch: Packed deployments.

    Returns:
        Names, or :data:`NOWHERE` [C].
    """
    assert batch.batching_start is not None
    assert batch.batching_parameter is not None
    load, device = offered_load(batch), batch.step_device_row
    batches = np.diff(batch.batching_start) > 0
    code = np.full(len(load), -1)
    code[batches] = batch.batching_parameter[batch.batching_start[:-1][batches]].astype(int)
    names = np.array([*BATCH_POLICIES, NOWHERE])  # the last one has the place -1
    found = np.full(len(batch.chain_rate), -1)
    order = np.argsort(load[device], kind="stable")
    order = order[code[device[order]] >= 0]
    found[batch.step_chain[order]] = code[device[order]]  # the last one written is the busiest
    return names[found]


def origin_of(manifest: Mapping[str, Any]) -> str:
    """Return in words how a data set came about.

    Args:
        manifest: Of the data set.

    Returns:
        The program that made it, its seed and the length of its runs.
    """
    words = [f"`{manifest['program']}`"]
    config = manifest.get("config", {})
    if "simulation" in config:
        runs = config["simulation"]
        words += [f"seed {manifest['seed']}", f"{runs['events']:g} events"]
        words.append(f"{runs['replications']} runs")
    source = "scenario " + config["scenario"]["name"] if "scenario" in config else "drawn before"
    return ", ".join([source, *words])


def judged(folder: Path) -> Judged:
    """Read what to judge by.

    Args:
        folder: Data set with precise labels.

    Returns:
        The deployments, their labels, and the parts to report on.
    """
    dataset = read_dataset(folder)
    batch, labels = dataset.batch(), dataset.measures()
    whole = ~np.asarray(labels.deployment["truncated"], dtype=bool)[batch.owner("chain")]
    true = {name: np.where(whole, labels.chain[name], np.nan) for name in GOALS}
    policy, load = busiest_policy(batch), chain_load(batch)
    parts = {"all": np.ones(len(load), dtype=bool)}
    parts |= {f"policy {name}": policy == name for name in [*BATCH_POLICIES, NOWHERE]}
    for low, high in zip(LOADS, LOADS[1:], strict=False):
        parts[f"load {low:g}-{high:g}"] = (load >= low) & (load < high)
    return Judged(batch=batch, true=true, parts=parts, origin=origin_of(dataset.manifest))


def errors(data: Judged, found: Mapping[str, Any]) -> dict[str, dict[str, float | int | None]]:
    """Return the mean errors of every part.

    Args:
        data: What is judged.
        found: Predictions by measure [C]; what is missing is not judged.

    Returns:
        Part -> measure -> mean error, relative for latencies; and the number of chains.
    """
    report: dict[str, dict[str, float | int | None]] = {}
    for part, rows in data.parts.items():
        report[part] = {"chains": int(rows.sum())}
        for name in GOALS:
            if name not in found:
                report[part][name] = None
                continue
            error = np.abs(found[name] - data.true[name])
            if name in RELATIVE:
                error = error / data.true[name]
            known = error[rows & np.isfinite(error)]
            report[part][name] = float(known.mean()) if len(known) else None
    return report


def timed(evaluator: Evaluator, batch: DeploymentBatch, repeats: int) -> tuple[Measures, float]:
    """Evaluate several times.

    Args:
        evaluator: Whom to ask.
        batch: The deployments.
        repeats: How often.

    Returns:
        Its measures, and the median time of a deployment [ms].
    """
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        measures = evaluator.evaluate(batch)
        spent.append(time.perf_counter() - begin)
    return measures, 1e3 * float(np.median(spent)) / len(batch)


def prior_of(name: str) -> Evaluator:
    """Return the surrogate with a network that corrects nothing.

    Args:
        name: Name or folder of the checkpoint.

    Returns:
        An evaluator that tells mean latencies and losses as the prior has them.
    """
    from surrogate import load_surrogate

    evaluator = load_surrogate(name)
    last = evaluator.release.network.head[-1]  # type: ignore[index]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return evaluator.without_details()


def measured(folder: Path, checkpoint: str, repeats: int) -> dict[str, Any]:
    """Judge all three.

    Args:
        folder: Data set with precise labels.
        checkpoint: Name or folder of the surrogate.
        repeats: Timed passes of each.

    Returns:
        The report.
    """
    from surrogate import load_surrogate

    data = judged(folder)
    rivals: dict[str, tuple[Evaluator, Sequence[str]]] = {
        "surrogate": (load_surrogate(checkpoint), tuple(GOALS)),
        "prior": (prior_of(checkpoint), ("latency", "loss_ratio")),
        "short simulation": (SimulationEvaluator(SHORT), tuple(GOALS)),
    }
    report: dict[str, Any] = {}
    for name, (evaluator, told) in rivals.items():
        evaluator.evaluate(data.batch.select([0]))  # compiles
        measures, cost = timed(evaluator, data.batch, repeats)
        found = {measure: measures.chain[measure] for measure in told}
        report[name] = {"ms_per_deployment": cost, "errors": errors(data, found)}
    whole = report["surrogate"]["errors"]["all"]
    return {
        "checkpoint": checkpoint,
        "deployments": len(data.batch),
        "origin": data.origin,
        "goals": GOALS,
        "met": {name: whole[name] <= goal for name, goal in GOALS.items()},
        "rivals": report,
        "machine": machine(),
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
    lines = head(
        "Surrogate of batching accelerators",
        report["machine"],
        configuration=f"checkpoint {report['checkpoint']}; {report['deployments']} deployments "
        f"({report['origin']}); short simulation of {SHORT.events:g} events",
        command=command,
        hardware=hardware,
    )
    lines += [
        "Mean errors over chains: of mean latency and 95 % quantile in percent of the simulated",
        "value, of the share of jobs in time and the loss ratio as they are.",
        "",
        "| | goal | surrogate | prior | short simulation |",
        "|---|---|---|---|---|",
    ]
    rivals = report["rivals"]
    for name, goal in report["goals"].items():
        cells = [_shown(name, rival["errors"]["all"][name]) for rival in rivals.values()]
        lines.append(f"| {name} | {_shown(name, goal)} | {' | '.join(cells)} |")
    cost = " | ".join(f"{rival['ms_per_deployment']:.2f}" for rival in rivals.values())
    lines += [f"| ms per deployment | | {cost} |", ""]
    for rival, found in rivals.items():
        lines += [
            f"By policy and load, {rival}:",
            "",
            f"| part | chains | {' | '.join(GOALS)} |",
            "|---|---|" + "---|" * len(GOALS),
        ]
        for part, values in found["errors"].items():
            cells = [_shown(name, values[name]) for name in GOALS]
            lines.append(f"| {part} | {values['chains']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _shown(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if name in RELATIVE else f"{value:.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        arguments: The words of the command line; None for the process's own.

    Returns:
        Exit status.
    """
    parser = BenchmarkParser(__doc__)
    parser.add_argument("dataset", type=Path, help="data set with precise labels")
    parser.add_argument("--checkpoint", metavar="NAME", default="npu", help="name or folder")
    parser.add_argument("--repeats", metavar="N", type=int, default=REPEATS, help="timed passes")
    given = parser.given(arguments)
    report = measured(given.dataset, given.checkpoint, given.repeats)
    deliver("npu_surrogate", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
