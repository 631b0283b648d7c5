"""Thresholds by arrival rate, made once and looked up online."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment
from datagen.errors import InvalidInputError, require
from surrogate.optimizers.threshold_result import ThresholdResult

__all__ = ["LookupTable", "lookup_table", "scaled"]

FORM = 1
"""Version of the JSON form."""


@dataclass(frozen=True, slots=True)
class LookupTable:
    """Decisions at increasing load, looked up by a measured one.

    A rate between two entries takes the decisions of the higher one, which keep the loss target at
    every lower rate as well; a rate beyond the last takes the last.

    Args:
        factors: Factors on the arrival rates of the deployment, increasing, > 0 [N].
        entries: Decisions at each: ``thresholds`` and ``routing`` by chain, ``bands``, and what was
            predicted and verified [N].
        loss_target: Largest system loss ratio they were made for.

    Raises:
        InvalidInputError: If the factors do not increase or do not fit the entries.
    """

    factors: tuple[float, ...]
    entries: tuple[dict[str, Any], ...]
    loss_target: float

    def __post_init__(self) -> None:
        proper = len(self.factors) > 0 and all(math.isfinite(x) and x > 0 for x in self.factors)
        rising = proper and all(a < b for a, b in zip(self.factors, self.factors[1:], strict=False))
        require(rising, "factors", "be > 0 and increase", self.factors)
        matching = len(self.entries) == len(self.factors)
        require(matching, "entries", f"hold {len(self.factors)} entries", len(self.entries))

    def at(self, factor: float) -> dict[str, Any]:
        """Return the decisions for a load.

        Args:
            factor: Measured arrival rate over that of the deployment, >= 0.

        Returns:
            The entry of the next higher factor.
        """
        return self.entries[min(bisect_left(self.factors, factor), len(self.factors) - 1)]

    def save(self, path: str | Path) -> None:
        """Write the table as JSON.

        Args:
            path: The file.
        """
        document = {
            "form": FORM,
            "loss_target": self.loss_target,
            "factors": list(self.factors),
            "entries": list(self.entries),
        }
        Path(path).write_text(json.dumps(document, allow_nan=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> LookupTable:
        """Read a table.

        Args:
            path: File that :meth:`save` wrote.

        Returns:
            The table.

        Raises:
            InvalidInputError: If the file is no such table.
        """
        try:
            document = json.loads(Path(path).read_text())
            known = document["form"] == FORM
            factors, entries = tuple(document["factors"]), tuple(document["entries"])
            target = float(document["loss_target"])
        except (OSError, ValueError, KeyError, TypeError):
            raise InvalidInputError("lookup", "be a table of thresholds", str(path)) from None
        require(known, "lookup", f"have form {FORM}", document["form"])
        return cls(factors=factors, entries=entries, loss_target=target)


def lookup_table(
    start: Deployment, factors: Sequence[float], tune: Callable[[Deployment], ThresholdResult]
) -> LookupTable:
    """Tune thresholds at several loads.

    Args:
        start: The deployment at factor 1.
        factors: Factors on its arrival rates, increasing, > 0.
        tune: Finds the decisions of a deployment.

    Returns:
        The table.

    Raises:
        InvalidInputError: If arrivals are not Poisson or the factors do not increase.
    """
    results = [tune(scaled(start, factor)) for factor in factors]
    entries = []
    for result in results:
        told = result.to_dict()
        kept = ("thresholds", "routing", "bands", "predicted", "verified", "feasible")
        entries.append({name: told[name] for name in kept})
    require(len(results) > 0, "factors", "hold at least one", list(factors))
    return LookupTable(
        factors=tuple(float(x) for x in factors),
        entries=tuple(entries),
        loss_target=results[0].loss_target,
    )


def scaled(deployment: Deployment, factor: float) -> Deployment:
    """Return a deployment with other arrival rates.

    Args:
        deployment: One with Poisson arrivals.
        factor: Factor on all rates, > 0.

    Returns:
        The same otherwise.

    Raises:
        InvalidInputError: If arrivals are not Poisson or the factor is not positive.
    """
    require(factor > 0, "factors", "be > 0", factor)

    def faster(chain: Chain) -> Chain:
        poisson = isinstance(chain.arrivals, Poisson)
        require(poisson, f"{chain.name}.arrivals", "be Poisson", chain.arrivals.name)
        return replace(chain, arrivals=Poisson(rate=chain.arrivals.rate * factor))

    chains = tuple(map(faster, deployment.problem.chains))
    return replace(deployment, problem=replace(deployment.problem, chains=chains))
