"""Requests of images split over four boards: the optimum against simple rules, in simulation.

Every strategy runs inside the same resource manager, which profiles the boards first. The required
rate is given in parts of what all boards together manage by the largest network. *Performance* is
the rate at which a request is answered, from dispatch to the last answer; a gain is the mean over
all requests of our figure relative to that of the other strategy.

    python benchmarks/workload_distribution.py --json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from result_file import BenchmarkParser, deliver, head, machine
from workload_cluster import ACCURACY, CLUSTERS, NOISE

from datagen.workload import Change, ManagerOptions, Node, Outcome, Request, play
from surrogate.optimizers import distribute
from surrogate.optimizers.workload_baselines import asymmetric, uniform, uniform_approximate

STRATEGIES = {
    "optimum": distribute,
    "uniform": uniform,
    "uniform + approximation": uniform_approximate,
    "asymmetric": asymmetric,
}
BASELINES = tuple(STRATEGIES)[1:]

INPUTS = (50, 100, 200, 400, 800)
FRACTIONS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Required rates in parts of what the largest network manages on all boards."""

PAPER = {"performance_gain": 0.4152, "accuracy_gain": 0.052}
"""Abstract of arXiv 2310.10157, means over what it compares with; the slides say 42.5 and 4.2 %."""

CHANGED_INPUTS, CHANGED_FRACTION = 400, 1.0
BLIND = ManagerOptions(tolerance=float("inf"))


def full_rate(nodes: Sequence[Node]) -> float:
    """Return the inputs per second of all boards together by the largest network [1/s]."""
    return sum(1.0 / node.seconds[0] for node in nodes)


def rows_of(name: str, nodes: Sequence[Node], repeats: int) -> list[dict[str, Any]]:
    """Play every size and rate by every strategy.

    Args:
        name: Name of the cluster.
        nodes: The cluster.
        repeats: Runs with noise of their own.

    Returns:
        A row per size and rate, with means over the runs.
    """
    cells = [(inputs, fraction) for inputs in INPUTS for fraction in FRACTIONS]
    full = full_rate(nodes)
    requests = [Request(inputs=inputs, rate=fraction * full) for inputs, fraction in cells]
    outcomes: dict[str, list[tuple[Outcome, ...]]] = {
        strategy: [
            play(nodes, ACCURACY, requests, planner, noise=NOISE, seed=seed).outcomes
            for seed in range(repeats)
        ]
        for strategy, planner in STRATEGIES.items()
    }
    rows = []
    for index, (inputs, fraction) in enumerate(cells):
        row: dict[str, Any] = {"cluster": name, "inputs": inputs, "fraction": fraction}
        row["required_rate"] = fraction * full
        for strategy, runs in outcomes.items():
            own = [run[index] for run in runs]
            rate = float(np.mean([outcome.rate for outcome in own]))
            row[strategy] = {
                "rate": rate,
                "accuracy": float(np.mean([outcome.accuracy for outcome in own])),
                "kept": float(np.mean([o.rate >= row["required_rate"] for o in own])),
            }
        rows.append(row)
    return rows


def changes_of(name: str, nodes: Sequence[Node], repeats: int) -> list[dict[str, Any]]:
    """Play a request during which the fastest board slows down or leaves.

    Args:
        name: Name of the cluster.
        nodes: The cluster.
        repeats: Runs with noise of their own.

    Returns:
        A row per change and way to meet it, with means over the runs.
    """
    full = full_rate(nodes)
    request = Request(inputs=CHANGED_INPUTS, rate=CHANGED_FRACTION * full)
    quarter = 0.25 * request.seconds
    fast = len(nodes) - 1
    changes = {"slows to a third": 3.0, "leaves": None}
    ways = {
        "optimum, planned anew": (distribute, ManagerOptions()),
        "optimum, speeds not watched": (distribute, BLIND),
        "asymmetric, planned anew": (asymmetric, ManagerOptions()),
    }
    rows = []
    for change, factor in changes.items():
        happens = [Change(time=quarter, node=fast, factor=factor)]
        for way, (planner, options) in ways.items():
            played = [
                play(
                    nodes,
                    ACCURACY,
                    [request],
                    planner,
                    options=options,
                    changes=happens,
                    noise=NOISE,
                    seed=seed,
                ).outcomes[0]
                for seed in range(repeats)
            ]
            rows.append({
                "cluster": name,
                "change": change,
                "way": way,
                "rate": float(np.mean([outcome.rate for outcome in played])),
                "required_rate": request.inputs / request.seconds,
                "accuracy": float(np.mean([outcome.accuracy for outcome in played])),
                "unanswered": int(np.sum([outcome.unanswered for outcome in played])),
            })
    return rows


def gains(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return mean gains over rows.

    Args:
        rows: What :func:`rows_of` gave.

    Returns:
        For each other strategy and their mean: relative gains of rate and accuracy; and how many
        requests each strategy answered at the required rate.
    """
    ours = np.array([[row["optimum"][m] for m in ("rate", "accuracy")] for row in rows])
    found: dict[str, Any] = {}
    for name in BASELINES:
        other = np.array([[row[name][m] for m in ("rate", "accuracy")] for row in rows])
        rate, accuracy = (ours / other - 1.0).mean(axis=0)
        found[name] = {"performance": float(rate), "accuracy": float(accuracy)}
    return {
        "over": found,
        "performance_gain": float(np.mean([found[name]["performance"] for name in BASELINES])),
        "accuracy_gain": found["uniform + approximation"]["accuracy"],
        "kept": {name: float(np.mean([row[name]["kept"] for row in rows])) for name in STRATEGIES},
    }


def measure(repeats: int) -> dict[str, Any]:
    """Play everything.

    Args:
        repeats: Runs with noise of their own, >= 1.

    Returns:
        Rows, gains by cluster, and the machine.
    """
    rows = {name: rows_of(name, nodes, repeats) for name, nodes in CLUSTERS.items()}
    return {
        "repeats": repeats,
        "rows": [row for own in rows.values() for row in own],
        "gains": {name: gains(own) for name, own in rows.items()},
        "changes": [
            r for name, nodes in CLUSTERS.items() for r in changes_of(name, nodes, repeats)
        ],
        "paper": PAPER,
        "machine": machine(),
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
        "Workload distribution on four boards",
        report["machine"],
        configuration=f"boards and variants of benchmarks/workload_cluster.py, "
        f"{report['repeats']} runs",
        command=command,
        hardware=hardware,
    )
    return "\n".join([*lines, *_gain_lines(report), *_change_lines(report), *_row_lines(report)])


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %"


def _gain_lines(report: dict[str, Any]) -> list[str]:
    lines = [
        "| cluster | performance gain over | | | mean | accuracy gain |",
        "|---|---|---|---|---|---|",
    ]
    lines.append(f"| | {' | '.join(BASELINES)} | of the three | over uniform + approximation |")
    for name, gain in report["gains"].items():
        cells = [gain["over"][other]["performance"] for other in BASELINES]
        cells += [gain["performance_gain"], gain["accuracy_gain"]]
        lines.append(f"| {name} | {' | '.join(map(_percent, cells))} |")
    paper = report["paper"]
    lines += [
        f"| paper | | | | {_percent(paper['performance_gain'])} | "
        f"{_percent(paper['accuracy_gain'])} |",
        "",
        f"Means over {len(INPUTS)} sizes and {len(FRACTIONS)} required rates. Gains are relative. "
        "The paper's are means over what it compares with, with networks, speeds and requests that "
        "are not public; no equality is claimed. What ours depend on:",
        "",
        "- The gain over an even split is a matter of how unlike the boards are: the last board "
        "decides, so it grows with the Nano's lead (GPU or CPU).",
        "- The gain over either split that keeps the largest network grows with the required rate, "
        "which these do not look at, and is zero where that network is fast enough. The range of "
        "required rates is ours.",
        "- Both that look at the required rate just keep it, so that the gain over the even split "
        "with approximation is one of accuracy, and its rate may be the higher one; at the "
        "highest rates that split gives the slow boards their poorest networks.",
        "- The accuracy that is lost for speed is that of our variants.",
        "",
        "| requests answered at the required rate | " + " | ".join(STRATEGIES) + " |",
        "|---|" + "---|" * len(STRATEGIES),
    ]
    for name, gain in report["gains"].items():
        shares = " | ".join(f"{100 * gain['kept'][s]:.0f} %" for s in STRATEGIES)
        lines.append(f"| {name} | {shares} |")
    return [*lines, ""]


def _change_lines(report: dict[str, Any]) -> list[str]:
    lines = [
        f"A request of {CHANGED_INPUTS} images at the rate of the largest network; after a quarter "
        "of its time something happens to the Nano:",
        "",
        "| cluster | the Nano | | rate of that required | accuracy | unanswered |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["changes"]:
        lines.append(
            f"| {row['cluster']} | {row['change']} | {row['way']} | "
            f"{100 * row['rate'] / row['required_rate']:.0f} % | {row['accuracy']:.3f} | "
            f"{row['unanswered']} |"
        )
    return [*lines, ""]


def _row_lines(report: dict[str, Any]) -> list[str]:
    lines = [
        "Rate [1/s] and accuracy of every request:",
        "",
        f"| cluster | images | required | {' | '.join(STRATEGIES)} |",
        "|---|---|---|" + "---|" * len(STRATEGIES),
    ]
    for row in report["rows"]:
        cells = (f"{row[s]['rate']:.1f}, {row[s]['accuracy']:.3f}" for s in STRATEGIES)
        lines.append(
            f"| {row['cluster']} | {row['inputs']} | {row['required_rate']:.1f} | "
            f"{' | '.join(cells)} |"
        )
    return [*lines, ""]


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw rates and accuracies against the required rate, for the largest requests."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(CLUSTERS), 2, figsize=(9, 6), squeeze=False)
    for line, cluster in zip(axes, CLUSTERS, strict=True):
        own = [r for r in rows if r["cluster"] == cluster and r["inputs"] == max(INPUTS)]
        required = [row["required_rate"] for row in own]
        for ax, what in zip(line, ("rate", "accuracy"), strict=True):
            for strategy in STRATEGIES:
                ax.plot(required, [row[strategy][what] for row in own], "o-", label=strategy)
            ax.set_xlabel("required rate [1/s]")
            ax.set_ylabel("rate [1/s]" if what == "rate" else "accuracy")
            ax.set_title(cluster)
        line[0].plot(required, required, color="grey", linewidth=0.8)
    axes[0, 0].legend(fontsize=8)
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
    parser.add_argument("--repeats", metavar="R", type=int, default=10, help="runs of each")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="rates and accuracies")
    given = parser.given(arguments)
    report = measure(given.repeats)
    if given.plot is not None:
        plot(report["rows"], given.plot)
    deliver("workload_distribution", report, given, result_text=result_text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
