"""The cells of the benchmark of online exit policies: what is deployed, and who decides.

The network is CEED's measured ResNet-50 profile, cut after as many gates as the recorded network
has exits; where jobs leave, and whether they are right, is told by the traces of the shipped
multi-exit network, whose test part jobs draw from and whose calibration part policies know. Two
topologies: a gateway alone, and a gateway that runs the first gates and passes jobs on to a near or
a far edge, by their speeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from early_exit_thresholds import FAR, NEAR, deployed, fragments

from datagen.arrivals import Arrivals, MarkovModulated, Poisson
from datagen.deployment import Deployment
from datagen.evaluation import pack
from datagen.evaluation.loads import offered_load
from datagen.exits import ContextSwitching, ExitTrace
from datagen.exits.counts import samples_in
from datagen.policies.adaee import AdaEEMultiGate, AdaEEOriginal, AdaEEQueueAware
from datagen.policies.exit_policy import ExitPolicy
from datagen.policies.knapsack import Knapsack
from datagen.policies.queueing import QueueingPolicy
from datagen.policies.reactive import Reactive
from datagen.policies.single_exits import ExitFirst, ExitLast, ExitMixed, ExitRandom
from datagen.policies.threshold_table import TabledThresholds, ThresholdTable
from datagen.policies.worth import Confidence
from datagen.simulator.policies import policy_scene
from surrogate.policies.bayesian_tables import MOST_RATES, bayesian_table
from surrogate.policies.price_tables import PriceTables, tables_of
from surrogate.policies.queue_aware import DriftAware, QueueAware
from surrogate.policies.static import StaticThresholds

CHAIN = "camera"
LOADS = (0.5, 1.0, 1.5, 2.0)
TOPOLOGIES = ("gateway", "edges")
ARRIVALS = ("poisson", "mmpp")
DIFFICULTIES = ("clean", "drifting")

QUIET, BUSY = 0.5, 2.0
"""Rates of the two phases over the mean rate."""

QUIET_JOBS, BUSY_JOBS = 50.0, 25.0
"""Mean length of the phases, in mean times between jobs: two thirds of the time are quiet."""

HELD_JOBS = 300.0
"""Mean number of jobs that a context holds where difficulty drifts."""

FAMILIES = {
    "exit-last": "none",
    "exit-first": "none",
    "random": "none",
    "fixed": "none",
    "reactive": "reactive",
    "knapsack": "knapsack",
    "knapsack (confidence)": "knapsack",
    "queueing": "queueing model",
    "queueing (confidence)": "queueing model",
    "AdaEE multi-gate": "bandit",
    "AdaEE original": "bandit",
    "AdaEE queue-aware": "bandit",
    "Bayesian tables": "data-driven",
    "ours: static": "ours",
    "ours: queue-aware": "ours",
    "ours: drift-aware": "ours",
}
"""Policy -> the seeds' family of it."""


@dataclass(frozen=True)
class Cell:
    """One combination of the sweep."""

    topology: str
    difficulty: str
    arrivals: str
    load: float


@dataclass(frozen=True)
class Traces:
    """What jobs hold, and what policies know."""

    test: ExitTrace
    calibration: ExitTrace

    @classmethod
    def of(cls, folder: Path, difficulty: str) -> Traces:
        """Return the traces of a difficulty: its first context alone where it is clean."""
        test, known = (
            ExitTrace.load(folder / f"{part}.npz", name="trace") for part in ("test", "calibration")
        )
        if difficulty == "clean":
            return cls(samples_in(test, 0), samples_in(known, 0))
        return cls(test, known)


@dataclass(frozen=True)
class Prepared:
    """What is made in advance for a topology and a difficulty, once for all loads."""

    traces: Traces
    tables: PriceTables
    bayesian: ThresholdTable


def deployment_of(cell: Cell, traces: Traces, ceed: Path) -> Deployment:
    """Return the deployment of a cell.

    Args:
        cell: The cell.
        traces: Its traces.
        ceed: Folder of the profile.

    Returns:
        The deployment; its jobs take each path by the speed of the edge.
    """
    parts = fragments(ceed, traces.test.exits)
    base = deployed(parts, traces.test, cell.topology == "edges", 1.0)
    if cell.topology == "edges":
        shares = np.array([NEAR, FAR]) / (NEAR + FAR)
        base = replace(base, routing={CHAIN: tuple(shares.tolist())})
    chain = base.problem.chains[0]
    rate = chain.arrivals.rate * cell.load / float(offered_load(pack([base])).max())
    chain = replace(chain, arrivals=arrivals_of(cell.arrivals, rate))
    if cell.difficulty == "drifting":
        held = (HELD_JOBS,) * traces.test.contexts
        chain = replace(chain, contexts=ContextSwitching(holding=held, by="jobs"))
    return replace(base, problem=replace(base.problem, chains=(chain,)))


def arrivals_of(name: str, rate: float) -> Arrivals:
    """Return an arrival process of a mean rate [1/s]."""
    if name == "poisson":
        return Poisson(rate=rate)
    return MarkovModulated(
        rates=(QUIET * rate, BUSY * rate), switch=(rate / QUIET_JOBS, rate / BUSY_JOBS)
    )


def prepare(topology: str, difficulty: str, folder: Path, ceed: Path, target: float) -> Prepared:
    """Make the tables of a topology and a difficulty."""
    traces = Traces.of(folder, difficulty)
    base = deployment_of(Cell(topology, "clean", "poisson", 1.0), traces, ceed)
    scene = policy_scene(base, CHAIN, traces.calibration)
    rate = base.problem.chains[0].arrivals.rate
    # From the quiet phase at the lowest load to the busy phase at the highest.
    rates = np.geomspace(QUIET * LOADS[0] * rate, BUSY * LOADS[-1] * rate, MOST_RATES)
    return Prepared(
        traces=traces,
        tables=tables_of(scene),
        bayesian=bayesian_table(scene, rates.tolist(), target),
    )


def policies(prepared: Prepared, target: float) -> dict[str, Callable[[], ExitPolicy]]:
    """Return how each policy is made."""
    tables, exits = prepared.tables, prepared.traces.test.exits
    halves = np.zeros(exits)
    halves[[0, -1]] = 0.5
    return {
        "exit-last": ExitLast,
        "exit-first": ExitFirst,
        "random": ExitRandom,
        "fixed": lambda: ExitMixed(halves.tolist()),
        "reactive": Reactive,
        "knapsack": Knapsack,
        "knapsack (confidence)": lambda: Knapsack(Confidence()),
        "queueing": lambda: QueueingPolicy(target),
        "queueing (confidence)": lambda: QueueingPolicy(target, Confidence()),
        "AdaEE multi-gate": AdaEEMultiGate,
        "AdaEE original": AdaEEOriginal,
        "AdaEE queue-aware": AdaEEQueueAware,
        "Bayesian tables": lambda: TabledThresholds(prepared.bayesian),
        "ours: static": lambda: StaticThresholds(tables, target),
        "ours: queue-aware": lambda: QueueAware(tables, target),
        "ours: drift-aware": lambda: DriftAware(tables, target),
    }
