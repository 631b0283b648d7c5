"""The progress of a search, for a person at a terminal: the share of the budget, and the best."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from datagen.commands.options import SLOW, hidden
from surrogate.optimizers import Budget
from surrogate.optimizers.archive import Improvement
from surrogate.optimizers.run import Callback

__all__ = ["search_bar", "spent"]

FORMAT = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


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


@contextmanager
def search_bar(budget: Budget, *, quiet: bool) -> Iterator[Callback]:
    """Show how a search gets on, on standard error, if a person is there to see it.

    The remaining time is that of search and selection; the proof comes on top.

    Args:
        budget: What the search may spend.
        quiet: Whether to show nothing.

    Yields:
        What the search is to call after every batch.
    """
    from tqdm import tqdm

    with tqdm(
        total=1.0,
        desc="search",
        bar_format=FORMAT,
        disable=hidden(quiet),
        file=sys.stderr,
        delay=SLOW,
    ) as bar:

        def show(found: Improvement) -> None:
            best = f"{found.evaluations} candidates, best {found.value:.4g}"
            bar.set_postfix_str(best, refresh=False)
            bar.update(max(spent(budget, found) - bar.n, 0.0))

        yield show
