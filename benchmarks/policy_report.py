"""What is made of the rows of the policy benchmark: who wins where, the matrix, the result file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from policy_cells import FAMILIES, HELD_JOBS, QUIET_JOBS
from result_file import head

Row = dict[str, Any]

CLOSE = 0.005
"""Accuracy by which the best of ours may stay below the best."""

NORMAL_95 = 1.96
CELL = ("topology", "difficulty", "arrivals", "load")


def cells_of(rows: Sequence[Row]) -> dict[tuple[Any, ...], dict[str, Row]]:
    """Return the rows of each cell by policy."""
    cells: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        cells.setdefault(tuple(row[name] for name in CELL), {})[row["policy"]] = row
    return cells


def verdict(cell: dict[str, Row], target: float) -> dict[str, Any]:
    """Return who is best in a cell among those that meet the loss target.

    Args:
        cell: Its rows by policy.
        target: Largest loss ratio.

    Returns:
        Best of ours and of the others with their accuracies over offered, and the lead of ours.
    """
    kept = {name: row for name, row in cell.items() if row["loss_ratio"] <= target}
    found: dict[str, Any] = {}
    for who in ("ours", "others"):
        own = {n: r for n, r in kept.items() if (FAMILIES[n] == "ours") == (who == "ours")}
        best = max(own, key=lambda name: own[name]["accuracy_offered"], default=None)
        found[who] = best
        found[f"{who}_accuracy"] = None if best is None else own[best]["accuracy_offered"]
    both = [found[f"{who}_accuracy"] for who in ("ours", "others")]
    found["lead"] = None if None in both else both[0] - both[1]
    found["wins"] = both[0] is not None and (both[1] is None or both[0] >= both[1])
    return found


def averages(rows: Sequence[Row], target: float) -> list[dict[str, Any]]:
    """Return the figures of each policy over all cells."""
    cells, found = cells_of(rows), []
    best = {
        key: max(row["accuracy_offered"] for row in cell.values()) for key, cell in cells.items()
    }
    for policy, family in FAMILIES.items():
        own = {key: cell[policy] for key, cell in cells.items() if policy in cell}
        if not own:
            continue
        mean = {
            name: float(np.mean([row[name] for row in own.values()]))
            for name in ("accuracy_offered", "accuracy_completed", "loss_ratio", "latency", "p95")
        }
        gaps = [best[key] - row["accuracy_offered"] for key, row in own.items()]
        found.append(
            {"policy": policy, "family": family}
            | mean
            | {
                "meets_target": float(np.mean([r["loss_ratio"] <= target for r in own.values()])),
                "worst_gap": float(max(gaps)),
                "lost_to_bursts": _drop(own, "arrivals", "poisson", "mmpp"),
                "lost_to_drift": _drop(own, "difficulty", "clean", "drifting"),
                "decision_us": float(np.median([row["decision_us"] for row in own.values()])),
            }
        )
    return found


def _drop(own: dict[tuple[Any, ...], Row], name: str, easy: str, hard: str) -> float | None:
    """Return the mean accuracy over offered that is lost from one kind of cells to another."""
    place = CELL.index(name)
    drops = []
    for key, row in own.items():
        other = (*key[:place], hard, *key[place + 1 :])
        if key[place] == easy and other in own:
            drops.append(row["accuracy_offered"] - own[other]["accuracy_offered"])
    return float(np.mean(drops)) if drops else None


def matrix(policies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the seeds' matrix: the best policy of each family on each metric."""
    metrics = {
        "accuracy": ("accuracy_offered", max),
        "latency": ("p95", min),
        "loss": ("meets_target", max),
        "robustness": ("worst_gap", min),
    }
    found = []
    for family in dict.fromkeys(FAMILIES.values()):
        own = [row for row in policies if row["family"] == family]
        if own:
            line: dict[str, Any] = {"family": family}
            for metric, (name, choose) in metrics.items():
                best = choose(own, key=lambda row: row[name])
                line[metric] = {"value": best[name], "policy": best["policy"]}
            found.append(line)
    return found


def report_of(rows: Sequence[Row], target: float) -> dict[str, Any]:
    """Return everything that is reported.

    Args:
        rows: What was measured; cells that lack a policy are left out.
        target: Largest loss ratio.

    Returns:
        Rows, verdicts by cell, averages by policy, the matrix and a summary.
    """
    cells = {key: cell for key, cell in cells_of(rows).items() if len(cell) == len(FAMILIES)}
    complete = [row for cell in cells.values() for row in cell.values()]
    verdicts = [
        dict(zip(CELL, key, strict=True)) | verdict(cell, target) for key, cell in cells.items()
    ]
    leads = [found["lead"] for found in verdicts if found["lead"] is not None]
    policies = averages(complete, target)
    return {
        "loss_target": target,
        "rows": complete,
        "cells": verdicts,
        "policies": policies,
        "matrix": matrix(policies),
        "summary": {
            "cells": len(verdicts),
            "wins": float(np.mean([found["wins"] for found in verdicts])) if verdicts else None,
            "least_lead": min(leads, default=None),
            "never_far": all(lead >= -CLOSE for lead in leads),
        },
    }


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the result file.

    Args:
        report: What :func:`report_of` gave, with ``machine``.
        command: How it was measured.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    target = report["loss_target"]
    jobs = " or ".join(map(str, sorted({row["jobs"] for row in report["rows"]})))
    lines = head(
        "Online exit policies",
        report["machine"],
        configuration=f"{jobs} offered jobs per cell and policy in 4 runs, the first"
        f" tenth not counted, loss target {target:g}, 10 jobs per device; bursts: half and twice"
        f" the mean rate for {QUIET_JOBS:g} and {QUIET_JOBS / 2:g} mean gaps; drift: five contexts,"
        f" each for {HELD_JOBS:g} jobs; shipped traces, calibration known and test met; equal"
        " draws for all",
        command=command,
        hardware=hardware,
    )
    lines += [*_summary(report), *report.get("comments", []), ""]
    lines += [*_averages(report["policies"]), *_matrix(report["matrix"])]
    lines += [*_verdicts(report["cells"]), *_rows(report["rows"])]
    return "\n".join([*lines, *report.get("notes", []), ""])


def _summary(report: dict[str, Any]) -> list[str]:
    said = report["summary"]
    return [
        f"The best of ours has the highest accuracy over offered of all that lose at most"
        f" {report['loss_target']:.0%} in {_percent(said['wins'])} of {said['cells']} cells; its"
        f" smallest lead is {_points(said['least_lead'])} points.",
        "",
    ]


def _averages(policies: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## Policies over all cells",
        "",
        "| policy | accuracy over offered | over completed | loss | cells within target | latency"
        " [s] | p95 [s] | worst gap to the best | lost to bursts | lost to drift | decision [us] |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in policies:
        lines.append(
            f"| {row['policy']} | {row['accuracy_offered']:.4f} | {row['accuracy_completed']:.4f} |"
            f" {row['loss_ratio']:.4f} | {_percent(row['meets_target'])} | {row['latency']:.3f} |"
            f" {row['p95']:.3f} | {_points(row['worst_gap'])} | {_points(row['lost_to_bursts'])} |"
            f" {_points(row['lost_to_drift'])} | {row['decision_us']:.1f} |"
        )
    return [
        *lines,
        "",
        "Gaps and what is lost are points of accuracy over offered. Decisions are measured in"
        " processor time, feedback included, in the readable engine.",
        "",
    ]


def _matrix(lines_of: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## The seeds' matrix, with figures",
        "",
        "| family | accuracy (over offered) | latency (p95 [s]) | loss (cells within target) |"
        " robustness (worst gap, points) |",
        "|---|---|---|---|---|",
    ]
    for line in lines_of:
        a, la, lo, r = (line[name] for name in ("accuracy", "latency", "loss", "robustness"))
        lines.append(
            f"| {line['family']} | {a['value']:.4f} ({a['policy']}) | {la['value']:.3f}"
            f" ({la['policy']}) | {_percent(lo['value'])} ({lo['policy']}) |"
            f" {_points(r['value'])} ({r['policy']}) |"
        )
    return [*lines, ""]


def _verdicts(cells: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "## Who is best among those within the target",
        "",
        "| topology | difficulty | arrivals | load | best of ours | accuracy | best other |"
        " accuracy | lead [points] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        shown = [
            f"{cell[who] or '-'} | {_accuracy(cell[f'{who}_accuracy'])}"
            for who in ("ours", "others")
        ]
        lines.append(
            f"| {cell['topology']} | {cell['difficulty']} | {cell['arrivals']} | {cell['load']:g} |"
            f" {shown[0]} | {shown[1]} | {_points(cell['lead'])} |"
        )
    return [*lines, ""]


def _rows(rows: Sequence[Row]) -> list[str]:
    lines = [
        "## All rows (95 % intervals)",
        "",
        "| topology | difficulty | arrivals | load | policy | accuracy over offered | over"
        " completed | loss | latency [s] | p95 [s] | decision [us] |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        offered = NORMAL_95 * (row["accuracy_offered_se"] or 0.0)
        latency = NORMAL_95 * (row["latency_se"] or 0.0)
        lines.append(
            f"| {row['topology']} | {row['difficulty']} | {row['arrivals']} | {row['load']:g} |"
            f" {row['policy']} | {row['accuracy_offered']:.4f} +- {offered:.4f} |"
            f" {row['accuracy_completed']:.4f} | {row['loss_ratio']:.4f} ({row['loss_low']:.4f} to"
            f" {row['loss_high']:.4f}) | {row['latency']:.3f} +- {latency:.3f} | {row['p95']:.3f} |"
            f" {row['decision_us']:.1f} |"
        )
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _accuracy(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def plot(rows: Sequence[Row], target: float, path: Path) -> None:
    """Draw accuracy over offered by load; open marks are beyond the loss target."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(tuple(row[name] for name in CELL[:3]) for row in rows))
    figure, axes = plt.subplots(2, max((len(kinds) + 1) // 2, 1), figsize=(16, 8), squeeze=False)
    colours = plt.get_cmap("tab20")
    for place, (kind, own_axes) in enumerate(zip(kinds, axes.ravel(), strict=False)):
        for number, policy in enumerate(FAMILIES):
            own = [
                row
                for row in rows
                if row["policy"] == policy and tuple(row[n] for n in CELL[:3]) == kind
            ]
            own.sort(key=lambda row: row["load"])
            style = {"color": colours(number), "linewidth": 2.5 if "ours" in policy else 1.0}
            loads = [row["load"] for row in own]
            values = [100 * row["accuracy_offered"] for row in own]
            own_axes.plot(loads, values, label=policy if place == 0 else None, **style)
            for row, value in zip(own, values, strict=True):
                face = colours(number) if row["loss_ratio"] <= target else "white"
                own_axes.plot(row["load"], value, "o", color=colours(number), markerfacecolor=face)
        own_axes.set_title(", ".join(kind))
        own_axes.set_ylim(60, 100)
        own_axes.set_xlabel("load factor")
        own_axes.set_ylabel("accuracy over offered [%]")
    figure.legend(loc="lower center", ncol=6)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=100)
    plt.close(figure)
