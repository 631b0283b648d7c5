"""The seeds' open questions, by experiment: bursts, data that are not alike, priorities.

Bursts are answered by the cells of :mod:`early_exit_policies`. Here are the other two, on the
gateway: the same samples drawn one by one or context after context, and two chains of one network
of which one has priority.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from policy_cells import CHAIN, Cell, Prepared, deployment_of, policies

from datagen.arrivals import Poisson
from datagen.deployment import Deployment
from datagen.simulator.options import SimulationOptions
from datagen.simulator.policies import PolicyRun, simulate_policies

ASKED = (
    "exit-last",
    "reactive",
    "knapsack",
    "queueing",
    "AdaEE original",
    "AdaEE queue-aware",
    "Bayesian tables",
    "ours: static",
    "ours: queue-aware",
    "ours: drift-aware",
)
"""Policies that the questions are put to: a few of each family."""

LOAD = 2.0
URGENT = 0.3
"""Share of the jobs that have priority."""


def alike(deployment: Deployment) -> Deployment:
    """Return a deployment whose jobs draw any sample, whenever they come."""
    chain = replace(deployment.problem.chains[0], contexts=None)
    return replace(deployment, problem=replace(deployment.problem, chains=(chain,)))


def two_classes(deployment: Deployment, discipline: str) -> Deployment:
    """Return a deployment whose jobs are those of two chains, the first of which is urgent."""
    (chain,) = deployment.problem.chains
    rate = chain.arrivals.rate
    shares = {"urgent": URGENT, "patient": 1.0 - URGENT}
    chains = tuple(
        replace(
            chain,
            name=name,
            model=CHAIN,
            contexts=None,
            arrivals=Poisson(rate=share * rate),
            priority=int(name == "urgent"),
        )
        for name, share in shares.items()
    )
    devices = tuple(replace(d, discipline=discipline) for d in deployment.problem.devices)
    return replace(
        deployment,
        problem=replace(deployment.problem, chains=chains, devices=devices),
        placement={name: deployment.placement[CHAIN] for name in shares},
        routing=None,
        exits=None,
    )


def answers(
    prepared: Prepared, ceed: Path, target: float, options: SimulationOptions
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the questions.

    Args:
        prepared: Tables of the gateway and drifting samples.
        ceed: Folder of the profile.
        target: Largest loss ratio.
        options: How long to simulate.

    Yields:
        A row per question, variant and policy.
    """
    base = deployment_of(Cell("gateway", "drifting", "poisson", LOAD), prepared.traces, ceed)
    known = prepared.traces.calibration
    makers = policies(prepared, target)
    for name in ASKED:
        for variant, deployment in (("one by one", alike(base)), ("context after context", base)):
            run = simulate_policies(
                deployment, {CHAIN: makers[name]()}, options, calibration={CHAIN: known}
            )
            yield {"question": "data", "variant": variant, "policy": name} | _figures(run, 0)
        for discipline in ("fcfs", "priority"):
            deployment = two_classes(base, discipline)
            names = [chain.name for chain in deployment.problem.chains]
            run = simulate_policies(
                deployment,
                {chain: makers[name]() for chain in names},
                options,
                calibration=dict.fromkeys(names, known),
            )
            for row, chain in enumerate(names):
                said = {"question": "priority", "variant": f"{discipline}, {chain}"}
                yield said | {"policy": name} | _figures(run, row)


def _figures(run: PolicyRun, row: int) -> dict[str, float]:
    chain = run.measures.chain
    names = ("accuracy_offered", "accuracy_offered_se", "loss_ratio", "latency", "p95")
    return {name: float(chain[name][row]) for name in names}


def text(rows: list[dict[str, Any]]) -> list[str]:
    """Return the answers as lines of Markdown."""
    lines: list[str] = []
    titles = {
        "data": "## Data that are not alike: the same samples, one by one or context after context",
        "priority": "## Priorities: three jobs in ten are urgent, served in order or first",
    }
    for question, title in titles.items():
        own = [row for row in rows if row["question"] == question]
        if not own:
            continue
        lines += [
            "",
            title,
            "",
            f"Gateway, Poisson arrivals, load factor {LOAD:g}.",
            "",
            "| policy | variant | accuracy over offered | loss | latency [s] | p95 [s] |",
            "|---|---|---|---|---|---|",
        ]
        for row in own:
            lines.append(
                f"| {row['policy']} | {row['variant']} | {row['accuracy_offered']:.4f} +-"
                f" {1.96 * row['accuracy_offered_se']:.4f} | {row['loss_ratio']:.4f} |"
                f" {row['latency']:.3f} | {row['p95']:.3f} |"
            )
    return lines
