"""Exact results for single finite queues, and a fast table of them for approximations."""

from datagen.analytic.arrival_counts import (
    ArrivalCounts,
    deterministic_counts,
    discrete_counts,
    exponential_counts,
    gamma_counts,
    lognormal_counts,
    mixed_counts,
)
from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markovian import erlang_b, mm1k, mmck
from datagen.analytic.md1k_table import MD1KTable, table
from datagen.analytic.mg1k import md1k, mg1k
from datagen.analytic.tabulated import (
    loss_and_jobs,
    loss_probability,
    loss_probability_multi,
    mean_jobs,
    mean_jobs_multi,
)

__all__ = [
    "ArrivalCounts",
    "FiniteQueueMeasures",
    "MD1KTable",
    "deterministic_counts",
    "discrete_counts",
    "erlang_b",
    "exponential_counts",
    "gamma_counts",
    "loss_and_jobs",
    "loss_probability",
    "loss_probability_multi",
    "lognormal_counts",
    "md1k",
    "mean_jobs",
    "mean_jobs_multi",
    "mg1k",
    "mixed_counts",
    "mm1k",
    "mmck",
    "table",
]
