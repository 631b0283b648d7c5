"""The benchmark of split decisions, told: tables, what gains depend on, and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from result_file import head

from datagen.splitting.applications import INTERVAL

__all__ = ["plot", "result_text"]


def result_text(report: dict[str, Any], command: str, hardware: str | None = None) -> str:
    """Return the content of a result file.

    Args:
        report: What ``split_decision.measure`` gave.
        command: The command that was run.
        hardware: Class of the machine; this one's by default.

    Returns:
        Markdown.
    """
    lines = head(
        "Layer-wise or semantic split",
        report["machine"],
        configuration=f"SplitPlace's workload and hosts, {report['repeats']} runs of "
        f"{report['tasks']} tasks; for placements {report['placed_repeats']} of "
        f"{report['placed_tasks']}, checkpoint {report['checkpoint']}",
        command=command,
        hardware=hardware,
    )
    return "\n".join([
        *lines,
        *_gain_lines(report),
        "Deciders, least-loaded placement (response in intervals of 300 s):",
        "",
        *_table(report["rows"], ("mean", "handoff", "decider")),
        "Placements:",
        "",
        *_table(report["placements"], ("mean", "placement", "decider")),
    ])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:+.1f} %"


def _gain_lines(report: dict[str, Any]) -> list[str]:
    lines = [
        "What epsilon-greedy gains: shorter response, fewer violations, higher accuracy and reward "
        "(negative: what it loses):",
        "",
        "| arrivals | hand-off [s] | placement | over | response | violations | accuracy | "
        "reward |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cells = [(g["mean"], g["handoff"], "least-loaded", g["over"]) for g in report["gains"]]
    cells.append((report["splitplace"]["mean"], INTERVAL, "gradient", report["splitplace"]["over"]))
    for mean, handoff, placement, over in cells:
        for other, gain in over.items():
            shown = " | ".join(_percent(gain[name]) for name in report["paper"])
            lines.append(f"| {mean:g} | {handoff:g} | {placement} | {other} | {shown} |")
    paper = " | ".join(f"up to {100 * value:.0f} %" for value in report["paper"].values())
    return [
        *lines,
        f"| paper | | | its baselines | {paper} |",
        "",
        "The paper's figures are the largest over what it compares with, on ten real machines with "
        "networks that are not public; no equality is claimed. What ours depend on:",
        "",
        "- Nothing is faster than always splitting semantically: branches start at once. Beside "
        "that, the bandit is slower by choice, and gains accuracy and reward.",
        "- A layer-wise split pays a hand-off for each of its four pieces. Without hand-offs it is "
        "nearly always in time, and the bandit has little to win over it.",
        "- Where layer-wise splits keep the hosts busy, they make each other late: there the "
        "bandit gains most in response, and least surely in reward, because the latency that it "
        "compares deadlines with changes with what it does.",
        "- The reward is what the bandits learn from. By the paper's plain reward, the mean of "
        "deadlines met and accuracy, two points of accuracy hardly count: there always splitting "
        "semantically is as good, and better where the hosts are busy (tables below).",
        "- Deadlines are those of the public code; response counts from the arrival, not from the "
        "first allocation, and every violation is counted.",
        "",
    ]


def _table(rows: Sequence[dict[str, Any]], keys: tuple[str, ...]) -> list[str]:
    lines = [
        f"| {' | '.join(keys)} | response | violations | accuracy | reward | plain reward | "
        "layer-wise |",
        "|---" * (len(keys) + 6) + "|",
    ]
    for row in rows:
        about = " | ".join(f"{row[k]:g}" if isinstance(row[k], float) else row[k] for k in keys)
        error = "" if row["reward_se"] is None else f" +- {row['reward_se']:.4f}"
        lines.append(
            f"| {about} | {row['response']:.2f} | {100 * row['violations']:.1f} % | "
            f"{row['accuracy']:.4f} | {row['reward']:.4f}{error} | {row['plain_reward']:.4f} | "
            f"{100 * row['layer']:.0f} % |"
        )
    return [*lines, ""]


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw response, violations and reward of every decider against the arrival rate."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    own = [row for row in rows if row["handoff"] > 0]
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.6))
    for ax, name in zip(axes, ("response", "violations", "reward"), strict=True):
        for decider in dict.fromkeys(row["decider"] for row in own):
            points = [(row["mean"], row[name]) for row in own if row["decider"] == decider]
            ax.plot(*zip(*points, strict=True), "o-", label=decider)
        ax.set_xlabel("mean behind the arrivals per interval")
        ax.set_ylabel("response [intervals]" if name == "response" else name)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
