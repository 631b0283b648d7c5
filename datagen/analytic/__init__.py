"""Exact results for single queues, and a fast table of them for approximations."""

from datagen.analytic.arrival_counts import (
    ArrivalCounts,
    deterministic_counts,
    discrete_counts,
    exponential_counts,
    gamma_counts,
    lognormal_counts,
    mixed_counts,
)
from datagen.analytic.batch_service import (
    BatchServiceMeasures,
    greedy_batches,
    inoue_latency_bound,
)
from datagen.analytic.early_exit import EarlyExitMeasures, early_exit_queue
from datagen.analytic.exit_ceiling import ExitPolicyMeasures, ExitQueue
from datagen.analytic.finite_queue import FiniteQueueMeasures
from datagen.analytic.markov_arrivals import mapm1k
from datagen.analytic.markovian import erlang_b, mm1k, mmck
from datagen.analytic.md1k_table import MD1KTable, table
from datagen.analytic.mg1k import md1k, mg1k
from datagen.analytic.priority import mg1_priority_waits, mm1k_priority
from datagen.analytic.processor_sharing import mg1_ps_latency, mgck_ps
from datagen.analytic.slowed_servers import mmck_slowed
from datagen.analytic.tabulated import (
    loss_and_jobs,
    loss_probability,
    loss_probability_multi,
    mean_jobs,
    mean_jobs_multi,
)

__all__ = [
    "ArrivalCounts",
    "BatchServiceMeasures",
    "EarlyExitMeasures",
    "ExitPolicyMeasures",
    "ExitQueue",
    "FiniteQueueMeasures",
    "MD1KTable",
    "deterministic_counts",
    "discrete_counts",
    "early_exit_queue",
    "erlang_b",
    "exponential_counts",
    "gamma_counts",
    "greedy_batches",
    "inoue_latency_bound",
    "loss_and_jobs",
    "loss_probability",
    "loss_probability_multi",
    "lognormal_counts",
    "mapm1k",
    "md1k",
    "mean_jobs",
    "mean_jobs_multi",
    "mg1_priority_waits",
    "mg1_ps_latency",
    "mg1k",
    "mgck_ps",
    "mixed_counts",
    "mm1k",
    "mmck_slowed",
    "mm1k_priority",
    "mmck",
    "table",
]
