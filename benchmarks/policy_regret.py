"""Regret of AdaEE's bandit on the recorded network, context by context.

The arms are thresholds of the first classifier; what every arm would have earned with every sample
is known from the trace, so that the regret of a pull is the gap of its arm's mean to the best one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.exits import ExitTrace
from datagen.policies.adaee import FEW_THRESHOLDS, TIME_WEIGHT, gained
from datagen.policies.ucb import Ucb

Floats = NDArray[np.float64]

CONTEXTS = {"clean": (0,), "blur": (1, 2), "noise": (3, 4)}
"""Contexts of the shipped traces: none, two widths of blur, two strengths of noise."""

GATE = 0
LONGEST = 0.8
"""Time of the whole network [s], that of CEED's profile; gates are evenly spread over it."""

EXPLORATION = 0.25
"""Weight of the bound: sqrt(2) for rewards in [0, 1], times their standard deviation of 0.18."""

ROUNDS = 32_000
SEEDS = 4


def rewards_of(trace: ExitTrace) -> Floats:
    """Return what every arm earns with every sample [N, A]."""
    times, last = np.linspace(0.05, LONGEST, trace.exits), trace.exits - 1
    sure, final = trace.confidences[:, GATE], trace.confidences[:, last]
    gains = [gained(c, before) for c, before in zip(final.tolist(), sure.tolist(), strict=True)]
    going_on = np.array(gains) - TIME_WEIGHT * (times[last] - times[GATE])
    return np.where(sure[:, None] >= np.array(FEW_THRESHOLDS), 0.0, going_on[:, None])


def regret_curve(rewards: Floats, rounds: int, seed: int) -> Floats:
    """Return the cumulative regret of one run after every round [rounds]."""
    gaps = rewards.mean(axis=0).max() - rewards.mean(axis=0)
    rng, bandit, paid = np.random.default_rng(seed), Ucb(rewards.shape[1], EXPLORATION), []
    for sample in rng.integers(len(rewards), size=rounds).tolist():
        arm = bandit.pull()
        bandit.reward(arm, float(rewards[sample, arm]))
        paid.append(gaps[arm])
    return np.cumsum(paid)


def regrets(trace: ExitTrace, rounds: int = ROUNDS, seeds: int = SEEDS) -> list[dict[str, Any]]:
    """Return the mean regret after 1/64, 1/32, ..., 1 of the rounds in each kind of context.

    Args:
        trace: The trace, with contexts.
        rounds: Pulls.
        seeds: Runs that are averaged.

    Returns:
        A row per kind: rounds, regret, that of arms drawn at random, and the growth at each
        doubling, 1 if the regret were linear.
    """
    found = []
    for name, contexts in CONTEXTS.items():
        rewards = rewards_of(trace)[np.isin(trace.context, contexts)]
        curve = np.mean([regret_curve(rewards, rounds, seed) for seed in range(seeds)], axis=0)
        at = [rounds // 64 * 2**k for k in range(7)]
        regret = curve[np.array(at) - 1]
        gaps = rewards.mean(axis=0).max() - rewards.mean(axis=0)
        found.append({
            "contexts": name,
            "rounds": at,
            "regret": regret.tolist(),
            "at_random": (float(gaps.mean()) * np.array(at)).tolist(),
            "growth": np.diff(np.log2(regret)).tolist(),
        })
    return found


def text(rows: list[dict[str, Any]]) -> list[str]:
    """Return the regrets as lines of Markdown."""
    if not rows:
        return []
    lines = [
        "",
        "## AdaEE's regret on recorded contexts",
        "",
        f"Thresholds of the first classifier, means of {SEEDS} runs; in brackets what arms drawn at"
        " random would have cost. A growth of 1 per doubling is linear.",
        "",
        "| contexts | " + " | ".join(f"{n} pulls" for n in rows[0]["rounds"]) + " | last growth |",
        "|---" * (len(rows[0]["rounds"]) + 2) + "|",
    ]
    for row in rows:
        cells = [f"{a:.1f} ({b:.0f})" for a, b in zip(row["regret"], row["at_random"], strict=True)]
        lines.append(f"| {row['contexts']} | {' | '.join(cells)} | {row['growth'][-1]:.2f} |")
    return lines
