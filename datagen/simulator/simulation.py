"""Simulating deployments: how long, how often, with which engine; the measures that come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datagen.analytic.relaxation import settling_times
from datagen.deployment import Deployment, Overflow
from datagen.errors import InvalidInputError, require
from datagen.evaluation import DeploymentBatch, Effect, Evaluable, Evaluator, Measures, as_batch
from datagen.evaluation.loads import fluid_load, never_entered, unstable
from datagen.simulator.contention import CONTENTION_EFFECTS, LINK_EFFECTS
from datagen.simulator.covered import ENGINE_COVERS, FEATURE_EFFECTS
from datagen.simulator.engine import Engine
from datagen.simulator.network import networks
from datagen.simulator.options import EngineName, SimulationOptions
from datagen.simulator.plays import Play, events_per_job
from datagen.simulator.rounds import TOGETHER, Results, play_rounds
from datagen.simulator.sharing import SHARING_EFFECTS
from datagen.simulator.standard_errors import INTERVAL_LEVEL
from datagen.simulator.stopping import require_affordable
from datagen.simulator.watched_engine import WatchedEngine

__all__ = [
    "SimulationEvaluator",
    "SimulationOptions",
    "engine_named",
    "simulate",
    "simulate_batch",
    "warm_up",
]


def engine_named(name: EngineName, effects: int = 0) -> Engine:
    """Return an engine.

    Args:
        name: ``numba``, ``simpy`` or ``auto``.
        effects: Set of what will be played, see :class:`datagen.evaluation.Effect`.

    Returns:
        The engine; for ``auto`` the compiled one unless only the readable one plays all of it.
    """
    if name == "simpy" or (name == "auto" and effects & int(LINK_EFFECTS)):
        from datagen.simulator.simpy_engine import SimpyEngine

        return SimpyEngine()
    from datagen.simulator.numba_engine import NumbaEngine

    return NumbaEngine()


def simulate_batch(
    batch: DeploymentBatch, options: SimulationOptions, *, engine: Engine | None = None
) -> Measures:
    """Simulate packed deployments, one after the other, in this process.

    Args:
        batch: Packed deployments with their laws; ``key`` names their random streams.
        options: How.
        engine: The engine itself, where it is more than a name; that of the options by default.

    Returns:
        Measures with standard errors; deployments without a steady state are ``unstable`` rows, and
        those whose jobs came to wait for each other in a circle, or for room that a device never
        has, ``deadlocked`` ones.

    Raises:
        InvalidInputError: If the batch came without its laws.
        NotSupportedError: If a deployment uses what the engine does not play.
    """
    no_steady_state = unstable(batch)
    results = _played(batch, options, no_steady_state, engine)
    return _measures(batch, results, no_steady_state)


def _played(
    batch: DeploymentBatch,
    options: SimulationOptions,
    no_steady_state: NDArray[np.bool_],
    engine: Engine | None = None,
) -> Results:
    """Play deployments, those without a steady state excepted."""
    carried = batch.has("fragment") and batch.has("arrival_parameter")
    require(carried, "batch", "carry its laws (read or pack it with laws=True)", "none")
    used = int(np.bitwise_or.reduce(batch.effects, initial=0))
    engine = engine or engine_named(options.engine, used)
    played = networks(batch, engine.name)
    per_job, starts = events_per_job(batch), batch.chain_start
    relaxation = settling_times(batch) if options.settle > 0.0 else np.zeros(len(batch))
    plays = [
        Play(
            engine=engine,
            batch=batch,
            index=index,
            network=network,
            per_job=per_job[starts[index] : starts[index + 1]],
            options=options,
            relaxation=float(relaxation[index]),
        )
        for index, network in enumerate(played)
    ]
    stable = [play for play, no_play in zip(plays, no_steady_state, strict=True) if not no_play]
    for play in stable:
        require_affordable(play.events(), options)
    results = Results(batch, options.windows or 0)
    for first in range(0, len(stable), TOGETHER):
        play_rounds(stable[first : first + TOGETHER], options, results)
    return results


def _measures(
    batch: DeploymentBatch, results: Results, no_steady_state: NDArray[np.bool_]
) -> Measures:
    finite = np.isfinite(batch.device_capacity)
    over = finite & (fluid_load(batch) >= 1.0)
    saturated = np.bincount(batch.owner("device"), weights=over, minlength=len(batch)) > 0
    return Measures.of(
        batch,
        "simulation",
        deployment=results.columns["deployment"]
        | {"saturated": saturated, "unstable": no_steady_state},
        chain=results.columns["chain"],
        step=results.columns["step"],
        device=results.columns["device"],
        window=results.columns["window"],
        windows=results.windows,
        level=INTERVAL_LEVEL,
    )


def simulate(
    deployments: Sequence[Deployment] | Evaluable,
    *,
    engine: EngineName = "auto",
    horizon: float | None = None,
    events: float | None = None,
    precision: float | None = None,
    replications: int = 4,
    warmup: float | str = 0.05,
    settle: float = 0.0,
    windows: int | None = None,
    seed: int = 0,
) -> Measures:
    """Simulate deployments.

    Args:
        deployments: Objects, a batch with laws, or candidates.
        engine: ``auto``, ``numba`` or ``simpy``.
        horizon: Simulated time, all replications together [s].
        events: Instead, expected number of events (default one million).
        precision: Instead, relative 95 % half-width to reach.
        replications: Independent runs.
        warmup: Share of each run that is not counted, or ``mser5``.
        settle: Relaxation times of the slowest device that every run warms up at least.
        windows: Equal parts of the rest to report on apart, or None.
        seed: Master seed; the same seed gives the same measures, whatever the engine.

    Returns:
        Measures in the same order.

    Raises:
        InvalidInputError: If a deployment has no steady state, jobs of it would wait for room that
            a device never has, or an option breaks its rule.
        DeadlockError: If jobs of a deployment that blocks came to wait for each other in a circle.
        NotSupportedError: If a deployment uses what the engine does not play.
    """
    options = SimulationOptions(
        engine=engine,
        horizon=horizon,
        events=events,
        precision=precision,
        replications=replications,
        warmup=warmup,
        settle=settle,
        windows=windows,
        seed=seed,
    )
    batch = as_batch(deployments)
    no_steady_state = unstable(batch)
    if no_steady_state.any():
        load = fluid_load(batch.select(np.flatnonzero(no_steady_state)[:1]))
        rule = "keep devices of unlimited capacity below load 1"
        raise InvalidInputError("deployments", rule, float(load.max()))
    vain = never_entered(batch)
    rule = "be <= the capacity of the devices that jobs wait for (overflow=block)"
    require(not vain.any(), "demand", rule, float(batch.step_demand[vain].max(initial=0.0)))
    results = _played(batch, options, no_steady_state)
    if results.deadlocks:
        raise results.deadlocks[0]
    return _measures(batch, results, no_steady_state)


class SimulationEvaluator(Evaluator):
    """Evaluates by simulation; candidates of one problem meet the same random numbers.

    Args:
        options: How to simulate.
        told: Called after every run of a deployment, or None.
    """

    needs_laws = True

    def __init__(
        self, options: SimulationOptions, told: Callable[[], object] | None = None
    ) -> None:
        self.options, self._told = options, told

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        if self._told is None:
            return simulate_batch(batch, self.options)
        engine = WatchedEngine(engine_named(self.options.engine), self._told)
        return simulate_batch(batch, self.options, engine=engine)

    def with_seed(self, seed: int) -> SimulationEvaluator:
        """Return the same evaluator on other random numbers.

        Args:
            seed: Master seed.

        Returns:
            A new evaluator.
        """
        return SimulationEvaluator(replace(self.options, seed=seed), self._told)


_Loop = tuple[bool, bool, bool]
"""What a compiled loop has besides the plain one: features, contention, accelerators."""

_LOOP_EFFECTS = (
    FEATURE_EFFECTS,
    (SHARING_EFFECTS | CONTENTION_EFFECTS) & ENGINE_COVERS,
    Effect.NPU,
)
"""Effects of which a deployment needs a loop that has each of these. The last two are features."""

_PLAIN, _FEATURED = (False, False, False), (True, False, False)

_LOOPS: tuple[_Loop, ...] = (
    _PLAIN,
    _FEATURED,
    (True, True, False),
    (True, False, True),
    (True, True, True),
)
"""All loops there are."""


def warm_up(batch: DeploymentBatch | None = None, *, every: bool = False) -> None:
    """Compile the event loops (or load them from disk), so that no later call pays for it.

    Args:
        batch: Deployments that will be played, for the loops that they need; None the two that
            most need: those of contention and of accelerators take long to compile.
        every: Whether all loops are wanted, whatever will be played: minutes where none is on disk
            yet, as when an image is built, and a moment later on.
    """
    loops: set[_Loop] = {_PLAIN, _FEATURED}
    if batch is not None:
        has = [batch.effects & int(effects) != 0 for effects in _LOOP_EFFECTS]
        loops = set(zip(*(flags.tolist() for flags in has), strict=True))
    for loop in sorted(_LOOPS if every else loops):
        simulate([_in_need_of(*loop)], engine="numba", horizon=100.0)


def _in_need_of(features: bool, contention: bool, accelerators: bool) -> Deployment:
    """Return a small deployment that a loop is compiled for."""
    from datagen.arrivals import Poisson
    from datagen.deployment import Chain, Device, Fragment, Problem
    from datagen.distributions import Deterministic
    from datagen.npu import Npu

    device = Device(name="d", capacity=2, discipline="priority" if features else "fcfs")
    if accelerators:
        device = Device(name="d", capacity=2, npu=Npu(network="mobilenetv2"))
    fragment = Fragment(name="f", service=Deterministic(mean=0.5))
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=(fragment,))
    overflow: Overflow = "block" if contention else "drop"
    problem = Problem(devices=(device,), chains=(chain,), overflow=overflow)
    return Deployment(problem=problem, placement={"c": (("d",),)})
