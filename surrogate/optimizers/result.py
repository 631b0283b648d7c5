"""What a search returns: the placement, what was predicted of it, and what simulation proved."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from datagen.deployment import Deployment
from datagen.evaluation import Measures
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.constraints import LimitViolation, Violation
from surrogate.optimizers.decided import decisions_of, placement_of
from surrogate.optimizers.goal import EXCEEDED, Goal
from surrogate.optimizers.selection import Selection
from surrogate.optimizers.space import Placements, PlacementSpace
from surrogate.optimizers.state import SearchState

__all__ = [
    "FrontPoint",
    "Outcome",
    "SearchResult",
    "Status",
    "Valued",
    "Violation",
    "violations",
]

Status = Literal["completed", "time_limit", "evaluation_limit", "interrupted"]

CHAIN_VALUES = (
    "loss_ratio",
    "throughput",
    "latency",
    "p95",
    "attainment",
    "accuracy_offered",
    "energy",
)
DEVICE_VALUES = ("utilization", "batch", "preemptions")
"""What an outcome tells of each chain and device."""


def _plain(value: float) -> float | None:
    """Return a number for JSON: None where undefined."""
    return float(value) if math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How one deployment performs, according to one source.

    Args:
        source: ``surrogate``, ``analytic`` or ``simulation``.
        loss_ratio: System loss ratio, in [0, 1]; NaN where undefined.
        ci95: Its 95 % interval, or None where the source gives none.
        chains: Chain -> measure -> value.
        devices: Device -> measure -> value; ``loss_ratio`` is the share of the jobs that arrive at
            the device, from outside or from another, and find too little room there.
        reason: Why a surrogate does not vouch for it, or None.
    """

    source: str
    loss_ratio: float
    ci95: tuple[float, float] | None
    chains: Mapping[str, Mapping[str, float]]
    devices: Mapping[str, Mapping[str, float]]
    reason: str | None = None

    @classmethod
    def of(cls, measures: Measures, index: int, deployment: Deployment | None = None) -> Outcome:
        """Read one row of measures.

        Args:
            measures: Measures of several deployments.
            index: 0-based row.
            deployment: The deployment of that row, to tell what each device loses; None leaves
                that out.

        Returns:
            The outcome.
        """
        row = measures[index]
        low = float(measures.deployment["loss_ratio_low"][index])
        high = float(measures.deployment["loss_ratio_high"][index])
        lost = None if deployment is None else _device_losses(measures, index, deployment)
        return cls(
            source=measures.source,
            loss_ratio=float(measures.deployment["loss_ratio"][index]),
            ci95=(low, high) if math.isfinite(low + high) else None,
            chains={
                name: {value: float(getattr(chain, value)) for value in CHAIN_VALUES}
                for name, chain in row.chains.items()
            },
            devices={
                name: {value: float(getattr(device, value)) for value in DEVICE_VALUES}
                | ({} if lost is None else {"loss_ratio": lost[name]})
                for name, device in row.devices.items()
            },
            reason=row.reason,
        )

    @classmethod
    def unknown(cls) -> Outcome:
        """Return the outcome of what nobody has simulated."""
        return cls(source="simulation", loss_ratio=math.nan, ci95=None, chains={}, devices={})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, None where undefined."""
        return {
            "loss_ratio": _plain(self.loss_ratio),
            "ci95": None if self.ci95 is None else list(self.ci95),
            "source": self.source,
            "reason": self.reason,
            "chains": {k: {n: _plain(x) for n, x in v.items()} for k, v in self.chains.items()},
            "devices": {k: {n: _plain(x) for n, x in v.items()} for k, v in self.devices.items()},
        }


def _device_losses(measures: Measures, index: int, deployment: Deployment) -> dict[str, float]:
    """Return the share of the arriving jobs that each device loses, NaN where none arrives."""
    rows = slice(*measures.step_start[index : index + 2].tolist())
    names = [device.name for device in deployment.problem.devices]
    devices = [step.device for chain in deployment.steps() for path in chain for step in path]
    offered, lost = (
        np.bincount(devices, weights=measures.step[name][rows], minlength=len(names))
        for name in ("offered", "lost")
    )
    with np.errstate(invalid="ignore"):
        return dict(zip(names, (lost / offered).tolist(), strict=True))


@dataclass(frozen=True, kw_only=True, slots=True)
class Valued:
    """Values of the objectives, and who says so.

    Args:
        source: ``surrogate``, ``analytic`` or ``simulation``.
        values: Objective -> value, lower is better; NaN where undefined.
    """

    source: str
    values: Mapping[str, float]

    @classmethod
    def of(cls, goal: Goal, measures: Measures, index: int) -> Valued:
        """Read one row of measures.

        Args:
            goal: The objectives.
            measures: Measures of several deployments.
            index: 0-based row.

        Returns:
            Its values.
        """
        values = goal.plain(measures)[index].tolist()
        return cls(source=measures.source, values=dict(zip(goal.names, values, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, None where undefined."""
        values = {name: _plain(value) for name, value in self.values.items()}
        return {"source": self.source, "values": values}


@dataclass(frozen=True, kw_only=True, slots=True)
class FrontPoint:
    """A point of the Pareto front.

    Args:
        deployment: The deployment.
        predicted: Its values as the evaluator of the search says.
        verified: Its values as simulated on the verification seeds, where it was not broken off.
    """

    deployment: Deployment
    predicted: Valued
    verified: Valued | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            **decisions_of(self.deployment),
            "predicted": self.predicted.to_dict(),
            "verified": None if self.verified is None else self.verified.to_dict(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchResult:
    """The outcome of a search.

    Args:
        deployment: What was chosen: the best that fits, or what exceeds the memory least.
        start_deployment: What the search started from.
        predicted: What the evaluator of the search says of the chosen one.
        start: The start, simulated on the verification seeds.
        verified: The chosen one, simulated on the verification seeds, which no choice depended on.
        evaluations: Candidates the evaluator was asked about.
        seconds: Time of search and selection [s].
        seconds_total: The same with warming up and verification [s].
        status: Why the search ended.
        violations: Where the chosen one exceeds the memory, or a limit in the verification; empty
            if it keeps everything.
        history: The improvements in order, as predicted.
        seed: Seed of the search.
        objectives: Values of the objectives of ``start``, ``predicted`` and ``verified``.
        front: Where there are several objectives, deployments that none beats in all of them, by
            rising first objective: nondominated as predicted, each simulated on the verification
            seeds.
        state: Where the search stood, to go on from.
        selection: How the chosen one was told from the other finalists; None where nothing was
            compared.
    """

    deployment: Deployment
    start_deployment: Deployment
    predicted: Outcome
    start: Outcome
    verified: Outcome
    evaluations: int
    seconds: float
    seconds_total: float
    status: Status
    violations: tuple[Violation | LimitViolation, ...]
    history: tuple[Improvement, ...]
    seed: int
    objectives: Mapping[str, Valued] = field(default_factory=dict)
    front: tuple[FrontPoint, ...] = ()
    state: SearchState | None = field(default=None, repr=False)
    selection: Selection | None = None

    @property
    def feasible(self) -> bool:
        """Whether the chosen deployment fits every device and keeps every limit."""
        return not self.violations

    @property
    def placement(self) -> dict[str, list[Any]]:
        """Chain -> device of each fragment; a list of such lists where there are several paths."""
        return placement_of(self.deployment)

    @property
    def least_infeasible(self) -> dict[str, list[Any]] | None:
        """The placement that breaks the rules least, where none that keeps them was found."""
        return None if self.feasible else self.placement

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values.

        Returns:
            The form of the contract; None for what is undefined.
        """
        return {
            **decisions_of(self.deployment),
            "start": self.start.to_dict() | decisions_of(self.start_deployment),
            "predicted": self.predicted.to_dict(),
            "verified": self.verified.to_dict(),
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "seconds_total": self.seconds_total,
            "status": self.status,
            "feasible": self.feasible,
            "violations": [violation.to_dict() for violation in self.violations],
            "least_infeasible": self.least_infeasible,
            "objectives": {who: valued.to_dict() for who, valued in self.objectives.items()},
            "front": [
                point.to_dict() | {"chosen": point.deployment == self.deployment}
                for point in self.front
            ],
            "history": [
                {
                    "evaluations": h.evaluations,
                    "seconds": h.seconds,
                    "value": h.value if h.value < EXCEEDED else None,
                    "source": self.predicted.source,
                }
                for h in self.history
            ],
            "selection": None if self.selection is None else self.selection.to_dict(),
            "seed": self.seed,
        }

    def to_json(self) -> str:
        """Return one line of strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def violations(space: PlacementSpace, placement: Placements) -> tuple[Violation, ...]:
    """Return where a placement exceeds the memory.

    Args:
        space: The placements of the problem.
        placement: Device index per slot [F].

    Returns:
        One entry per device; empty if everything fits.
    """
    needed = space.tables.hosted(space.placements(placement[None]))[0]
    return tuple(
        Violation(
            device=space.base.problem.devices[d].name,
            needed=float(needed[d]),
            memory=float(space.memory[d]),
        )
        for d in np.flatnonzero(needed > space.memory).tolist()
    )
