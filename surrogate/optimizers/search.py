"""The search contract: ask for candidates, tell their values; whoever drives it owns the budget."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation import Candidates, Evaluator
from surrogate.optimizers.objective import Objective
from surrogate.optimizers.space import PlacementSpace

__all__ = ["Search"]


class Search(ABC):
    """Proposes candidates and learns from their values.

    A driver calls :meth:`begin` once, then :meth:`ask` and :meth:`tell` in turn. All randomness
    comes from the generator given at the beginning, so a search asked for the same numbers of
    candidates and told the same values proposes the same again.

    Exact resume: what :meth:`state` returns between a ``tell`` and the next ``ask``, given to
    :meth:`restore` of a search that has begun on the same space, continues the run as if it had
    never stopped.
    """

    takes_several: bool = False
    """Whether :meth:`tell` is given all objectives of a candidate [B, M] instead of one [B]."""

    progress: float = 0.0
    """Share of the budget that is spent, in [0, 1]; kept up to date by the driver."""

    seconds_left: float = np.inf
    """Time left of the budget [s], infinity without a limit; kept up to date by the driver."""

    @classmethod
    def driven_by(cls, evaluator: Evaluator, objective: Objective) -> Search:
        """Return a search with the usual settings; most need to know nothing of these.

        Args:
            evaluator: What will judge the candidates.
            objective: What will be minimised.

        Returns:
            The search.
        """
        del evaluator, objective
        return cls()

    @abstractmethod
    def begin(self, space: PlacementSpace, rng: np.random.Generator) -> None:
        """Forget everything and start on a space.

        Args:
            space: The placements to search; its own placement is the start.
            rng: The only source of randomness from here on.
        """

    @abstractmethod
    def ask(self, count: int) -> Candidates:
        """Propose candidates.

        Args:
            count: How many, >= 1; may change from call to call.

        Returns:
            ``count`` candidates on allowed devices; the first of the first call is the start.
        """

    @abstractmethod
    def tell(self, candidates: Candidates, values: NDArray[np.float64]) -> None:
        """Report the values of the candidates asked for last.

        Args:
            candidates: What :meth:`ask` returned.
            values: Their values [B], or [B, M] where the search takes several; finite, lower is
                better.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state.

        Returns:
            Whole and finite numbers, texts, None, and arrays, lists and dictionaries of such.
            Arrays are not written into afterwards; :meth:`restore` may be given lists in their
            place, as JSON has them.
        """

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take a state back.

        Args:
            state: What :meth:`state` returned.
        """

    @property
    def finished(self) -> bool:
        """Whether nothing is left to ask for."""
        return False
