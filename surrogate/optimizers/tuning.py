"""Batching accelerators: how they should batch, and everything about a deployment at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from datagen.deployment import Deployment, Problem
from datagen.errors import require
from datagen.evaluation import Evaluator
from datagen.simulator import SimulationEvaluator
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.budget import Budget
from surrogate.optimizers.constraints import Constraint
from surrogate.optimizers.decision_space import DECISIONS, DecisionSpace
from surrogate.optimizers.driver import Callback, search_through
from surrogate.optimizers.goal import Goal
from surrogate.optimizers.known_accuracy import KnownAccuracy
from surrogate.optimizers.objective import Latency, Objective
from surrogate.optimizers.proof import same_window
from surrogate.optimizers.result import SearchResult
from surrogate.optimizers.search import Search
from surrogate.optimizers.space import Placements
from surrogate.optimizers.state import SearchState
from surrogate.optimizers.variation import VariationSearch, designs, typical_row
from surrogate.optimizers.watch import Watch, unwatched

__all__ = ["NPU_DECISIONS", "tune_jointly", "tune_npu"]

NPU_DECISIONS = ("batching", "variant", "thresholds")
"""What :func:`tune_npu` decides."""

SCREENING_EVENTS = 2e4
"""Events per candidate where simulation guides the search: some milliseconds each. A mean latency
is known to a few hundredths of itself, and differences better."""

LEAST_JOBS = 100.0
"""Jobs of the slowest chain in these, on average: of fewer than thirty, no latency is told."""

SCREENING = 1
"""Tells the seeds of screening from those of selection and verification."""

FINALISTS = 24
"""Best candidates that are simulated longer before one is chosen: more than of placements, as
screening by short runs, or by a surrogate of batches, confuses near ones."""

PROBED = 12
"""Designs that an evaluator is asked about, besides the start, to see what it knows."""


def tune_npu(
    problem: Problem | Deployment,
    evaluator: Evaluator | None = None,
    *,
    budget: Budget,
    seed: int = 0,
    decide: Collection[str] = NPU_DECISIONS,
    objective: Objective | Sequence[Objective] | None = None,
    constraints: Sequence[Constraint] = (),
    search: Search | None = None,
    callback: Callback | None = None,
    resume: SearchState | None = None,
    watch: Watch = unwatched,
) -> SearchResult:
    """Choose how accelerators batch, and where jobs may leave, and prove it by simulation.

    Policy, largest batch, time-out and variant of the array of every accelerator are searched
    together with the thresholds of chains that are decided by some. Candidates meet the same random
    numbers; the best of them and the start are simulated longer, on a first set of seeds, until one
    is told from the others, which has to keep limits beyond doubt; it is verified on fresh seeds,
    outside the budget. Ctrl-C ends the search early and keeps the incumbent.

    Args:
        problem: A problem, whose chains are placed least-loaded and whose accelerators serve one
            sample after the other to start with; or the deployment to start from, whose placement
            and other decisions are kept.
        evaluator: Judges candidates: a surrogate that covers accelerators, of which simulation then
            selects the best; or a simulator. By default, short simulations.
        budget: What search and selection may spend.
        seed: Seed of everything random, >= 0.
        decide: What is searched, some of :data:`~surrogate.optimizers.decision_space.DECISIONS`;
            leave out ``variant`` where the hardware is given.
        objective: What is minimised; the mean latency by default. Several give a front.
        constraints: Limits that must be kept, as of attainment, accuracy, and loss.
        search: Proposes candidates; variations of the best by default.
        callback: Told of the progress after every batch.
        resume: State of an earlier run to go on from.
        watch: Told how far the proof is, which comes after the search.

    Returns:
        The best deployment that keeps the limits, or, if none was found, the one that breaks them
        least; never worse than a start that keeps them on the seeds of the selection.

    Raises:
        InvalidInputError: If no device is an accelerator, or nothing can be decided.
    """
    base = problem if isinstance(problem, Deployment) else least_loaded_start(problem)
    accelerated = any(device.npu is not None for device in base.problem.devices)
    require(accelerated, "devices", "hold an accelerator where batching is searched", None)
    return tune_jointly(
        base,
        evaluator,
        budget=budget,
        seed=seed,
        decide=decide,
        objective=objective,
        constraints=constraints,
        search=search,
        callback=callback,
        resume=resume,
        watch=watch,
    )


def tune_jointly(
    problem: Problem | Deployment,
    evaluator: Evaluator | None = None,
    *,
    budget: Budget,
    seed: int = 0,
    decide: Collection[str] = DECISIONS,
    objective: Objective | Sequence[Objective] | None = None,
    constraints: Sequence[Constraint] = (),
    search: Search | None = None,
    callback: Callback | None = None,
    resume: SearchState | None = None,
    watch: Watch = unwatched,
) -> SearchResult:
    """Choose placement, batching, thresholds and routing together, and prove them by simulation.

    Which device a network should run on depends on how the accelerators batch, and how these should
    batch on what is placed there and on who leaves early; so none is decided before the others. It
    is :func:`tune_npu` with more to decide; there need not be an accelerator.

    Args:
        problem: As for :func:`tune_npu`; the placement is searched, too, and the routing of chains
            with several paths.
        evaluator: As for :func:`tune_npu`.
        budget: As for :func:`tune_npu`.
        seed: As for :func:`tune_npu`.
        decide: As for :func:`tune_npu`.
        objective: As for :func:`tune_npu`.
        constraints: As for :func:`tune_npu`, besides the memory of the devices.
        search: As for :func:`tune_npu`.
        callback: As for :func:`tune_npu`.
        resume: As for :func:`tune_npu`.
        watch: As for :func:`tune_npu`.

    Returns:
        As for :func:`tune_npu`.

    Raises:
        InvalidInputError: If nothing can be decided.
    """
    base = problem if isinstance(problem, Deployment) else least_loaded_start(problem)
    return _tuned(
        DecisionSpace(base, decide),
        evaluator,
        Goal.of(Latency() if objective is None else objective, constraints),
        budget=budget,
        seed=seed,
        search=search,
        callback=callback,
        resume=resume,
        watch=watch,
    )


def _tuned(
    space: DecisionSpace,
    evaluator: Evaluator | None,
    goal: Goal,
    *,
    budget: Budget,
    seed: int,
    search: Search | None,
    callback: Callback | None,
    resume: SearchState | None,
    watch: Watch,
) -> SearchResult:
    """Search a space of decisions with the judge and the search that suit it."""
    screening_seed = int(np.random.SeedSequence([seed, SCREENING]).generate_state(1)[0])
    problem = space.base.problem
    judge = evaluator or KnownAccuracy(
        SimulationEvaluator(
            same_window(problem, events=_events(problem), replications=1, seed=screening_seed)
        )
    )

    def probes() -> Placements:
        return designs(space, np.random.default_rng(0))[: 1 + PROBED]

    return search_through(
        space,
        judge,
        VariationSearch() if search is None else search,
        budget=budget,
        seed=seed,
        goal=goal,
        callback=callback,
        resume=resume,
        watch=watch,
        probes=probes,
        finalists=FINALISTS,
        typical=typical_row(space),
    )


def _events(problem: Problem) -> float:
    """Return the events of a simulation that screens candidates of a problem."""
    rates = [chain.arrivals.rate for chain in problem.chains]
    total = sum(chain.arrivals.rate * (1 + len(chain.fragments)) for chain in problem.chains)
    return max(SCREENING_EVENTS, LEAST_JOBS * total / min(rates))
