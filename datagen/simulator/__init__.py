"""Discrete-event simulation of deployments: two engines, one truth."""

from datagen.simulator.batch_sizes import BatchSizes, batch_sizes
from datagen.simulator.simulation import (
    SimulationEvaluator,
    SimulationOptions,
    simulate,
    simulate_batch,
    warm_up,
)

__all__ = [
    "BatchSizes",
    "SimulationEvaluator",
    "SimulationOptions",
    "batch_sizes",
    "simulate",
    "simulate_batch",
    "warm_up",
]
