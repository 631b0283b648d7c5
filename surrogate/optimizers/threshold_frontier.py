"""The frontier of accuracy and work: what thresholds can do before any queue is considered.

For a price of work, the best thresholds maximise the share of right answers less the price times
the mean work of a job. Prices from next to nothing to prohibitive give the whole frontier; all are
climbed side by side through the exit model.
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

STEPS = 40
"""Steps of each climb."""

RATE = 0.08
"""Length of the first step, as a share of the range of levels; it falls to a tenth."""


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
        leaving = model(levels)
        gain = leaving.right.sum(dim=1) - price * (leaving.mix @ relative)
        gain.sum().backward()
        optimizer.step()
        with torch.no_grad():
            levels.clamp_(0.0, 1.0)
    single = np.tril(np.ones((exits, exits - 1)), -1)  # exit e: those before closed, it wide open
    return np.concatenate([levels.detach().double().numpy(), single])
