"""The frontier of accuracy and work: what thresholds can do before any queue is considered.

For a price of work, the best thresholds maximise the share of right answers less the price times
the mean work of a job. Prices from next to nothing to prohibitive give the whole frontier; all are
climbed side by side through the exit model. Which exits are worth having gradients answer badly, so
that an evolution follows, in which every new vector may serve any of the prices.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from surrogate.exit_model import ExitModel

__all__ = ["frontier"]

Floats = NDArray[np.float64]

PRICES = 20
"""Points of the frontier that are climbed to; as many single exits as there are come on top."""

STEPS = 25
"""Steps of each climb."""

CLIMB_SAMPLES = 500
"""Samples of a trace that the climb looks at: its ends are improved on all of them."""

RATE = 0.08
"""Length of the first step, as a share of the range of levels; it falls to a tenth."""


GENERATIONS = 40
CHILDREN = 64
"""Size of the evolution."""

CHANGED = 0.3
"""Share of the levels of a parent that a child changes."""

EXTREME = 0.2
"""Share of these changes that open or close an exit altogether."""

SPREAD = 0.25
"""Standard deviation of the other changes at first; it falls to a tenth."""


def frontier(model: ExitModel, works: Floats, *, prices: int = PRICES) -> Floats:
    """Return thresholds that trade accuracy for work.

    Args:
        model: Where jobs leave.
        works: Mean work of a job that leaves at each exit [E], in any unit.
        prices: Number of prices, >= 1.

    Returns:
        Levels [prices + E, E - 1]; the last E are the single exits.
    """
    exits = model.exits
    relative = torch.tensor(works / works.max(), dtype=torch.float32)
    # Accuracies differ by tenths over the range of works.
    price = torch.logspace(-2.5, 0.7, prices)
    levels = torch.full((prices, exits - 1), 0.5).requires_grad_()
    optimizer = torch.optim.Adam([levels], lr=RATE, betas=(0.8, 0.95))
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.1 ** (step / STEPS)
        optimizer.zero_grad()
        leaving = model.roughly(levels, CLIMB_SAMPLES)
        gain = leaving.right.sum(dim=1) - price * (leaving.mix @ relative)
        torch.autograd.backward(gain.sum())
        optimizer.step()
        with torch.no_grad():
            levels.clamp_(0.0, 1.0)
    single = np.tril(np.ones((exits, exits - 1)), -1)  # exit e: those before closed, it wide open
    climbed = np.concatenate([levels.detach().double().numpy(), single])
    evolved = _evolved(model, relative.double().numpy(), price.double().numpy(), climbed)
    return np.concatenate([evolved, single])


def _evolved(model: ExitModel, works: Floats, price: Floats, start: Floats) -> Floats:
    """Improve the best vector for each price [prices, E - 1]."""
    rng = np.random.default_rng(0)  # the same frontier for the same network, whatever the seed
    best = np.zeros((len(price), start.shape[1]))
    value = np.full(len(price), -np.inf)
    children = start
    for generation in range(GENERATIONS + 1):
        gain = _gains(model, children, works, price)
        top = gain.argmax(axis=0)
        better = gain[top, np.arange(len(price))] > value
        best[better], value[better] = (
            children[top[better]],
            gain[top, np.arange(len(price))][better],
        )
        one, other = rng.integers(len(price), size=(2, CHILDREN))
        crossed = np.where(
            rng.random((CHILDREN, 1)) < 0.5, best[one], (best[one] + best[other]) / 2
        )
        spread = SPREAD * 0.1 ** (generation / GENERATIONS)
        moved = np.clip(crossed + rng.normal(0.0, spread, crossed.shape), 0.0, 1.0)
        extreme = rng.random(crossed.shape) < EXTREME
        moved = np.where(extreme, rng.integers(2, size=crossed.shape), moved)
        children = np.where(rng.random(crossed.shape) < CHANGED, moved, crossed)
    return best


def _gains(model: ExitModel, levels: Floats, works: Floats, price: Floats) -> Floats:
    """Return right answers less priced work of every vector for every price [B, prices]."""
    with torch.no_grad():
        leaving = model(torch.tensor(levels, dtype=torch.float32))
    right = leaving.right.sum(dim=1).double().numpy()
    work = leaving.mix.double().numpy() @ works
    return np.asarray(right[:, None] - price * work[:, None])
