"""Discrete-event simulation of deployments: two engines, one truth."""

from datagen.simulator.simulation import (
    SimulationEvaluator,
    SimulationOptions,
    simulate,
    simulate_batch,
    warm_up,
)

__all__ = [
    "SimulationEvaluator",
    "SimulationOptions",
    "simulate",
    "simulate_batch",
    "warm_up",
]
