"""Thresholds and routing: the most accurate early exits that keep a loss target."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation import Candidates, Evaluator
from datagen.evaluation.expanded_evaluator import ExpandedEvaluator
from surrogate.evaluator import SurrogateEvaluator
from surrogate.exit_model import ExitModel
from surrogate.loss_predictor import LossPredictor
from surrogate.models import ChainNet
from surrogate.optimizers.backlog import tune_by_backlog
from surrogate.optimizers.budget import Budget
from surrogate.optimizers.threshold_proof import ThresholdProof, judged
from surrogate.optimizers.threshold_result import Judged, ThresholdResult
from surrogate.optimizers.threshold_search import Evolution, Pool, ThresholdSearch, predicting
from surrogate.optimizers.threshold_space import ThresholdSpace
from surrogate.optimizers.watch import Watch, unwatched

__all__ = ["tune_thresholds"]

GENERATIONS = 36
"""Of the default search, which then takes a second; with 24 of them, what was found on one path and
on two was less accurate by 0.07 points on average."""


def tune_thresholds(
    start: Deployment,
    evaluator: Evaluator,
    *,
    loss_target: float = 0.01,
    budget: Budget | None = None,
    seed: int = 0,
    exits: Mapping[str, ExitModel] | None = None,
    search: ThresholdSearch | None = None,
    bands: int = 1,
    verify: bool = True,
    watch: Watch = unwatched,
) -> ThresholdResult:
    """Find the thresholds and path probabilities of highest accuracy for a loss target.

    Accuracy counts over offered jobs: what is lost is wrong.

    Args:
        start: Placement, traces and arrivals, and where to start; chains that it decides by
            thresholds are searched, with the probabilities of all paths.
        evaluator: Predicts losses: a surrogate, or the analytic evaluator. Where it does not cover
            exits itself, it is asked about the expansion.
        loss_target: Largest system loss ratio, in (0, 1).
        budget: Seconds of search; None lets it converge, which takes a second.
        seed: Seed of everything random, >= 0.
        exits: Chain -> exit model to search by; counts over the chain's trace by default.
        search: How to search; an evolution by default, on what the evaluator's network predicts.
        bands: Largest number of bands of the backlog with thresholds of their own; 1 for static
            thresholds. More need a single device.
        verify: Whether candidates are selected and verified by simulation; otherwise the result
            holds what was predicted.
        watch: Told how far search, selection and proof are.

    Returns:
        The decisions found; not ``feasible`` where nothing was found to keep the target.

    Raises:
        InvalidInputError: If no chain is decided by thresholds on a trace, or a number is out of
            range.
    """
    began = time.perf_counter()
    require(0 < loss_target < 1, "loss_target", "lie in (0, 1)", loss_target)
    require(bands >= 1 and bands == int(bands), "bands", "be a whole number >= 1", bands)
    space = ThresholdSpace(start, exits)
    if bands > 1:
        return tune_by_backlog(
            space, loss_target=loss_target, bands=bands, seed=seed, verify=verify
        )
    seeds = np.random.SeedSequence(seed).generate_state(3, np.uint32).tolist()
    if search is None:
        predictor = LossPredictor(start, space.exits, network_of(evaluator))
        search = Evolution(judge=predicting(predictor), generations=GENERATIONS)
    seconds = float("inf") if budget is None or budget.seconds is None else budget.seconds
    proof = None
    if verify:
        proof = ThresholdProof(
            space, selection_seed=seeds[1], verification_seed=seeds[2], watch=watch
        )
    searching = time.perf_counter()
    pool = search.run(space, loss_target, seconds, np.random.default_rng(seeds[0]), watch)
    chosen = _chosen(pool, proof, loss_target)
    spent = time.perf_counter() - searching
    predicted = judged(space, _covering(evaluator).evaluate(chosen), 0)
    first, verified = (None, None) if proof is None else _verified(space, proof, chosen)
    judge = verified or predicted
    return ThresholdResult(
        deployment=chosen.deployment(0),
        loss_target=loss_target,
        predicted=predicted,
        start=first,
        verified=verified,
        evaluations=len(pool),
        seconds=spent,
        seconds_total=time.perf_counter() - began,
        status="time_limit" if spent > seconds else "completed",
        feasible=judge.loss_ratio <= loss_target,
    )


def _chosen(pool: Pool, proof: ThresholdProof | None, loss_target: float) -> Candidates:
    """Choose among everything visited: by simulation, or else as predicted."""
    levels, routing, accuracy, loss = pool.arrays()
    if proof is not None:
        row = proof.selected(levels, routing, accuracy, loss, loss_target)
    else:
        kept = np.flatnonzero(loss <= loss_target)
        row = int(kept[np.argmax(accuracy[kept])]) if len(kept) else int(np.argmin(loss))
    return pool.space.candidates(levels[[row]], routing[[row]])


def _verified(
    space: ThresholdSpace, proof: ThresholdProof, chosen: Candidates
) -> tuple[Judged, Judged]:
    """Simulate the start and what was chosen on the verification seeds."""
    both = (space.start(), chosen)
    simulated = proof.verified(
        space.of_thresholds(
            np.concatenate([np.asarray(c.thresholds) for c in both]),
            np.concatenate([np.asarray(c.routing) for c in both]),
        )
    )
    return judged(space, simulated, 0), judged(space, simulated, 1)


def network_of(evaluator: Evaluator) -> ChainNet | None:
    """Return the chain network of a surrogate; None for others, whose gradients are the prior's."""
    inner = evaluator.inner if isinstance(evaluator, ExpandedEvaluator) else evaluator
    if isinstance(inner, SurrogateEvaluator) and isinstance(inner.release.network, ChainNet):
        return inner.release.network
    return None


def _covering(evaluator: Evaluator) -> Evaluator:
    """Return an evaluator of early exits; simulators cover them themselves."""
    return evaluator if evaluator.needs_laws else ExpandedEvaluator(evaluator)
