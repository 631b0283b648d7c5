"""What a threshold search returns: decisions, what was predicted of them, and what was proved."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datagen.deployment import Deployment
from surrogate.optimizers.decided import placement_of, thresholds_of
from surrogate.optimizers.result import Outcome, Status

__all__ = ["Judged", "ThresholdResult"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """How thresholds and routing perform, according to one source.

    Args:
        outcome: Losses.
        accuracy_offered: Right answers / offered jobs of the chains that have exits, in [0, 1]; NaN
            where unknown.
        accuracy_ci95: Its 95 % interval, or None where the source gives none.
    """

    outcome: Outcome
    accuracy_offered: float
    accuracy_ci95: tuple[float, float] | None = None

    @property
    def loss_ratio(self) -> float:
        """System loss ratio, in [0, 1]."""
        return self.outcome.loss_ratio

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, None where undefined."""
        known = math.isfinite(self.accuracy_offered)
        return {
            **self.outcome.to_dict(),
            "accuracy_offered": self.accuracy_offered if known else None,
            "accuracy_ci95": None if self.accuracy_ci95 is None else list(self.accuracy_ci95),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ThresholdResult:
    """Thresholds and routing for a loss target.

    Args:
        deployment: The deployment with the decisions found.
        loss_target: Largest system loss ratio asked for.
        predicted: What the evaluator says of it.
        start: The deployment searched from, simulated on the verification seeds.
        verified: The decisions found, on the same seeds; nothing was chosen by these.
        evaluations: Candidates visited.
        seconds: Time of search and selection [s].
        seconds_total: The same with start-up and verification [s].
        status: Why the search ended.
        feasible: Whether the verified loss ratio keeps the target (the predicted one, where nothing
            was verified).
        bands: Queue-aware decisions: by the largest number of jobs present at the start of a
            service, the job itself included, the thresholds that hold; empty for a static result.
    """

    deployment: Deployment
    loss_target: float
    predicted: Judged
    start: Judged | None
    verified: Judged | None
    evaluations: int
    seconds: float
    seconds_total: float
    status: Status
    feasible: bool
    bands: tuple[tuple[int, tuple[float, ...]], ...] = ()

    @property
    def thresholds(self) -> dict[str, list[float]]:
        """Thresholds of every chain that is decided by some."""
        return thresholds_of(self.deployment)

    @property
    def routing(self) -> Mapping[str, tuple[float, ...]]:
        """Path probabilities of every chain."""
        return dict(self.deployment.routing or {})

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; None where undefined."""
        broken = []
        if not self.feasible:
            judged = self.verified or self.predicted
            broken = [f"loss ratio {judged.loss_ratio:.4g} exceeds {self.loss_target:g}"]
        return {
            "placement": placement_of(self.deployment),
            "thresholds": self.thresholds,
            "routing": {name: list(shares) for name, shares in self.routing.items()},
            "bands": [{"jobs": jobs, "thresholds": list(tau)} for jobs, tau in self.bands],
            "loss_target": self.loss_target,
            "start": None if self.start is None else self.start.to_dict(),
            "predicted": self.predicted.to_dict(),
            "verified": None if self.verified is None else self.verified.to_dict(),
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "seconds_total": self.seconds_total,
            "status": self.status,
            "feasible": self.feasible,
            "violations": broken,
        }

    def to_json(self) -> str:
        """Return the result as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=2)
