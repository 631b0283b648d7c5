"""What a reconfiguration returns: the moves, what they cost, and what simulation proved of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datagen.deployment import Deployment
from surrogate.optimizers.constraints import Violation
from surrogate.optimizers.decided import placement_of
from surrogate.optimizers.migration import Move, Outage
from surrogate.optimizers.result import Outcome, Status
from surrogate.optimizers.transition import Change

__all__ = ["Reconfiguration"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconfiguration:
    """The outcome of a reconfiguration.

    Args:
        deployment: The placement behind the moves, at the load after the change.
        moves: The moves in order.
        outages: When chains are away, counted from the first move.
        refused: Requests that are expected to come meanwhile.
        loss_target: Largest system loss ratio that was asked for.
        start: The placement as it was, at the load after the change, as simulated.
        predicted: What the evaluator says of the new one.
        verified: The new one, as simulated on seeds that no choice depended on.
        cheapest: Whether everything cheaper was tried: no moves that cost less lose as little as
            was aimed at, as the evaluator has it.
        aimed: Loss ratio that the evaluator was asked for in the end; the target, or less where it
            was too hopeful.
        evaluations: Placements that the evaluator was asked about.
        seconds: Time of search and selection [s].
        seconds_total: The same with verification [s].
        status: Why the search ended.
        violations: Where the new placement exceeds the memory.
        changes: What happens across the change: ``moved``, and ``nothing`` where nothing is; None
            where it was not asked for.
        seed: Seed of everything random.
    """

    deployment: Deployment
    moves: tuple[Move, ...]
    outages: tuple[Outage, ...]
    refused: float
    loss_target: float
    start: Outcome
    predicted: Outcome
    verified: Outcome
    cheapest: bool
    aimed: float
    evaluations: int
    seconds: float
    seconds_total: float
    status: Status
    violations: tuple[Violation, ...]
    changes: Mapping[str, Change] | None
    seed: int

    @property
    def bytes(self) -> float:
        """Bytes that the moves send."""
        return sum(move.bytes for move in self.moves)

    @property
    def feasible(self) -> bool:
        """Whether the new placement fits the memory and keeps the target as simulated."""
        return not self.violations and self.verified.loss_ratio <= self.loss_target

    @property
    def placement(self) -> dict[str, list[Any]]:
        """Chain -> device of each fragment."""
        return placement_of(self.deployment)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values, None for what is undefined."""
        changes = self.changes
        return {
            "placement": self.placement,
            "moves": [move.to_dict() for move in self.moves],
            "bytes": self.bytes,
            "outages": [outage.to_dict() for outage in self.outages],
            "refused": self.refused,
            "loss_target": self.loss_target,
            "start": self.start.to_dict(),
            "predicted": self.predicted.to_dict(),
            "verified": self.verified.to_dict(),
            "cheapest": self.cheapest,
            "aimed": self.aimed,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "seconds_total": self.seconds_total,
            "status": self.status,
            "feasible": self.feasible,
            "violations": [violation.to_dict() for violation in self.violations],
            "changes": changes and {name: change.to_dict() for name, change in changes.items()},
            "seed": self.seed,
        }

    def to_json(self) -> str:
        """Return one line of strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)
