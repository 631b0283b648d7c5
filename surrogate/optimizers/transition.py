"""A change of load and the moves that follow it, played in one simulation.

A placement cannot change while a simulation runs, but rates can. So every chain is played as four
that share its devices: its requests before the change, at the old places; those that come while
fragments are moved, at the old places until the chain is away and at the new ones from when it is
back; and those that come after the last move, at the new places. Queues go on through all of that
as they would: what was admitted at an old place is served there. Requests that come while their
chain is away meet no device; their expected number counts as lost. Sending weights takes no time of
the devices, and the devices are those of the problem after the change throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import PiecewisePoisson, Poisson
from datagen.deployment import Chain, Deployment
from datagen.errors import require
from datagen.evaluation import Measures
from datagen.simulator import SimulationEvaluator, SimulationOptions
from surrogate.optimizers.migration import Outage

__all__ = ["Change", "Phase", "Timeline", "change_deployment", "simulate_change"]

Floats = NDArray[np.float64]

PHASES = ("before", "moving", "after")
PARTS = ("before", "leaving", "arriving", "after")
"""Chains that each chain is played as, and the phases that they are of: those who leave and those
who arrive both come while fragments are moved."""
PHASE_OF = {"before": 0, "leaving": 1, "arriving": 1, "after": 2}

QUIET = 1e-12
"""Rate after all is over, over the rate itself: a schedule must end with one above 0, and this one
brings no request that anybody counts."""

FAR = 8.0
"""When that begins, over the length of the run: simulations end before twice that length."""

RUNS = 8
"""Independent runs: enough to estimate a standard error from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """When what happens in a run.

    Args:
        warmup: End of the time that is not counted [s], > 0.
        change: When the load changes and the first move begins [s], > warmup.
        moved: When the last move ends [s], >= change.
        end: When the run ends [s], > moved.
    """

    warmup: float
    change: float
    moved: float
    end: float

    def __post_init__(self) -> None:
        rising = 0 < self.warmup < self.change <= self.moved < self.end < np.inf
        times = (self.warmup, self.change, self.moved, self.end)
        require(rising, "timeline", "ascend from warmup over change and moved to end", times)


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """What happened to the requests that came in one part of the time.

    Args:
        name: ``before``, ``moving`` or ``after``.
        seconds: Its length [s].
        offered: Requests that came, refused ones included, per run.
        lost: Of these, lost at full buffers, per run.
        refused: Of these, expected to have come while their chain was away, per run.
        standard_error: Of the loss ratio; NaN where nothing came.
    """

    name: str
    seconds: float
    offered: float
    lost: float
    refused: float
    standard_error: float

    @property
    def loss_ratio(self) -> float:
        """Lost and refused over offered, in [0, 1]; NaN where nothing came."""
        return (self.lost + self.refused) / self.offered if self.offered > 0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, None where undefined."""
        known = self.offered > 0
        return {
            "seconds": self.seconds,
            "offered": self.offered,
            "lost": self.lost,
            "refused": self.refused,
            "loss_ratio": self.loss_ratio if known else None,
            "standard_error": self.standard_error if known else None,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a change of load costs, moves included.

    Args:
        phases: Before the change, while fragments move, and after.
        since: Everything since the change.
    """

    phases: tuple[Phase, ...]
    since: Phase

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, None where undefined."""
        every = (*self.phases, self.since)
        return {phase.name: phase.to_dict() for phase in every}


def _rate(chain: Chain) -> float:
    poisson = isinstance(chain.arrivals, Poisson)
    require(poisson, f"{chain.name}.arrivals", "be Poisson", chain.arrivals.name)
    return chain.arrivals.rate


def _between(rate: float, start: float, stop: float, end: float) -> PiecewisePoisson:
    """Return arrivals that come from start to stop, and not while anybody counts elsewhere."""
    pieces = {0.0: 0.0}
    if start < stop:
        pieces |= {start: rate, stop: 0.0}
    pieces[FAR * end] = QUIET * rate
    return PiecewisePoisson(times=tuple(pieces), rates=tuple(pieces.values()))


def change_deployment(
    before: Deployment, after: Deployment, outages: Sequence[Outage], timeline: Timeline
) -> Deployment:
    """Return the deployment that plays a change.

    Args:
        before: Placement and load until the change.
        after: Placement behind the moves, and load from the change on; of the same chains.
        outages: When chains are away, counted from the change.
        timeline: When what happens.

    Returns:
        A deployment of four chains for each, named ``chain@part``.

    Raises:
        InvalidInputError: If arrivals are not Poisson, or the two are not of the same chains.
    """
    old = {chain.name: chain for chain in before.problem.chains}
    new = {chain.name: chain for chain in after.problem.chains}
    require(list(old) == list(new), "after", f"have the chains {list(old)}", list(new))
    away = {outage.chain: outage for outage in outages}
    chains, placement, exits = [], {}, {}
    for name, chain in new.items():
        gone = away.get(name, Outage(chain=name, start=0.0, end=0.0))
        leave, back = timeline.change + gone.start, timeline.change + gone.end
        spans = {
            "before": (_rate(old[name]), 0.0, timeline.change, before),
            "leaving": (_rate(chain), timeline.change, leave, before),
            "arriving": (_rate(chain), back, timeline.moved, after),
            "after": (_rate(chain), timeline.moved, timeline.end, after),
        }
        for part, (rate, start, stop, source) in spans.items():
            named = f"{name}@{part}"
            arrivals = _between(rate, start, stop, timeline.end)
            chains.append(replace(chain, name=named, arrivals=arrivals, model=chain.model))
            placement[named] = source.placement[name]
            if name in (source.exits or {}):
                exits[named] = (source.exits or {})[name]
    problem = replace(after.problem, chains=tuple(chains))
    return Deployment(problem=problem, placement=placement, exits=exits, fuse=after.fuse)


def simulate_change(
    before: Deployment,
    after: Deployment,
    outages: Sequence[Outage],
    timeline: Timeline,
    *,
    seed: int,
) -> Change:
    """Simulate a change of load and the moves that follow it.

    Args:
        before: Placement and load until the change.
        after: Placement behind the moves, and load from the change on.
        outages: When chains are away, counted from the change.
        timeline: When what happens.
        seed: Master seed, >= 0; the same requests come before the change whatever follows.

    Returns:
        Losses phase by phase, means over independent runs.
    """
    played = change_deployment(before, after, outages, timeline)
    options = SimulationOptions(
        horizon=timeline.end, replications=1, warmup=timeline.warmup / timeline.end, seed=seed
    )
    seeds = np.random.SeedSequence(seed).generate_state(RUNS).tolist()
    evaluator = SimulationEvaluator(options)
    runs = [evaluator.with_seed(run).evaluate([played]) for run in seeds]
    rates = {chain.name: _rate(chain) for chain in after.problem.chains}
    refused = sum(rates[outage.chain] * (outage.end - outage.start) for outage in outages)
    lengths = (
        timeline.change - timeline.warmup,
        timeline.moved - timeline.change,
        timeline.end - timeline.moved,
    )
    counts = np.array([_counts(run) for run in runs])  # [R, 3, 2]
    phases = [
        _phase(name, seconds, counts[:, k], refused if name == "moving" else 0.0)
        for k, (name, seconds) in enumerate(zip(PHASES, lengths, strict=True))
    ]
    since = _phase("since", sum(lengths[1:]), counts[:, 1:].sum(axis=1), refused)
    return Change(phases=tuple(phases), since=since)


def _counts(run: Measures) -> Floats:
    """Return offered and lost requests of each phase [3, 2]."""
    found = np.zeros((len(PHASES), 2))
    columns: Mapping[str, Any] = run.chain
    for row, named in enumerate(run.chain_names or ()):
        phase = PHASE_OF[named.rpartition("@")[2]]
        found[phase] += columns["offered"][row], columns["lost"][row]
    return found


def _phase(name: str, seconds: float, counts: Floats, refused: float) -> Phase:
    """Return the mean over runs of offered and lost requests [R, 2]."""
    offered, lost = counts.mean(axis=0) + (refused, 0.0)
    error = float("nan")
    if offered > 0:
        ratio = (lost + refused) / offered
        # Of a ratio of means: the runs' deviations from it, over the mean of the denominator.
        deviation = counts[:, 1] + refused - ratio * (counts[:, 0] + refused)
        error = float(deviation.std(ddof=1) / np.sqrt(len(counts)) / offered)
    return Phase(
        name=name,
        seconds=seconds,
        offered=float(offered),
        lost=float(lost),
        refused=refused,
        standard_error=error,
    )
