"""A small made-up network, and predictors with weights of their own."""

from __future__ import annotations

import numpy as np
import torch

from datagen.exits import ExitTrace
from surrogate.exits.evidence import Samples
from surrogate.exits.few_shot_network import FewShotNet
from surrogate.exits.tables import table_of
from surrogate.exits.trace_network import TraceNet
from tests.contracts.models import scatter_weights

EXITS, CONTEXTS, KNOTS = 4, 3, 12


def made_up_trace(samples: int = 600, seed: int = 3, *, contexts: int = CONTEXTS) -> ExitTrace:
    """Samples that are hard at all exits or at none; contexts from easy to hard."""
    rng = np.random.default_rng(seed)
    context = np.arange(samples) % contexts
    difficulty = rng.standard_normal(samples) + 0.7 * context
    skill = np.linspace(0.0, 2.0, EXITS)
    margin = skill - difficulty[:, None] + 0.4 * rng.standard_normal((samples, EXITS))
    return ExitTrace(
        name="made up",
        confidences=0.1 + 0.9 / (1.0 + np.exp(-2.0 * margin)),
        correct=rng.random((samples, EXITS)) < 1.0 / (1.0 + np.exp(-3.0 * margin - 1.0)),
        context=context,
    )


def trace_net(dtype: torch.dtype = torch.float64) -> TraceNet:
    network = TraceNet(EXITS, CONTEXTS, knots=KNOTS, width=8, layers=2)
    network.set_table(table_of(made_up_trace(), KNOTS))
    scatter_weights(network)
    return network.to(dtype)


def few_shot_net(dtype: torch.dtype = torch.float64) -> FewShotNet:
    network = FewShotNet(width=8, layers=2, heads=2)
    scatter_weights(network)
    return network.to(dtype)


def few_samples(count: int = 30, dtype: torch.dtype = torch.float64) -> Samples:
    trace = made_up_trace(count, seed=5)
    return Samples(
        torch.tensor(trace.confidences[None], dtype=dtype),
        torch.tensor(trace.correct[None], dtype=dtype),
    )
