"""The progress of a search, for a person at a terminal: a bar for each of its stages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from datagen.commands.options import SLOW, hidden
from surrogate.optimizers import Budget
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.run import Callback
from surrogate.optimizers.watch import SEARCH

__all__ = ["StageBars", "searching", "spent", "stage_bars"]

FORMAT = "{desc:<9} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def spent(budget: Budget, found: Improvement) -> float:
    """Return the share of a budget that is spent.

    Args:
        budget: The budget.
        found: Where the search stands.

    Returns:
        The share of the limit that is nearest, in [0, 1].
    """
    seconds = 0.0 if budget.seconds is None else found.seconds / budget.seconds
    evaluations = 0.0 if budget.evaluations is None else found.evaluations / budget.evaluations
    return min(max(seconds, evaluations), 1.0)


class StageBars:
    """Bars on standard error, one after the other; those of short stages are never seen.

    Args:
        quiet: Whether to show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._hidden = hidden(quiet)
        self._stage = ""
        self._begin(SEARCH)  # warming up counts as search

    def _begin(self, stage: str) -> None:
        from tqdm import tqdm

        if self._stage:
            self.close()
        self._stage = stage
        self._bar = tqdm(
            total=1.0,
            desc=stage,
            bar_format=FORMAT,
            disable=self._hidden,
            file=sys.stderr,
            delay=SLOW,
        )

    def __call__(self, stage: str, share: float, said: str = "") -> None:
        """Show how far a stage is.

        Args:
            stage: The stage; another one than before gets a bar of its own.
            share: The share of it that is done, in [0, 1].
            said: What else there is to say.
        """
        if stage != self._stage:
            self._begin(stage)
        if said:
            self._bar.set_postfix_str(said, refresh=False)
        self._bar.update(max(share - self._bar.n, 0.0))

    def close(self) -> None:
        """Leave the last bar as it is."""
        self._bar.close()


@contextmanager
def stage_bars(*, quiet: bool) -> Iterator[StageBars]:
    """Show how a search gets on, on standard error, if a person is there to see it.

    Args:
        quiet: Whether to show nothing.

    Yields:
        What is to be told of the stages.
    """
    bars = StageBars(quiet=quiet)
    try:
        yield bars
    finally:
        bars.close()


def searching(bars: StageBars, budget: Budget) -> Callback:
    """Return what a search is to call after every batch.

    Args:
        bars: Where it is shown.
        budget: What the search may spend.

    Returns:
        The callback.
    """

    def show(found: Improvement) -> None:
        best = f"{found.evaluations} candidates, best {found.value:.4g}"
        bars(SEARCH, spent(budget, found), best)

    return show
