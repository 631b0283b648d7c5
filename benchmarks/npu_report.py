"""The result file of the benchmark of batching accelerators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from npu_cases import CAPACITY, LOADS, MAX_BATCH, MIXES, OBJECTIVES, OURS
from result_file import head

__all__ = ["result_text"]

WIDTH = 100
"""Columns of a line of text."""

PUBLISHED = {"mean_latency_ratio": 1.97, "slo_violation_ratio": 6.7}
"""Average gains over other systems as Fluid Batching's abstract states them."""

RIVALS = ("greedy on fluid+stackable", "edf on fluid+stackable", "lazy on fluid+stackable")
"""Other policies on the same array: what preemption itself is worth."""


def _cell(ratio: Mapping[str, Any]) -> str:
    if ratio["geometric_mean"] is None:
        return "-"
    return f"{ratio['geometric_mean']:.2f} ({ratio['low']:.2f}-{ratio['high']:.3g})"


def _table(rows: Sequence[Mapping[str, Any]], *names: str) -> list[str]:
    lines = [
        f"| {' | '.join(('system', *names))} | mean latency | SLO violations | cases resolved |",
        f"|{'---|' * (len(names) + 4)}",
    ]
    for row in rows:
        own = " | ".join(str(row[name]) for name in ("system", *names))
        latency, missed = row["mean_latency_ratio"], row["slo_violation_ratio"]
        lines.append(f"| {own} | {_cell(latency)} | {_cell(missed)} | {missed['cases']} |")
    return [*lines, ""]


def _means(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the geometric mean of a ratio by system."""
    return {system: own["geometric_mean"] for system, own in report[name].items()}


def _array_or_policy(report: Mapping[str, Any]) -> list[str]:
    """Say what the array is worth, and what preemption on one and the same array."""
    ratios = _means(report, "mean_latency_ratio")
    policy = ratios["greedy on fluid+stackable"]
    array = ratios["greedy"] / policy
    greedy = [row for row in report["by"]["array"] if row["system"] == RIVALS[0]]
    most = max(greedy, key=lambda row: row["mean_latency_ratio"]["geometric_mean"])
    return _paragraph(
        f"Of the gain over greedy batches on the fixed array ({ratios['greedy']:.2f}), the "
        f"array makes {array:.2f} and the policy {policy:.2f}: on one and the same array, "
        "preemption hardly matters here. It matters most on the array "
        f"`{most['array']}`: greedy batches have {_cell(most['mean_latency_ratio'])} times the "
        f"mean latency there and {_cell(most['slo_violation_ratio'])} times the violations."
    )


def _inequality(report: Mapping[str, Any]) -> list[str]:
    """Say when catching up pays, and on which arrays it ever does."""
    gains = [row for row in report["gainful"] if row["share"] > 0]
    lines = _paragraph(
        "If a batch of b takes t0 + a b, and a share u of that lies before the exit, each of m "
        "newcomers gains t0 (1 - u) by catching up, each of the B in hand loses u t0 + a m. "
        "Together they gain if m (t0 (1 - u) - a B) > B u t0: only where a batch costs clearly "
        "more than each sample in it (t0 > a B / (1 - u), however many come), at early exits, "
        "with few samples in hand. The cycle model fills its tiles with "
        "the rows of one image in all but the last layers, so batches of most networks and "
        f"arrays are nearly proportional to their size. Of {len(report['gainful'])} "
        f"combinations of network, array and variant, {len(gains)} know any exit, batch and "
        "queue where catching up lowers the mean latency:"
    )
    lines += [
        "| network | array | variant | share of exits, batches and queues | T(B) / B T(1) |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['network']} | {row['array']} | {row['variant']} | {row['share']:.3f} "
        f"| {row['cost_of_full_batch']:.2f} |"
        for row in gains
    ]
    return [*lines, ""]


def _straight_lines(report: Mapping[str, Any]) -> list[str]:
    """Say what preemption is worth where batches are more and more nearly free."""
    flat = report["flatness"]
    best, worst = (pick(row["greedy"] for row in flat) for pick in (max, min))
    lines = _paragraph(
        "It wins where memory bounds the time, because weights are read once per batch. On "
        "made-up arrays whose batches take t0 + a b in four equal segments and pay for those "
        f"only who are left, greedy batches have {worst:.2f} to {best:.2f} times the mean "
        "latency of exit-aware ones:"
    )
    lines += [
        "| t0 / a | load of full batches | greedy | lazy | preemptions per sample |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['setup']:g} | {row['load']} | {row['greedy']:.3f} | {row['lazy']:.3f} "
        f"| {row['preemptions_per_sample']:.3f} |"
        for row in flat
    ]
    return [*lines, ""]


def _others(report: Mapping[str, Any]) -> list[str]:
    """Say how the other policies compare, and what cannot be told."""
    ratios, missed = (
        _means(report, name) for name in ("mean_latency_ratio", "slo_violation_ratio")
    )
    lazy, expectant = "lazy on fluid+stackable", "expectant exit_aware on fluid+stackable"
    misses = {name: "-" if missed[name] is None else f"{missed[name]:.3f}" for name in missed}
    others = _paragraph(
        f"Lazy batches on the same array have {ratios[lazy]:.3f} times the mean latency and "
        f"{misses[lazy]} times the violations: they let newcomers in after any segment, which "
        "trades the mean for deadlines. Expecting that samples leave "
        f"makes exit-aware preemption a little bolder ({ratios[expectant]:.3f} and "
        f"{misses[expectant]}). Earliest deadline first is first come, first served where all "
        "sources have one objective, as here. On the fixed array, batches that pay to the end for "
        f"samples that have left ({ratios['greedy']:.2f}) do worse than no batches "
        f"({ratios['serial']:.2f}); with compaction ({ratios['greedy+compaction']:.2f}) they do "
        "better. Ratios of violations are large where one system misses hardly any: one missed "
        "sample stands for none."
    )
    return others + _paragraph(
        "So most of what is stated for Fluid Batching follows, in this model, from what a batch "
        "may choose on the array and from whom it is compared with. How flat batches are on the "
        "real device, and with which deadlines it was measured, cannot be told from what is public."
    )


def _paragraph(text: str) -> list[str]:
    return [*wrap(text, WIDTH, break_on_hyphens=False), ""]


def _configuration(report: Mapping[str, Any]) -> str:
    return (
        f"{report['cases']} cases, {report['events']:g} events each, seed {report['seed']}; "
        f"batches of up to {MAX_BATCH}, {CAPACITY} places; loads {LOADS[0]}-{LOADS[-1]} of what "
        f"one sample at a time on the fixed array can serve; objectives {OBJECTIVES} times a "
        f"sample alone there; exits {MIXES['even']}, two more mixes on the default array"
    )


def result_text(report: Mapping[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What the benchmark found.
        command: The command that gives the figures again.
        hardware: Class of the machine.

    Returns:
        Markdown.
    """
    overall = [
        {
            "system": system,
            "mean_latency_ratio": ratio,
            "slo_violation_ratio": report["slo_violation_ratio"][system],
        }
        for system, ratio in report["mean_latency_ratio"].items()
    ]
    lines = head(
        "Batching accelerators: exit-aware preemption against other systems",
        report["machine"],
        configuration=_configuration(report),
        command=command,
        hardware=hardware,
    )
    lines += [
        *_paragraph(
            "Figures: `npu_batching_ratios.png` (ratios against load) and `npu_utilization.png` "
            "(share of the array's peak that a network reaches by batch size)."
        ),
        *_paragraph(
            f"Ratios are the other system's figure over that of `{OURS}`: above 1, exit-aware "
            "preemption on the fluid and stackable array is better. Geometric means over cases, "
            "smallest and largest in brackets. Systems without a variant in their name run on the "
            "fixed array. Violations are over offered samples, lost ones included; a case counts "
            "where 20 samples miss in one system. Fluid Batching's abstract states "
            f"{PUBLISHED['mean_latency_ratio']} times the latency and "
            f"{PUBLISHED['slo_violation_ratio']} times the SLO satisfaction, on average over "
            "systems that it does not name there; its workloads, objectives and cycle counts are "
            "not public."
        ),
        *_table(overall),
    ]
    lines += ["## Where exit-aware preemption wins, where not, and why", ""]
    for part in (_array_or_policy, _inequality, _straight_lines, _others):
        lines += part(report)
    for name, rows in report["by"].items():
        shown = rows if name == "array" else [row for row in rows if row["system"] in RIVALS]
        what = "every system" if name == "array" else "policies on the same array"
        lines += [f"## By {name}: {what}", "", *_table(shown, name)]
    timed = report["speed"]
    lines += [
        "## Speed",
        "",
        f"Compiled engine {timed['numba_events_per_s']:.3g} events/s, readable engine "
        f"{timed['simpy_events_per_s']:.3g}: {timed['numba_vs_simpy']:.0f} times as fast "
        "(processor time, runs in turn, medians).",
    ]
    return "\n".join(lines) + "\n"
