"""Gradient boosting on pooled features: what a practitioner would try before a graph network.

A chain of any length becomes one row of numbers: means and extremes over its steps of the features
that networks read, of the steps themselves and of their devices, beside the features of its paths.
As networks do, the trees correct the prior: they are fitted to the ratio of labels to what it says.
"""

from __future__ import annotations

import time

import numpy as np
from frontier_entries import Entry
from numpy.typing import NDArray

from datagen.analytic.decomposition import COVERS
from datagen.errors import require
from datagen.evaluation import DeploymentBatch, Evaluator, Measures
from datagen.evaluation.effects import refuse_uncovered
from datagen.evaluation.loads import unstable
from datagen.store import Dataset
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import FLOW_FEATURES, FeatureFunction

__all__ = ["BoostingEvaluator", "boosting", "pooled_features"]

Floats = NDArray[np.float64]

TREES = 300
LEAVES = 31
LEARNING_RATE = 0.1
"""The library's own settings, but for three times as many trees: fitted in minutes."""

LEAST = 1e-5
"""Smallest ratio that is told apart, as in the relative errors it is judged by."""

SEED = 0

CHUNK = 4096
"""Deployments whose features are computed at a time."""


_AFTER_STEPS = -len(FLOW_FEATURES)
"""Column of pooled features where those of the paths begin."""

PRIOR_THROUGHPUT = _AFTER_STEPS + FLOW_FEATURES.index("completed share by the prior (log)")
PRIOR_LATENCY = _AFTER_STEPS + FLOW_FEATURES.index("unloaded latency / latency, by the prior")


def pooled_features(batch: DeploymentBatch, function: FeatureFunction) -> Floats:
    """Return the features of every chain, pooled over its steps.

    Args:
        batch: The deployments.
        function: Computes features of steps, devices and paths.

    Returns:
        One row per chain [C, F].
    """
    arrays = flow_arrays(batch)
    features = function(arrays)
    steps = np.concatenate(
        [features.step.numpy(), arrays.at_steps(features.device).numpy()], axis=1
    )
    flow_chain, flow_share = arrays.flow_chain.numpy(), arrays.flow_probability.numpy()
    flows = np.zeros((arrays.chains, features.flow.shape[1]))
    np.add.at(flows, flow_chain, flow_share[:, None] * features.flow.numpy())
    return np.concatenate([_over_steps(arrays, steps), flows], axis=1)


def _over_steps(arrays: FlowArrays, values: Floats) -> Floats:
    """Return mean, maximum and minimum over the steps of each chain: [S, F] -> [C, 3 F]."""
    chain = arrays.flow_chain.numpy()[arrays.step_flow.numpy()]
    order = np.argsort(chain, kind="stable")
    counts = np.bincount(chain, minlength=arrays.chains)
    starts = np.cumsum(counts) - counts
    by_chain = values[order]
    mean = np.add.reduceat(by_chain, starts) / counts[:, None]
    extremes = (pool.reduceat(by_chain, starts) for pool in (np.maximum, np.minimum))
    return np.concatenate([mean, *extremes], axis=1)


def prior_logs(features: Floats) -> dict[str, Floats]:
    """Return the logarithms of what the prior says of each ratio [C].

    Args:
        features: Pooled features [C, F].

    Returns:
        Logarithms by ratio.
    """
    return {
        "throughput_ratio": features[:, PRIOR_THROUGHPUT],
        "latency_ratio": np.log(np.maximum(features[:, PRIOR_LATENCY], LEAST)),
    }


class BoostingEvaluator(Evaluator):
    """Boosted trees, one forest per ratio: absolute errors of the logarithm, beyond the prior's.

    Args:
        dataset: Labelled deployments.
        limit: Number of them that are used at most, >= 1.
    """

    def __init__(self, dataset: Dataset, limit: int) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        require(limit >= 1, "boosting_limit", "be >= 1", limit)
        rows = np.arange(min(limit, len(dataset)))
        self.function = FeatureFunction()
        parts = np.array_split(rows, -(-len(rows) // CHUNK))
        features = np.concatenate([
            pooled_features(dataset.batch(part, laws=False), self.function) for part in parts
        ])
        labels = dataset.measures(rows)
        self.forests = {}
        for target, prior in prior_logs(features).items():
            ratio = np.asarray(labels.chain[target])
            known = np.isfinite(ratio)
            forest = HistGradientBoostingRegressor(
                loss="absolute_error",
                max_iter=TREES,
                max_leaf_nodes=LEAVES,
                learning_rate=LEARNING_RATE,
                early_stopping=False,
                random_state=SEED,
            )
            beyond = np.log(np.maximum(ratio[known], LEAST)) - prior[known]
            self.forests[target] = forest.fit(features[known], beyond)

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        refuse_uncovered("boosting", COVERS, batch.effects)
        features = pooled_features(batch, self.function)
        chain = {
            target: np.exp(np.minimum(prior + self.forests[target].predict(features), 0.0))
            for target, prior in prior_logs(features).items()
        }
        chain["loss_ratio"] = 1.0 - chain["throughput_ratio"]
        without = unstable(batch)
        for values in chain.values():
            values[without[batch.owner("chain")]] = np.nan
        return Measures.of(batch, "surrogate", deployment={"unstable": without}, chain=chain)


def boosting(dataset: Dataset, *, limit: int, threads: int) -> Entry:
    """Fit the baseline.

    Args:
        dataset: Labelled deployments to fit on.
        limit: Number of them that are used at most, >= 1.
        threads: Threads that fitting and evaluating may use, >= 1.

    Returns:
        Its entry, with the time it took.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=threads, user_api="openmp")  # trees bring their own OpenMP
    began = time.perf_counter()
    evaluator = BoostingEvaluator(dataset, limit)
    return Entry(
        name="boosting",
        kind="baseline",
        evaluator=evaluator,
        threads=threads,
        fit_s=time.perf_counter() - began,
        fitted_on=min(limit, len(dataset)),
    )
