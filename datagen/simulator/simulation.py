"""Simulating deployments: how long, how often, with which engine; the measures that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from datagen.arrivals import ARRIVAL_NAMES, ARRIVALS
from datagen.deployment import Deployment
from datagen.errors import InvalidInputError, require
from datagen.evaluation import DeploymentBatch, Evaluable, Evaluator, Measures, as_batch
from datagen.evaluation.loads import fluid_load, unstable
from datagen.simulator.engine import Engine, Run
from datagen.simulator.estimation import INTERVAL_LEVEL, Z_LEVEL, Estimates, estimate
from datagen.simulator.network import Network, networks
from datagen.simulator.sources import chain_contexts, chain_draws, chain_routes
from datagen.simulator.tally import RunLength

__all__ = [
    "SimulationEvaluator",
    "SimulationOptions",
    "engine_named",
    "simulate",
    "simulate_batch",
    "warm_up",
]

DEFAULT_EVENTS = 1e6
"""Events per deployment where no length is asked for: about 1 % of error on a loss of 1 %."""

FIRST_EVENTS = 1e5
"""Events of the first round of a run to precision; each round doubles them."""

EngineName = Literal["auto", "numba", "simpy"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationOptions:
    """How deployments are simulated; at most one of horizon, events, offered and precision.

    Args:
        engine: ``numba`` (compiled), ``simpy`` (readable), or ``auto`` for the fastest that fits.
        horizon: Simulated time, all replications together [s], > 0.
        events: Expected arrivals and service completions, all replications together, > 0.
        offered: Expected arrivals of the slowest chain, all replications together, > 0. Fixed event
            counts starve slow chains, whose labels then dominate every error.
        precision: Relative 95 % half-width to reach for every chain's throughput ratio and latency.
        replications: Independent runs that share the length, >= 1. A rate schedule is played whole
            in every run, a recording in one run only.
        warmup: Share of each run that is not counted, in [0, 1).
        seed: Master seed, >= 0.
        max_events: Expected events that ``offered`` and ``precision`` never exceed.
    """

    engine: EngineName = "auto"
    horizon: float | None = None
    events: float | None = None
    offered: float | None = None
    precision: float | None = None
    replications: int = 4
    warmup: float = 0.05
    seed: int = 0
    max_events: float = 1e8

    def __post_init__(self) -> None:
        known = self.engine in ("auto", "numba", "simpy")
        require(known, "engine", "be auto, numba or simpy", self.engine)
        given = []
        for field in ("horizon", "events", "offered", "precision"):
            value = getattr(self, field)
            if value is not None:
                given.append(field)
                require(np.isfinite(value) and value > 0, field, "be finite and > 0", value)
        require(len(given) <= 1, "length", "be one of horizon, events, offered, precision", given)
        require(self.replications >= 1, "replications", "be >= 1", self.replications)
        require(0 <= self.warmup < 1, "warmup", "lie in [0, 1)", self.warmup)
        require(self.seed >= 0, "seed", "be >= 0", self.seed)
        require(self.max_events > 0, "max_events", "be > 0", self.max_events)


def engine_named(name: EngineName) -> Engine:
    """Return an engine.

    Args:
        name: ``numba``, ``simpy`` or ``auto``.

    Returns:
        The engine.
    """
    if name == "simpy":
        from datagen.simulator.simpy_engine import SimpyEngine

        return SimpyEngine()
    from datagen.simulator.numba_engine import NumbaEngine

    return NumbaEngine()


def event_rate(batch: DeploymentBatch) -> np.ndarray:
    """Return the events per second of each deployment if nothing were lost.

    Args:
        batch: Packed deployments.

    Returns:
        Arrivals and service completions per second [B].
    """
    steps = np.add.reduceat(
        np.repeat(batch.path_probability, batch.counts("step")) * batch.step_reached,
        batch.step_start[batch.path_start[:-1]],
    )
    return np.bincount(
        batch.owner("chain"), weights=batch.chain_rate * (1 + steps), minlength=len(batch)
    )


def _unloaded_latency(batch: DeploymentBatch, index: int, network: Network) -> np.ndarray:
    """Return the mean latency of each route when nobody waits [s] [R]."""
    first, last = int(batch.chain_start[index]), int(batch.chain_start[index + 1])
    if network.features is not None:
        seconds = [
            sum(part.mean for step in steps for part in routes.parts_of(step, exit_))
            for routes in (chain_routes(batch, row) for row in range(first, last))
            for steps in routes.paths
            for exit_ in range(len(routes.exits))
        ]
        delay, features = network.features.step_delay, network.features
        bounds = zip(features.route_first, features.route_steps, strict=True)
        travel = [delay[row : row + steps - 1].sum() for row, steps in bounds]
        return np.asarray(np.add(seconds, travel))
    starts = batch.step_start[batch.path_start[first : last + 1]]
    return np.add.reduceat(batch.step_mean[starts[0] : starts[-1]], starts[:-1] - starts[0])


def _play(
    engine: Engine,
    batch: DeploymentBatch,
    index: int,
    network: Network,
    horizon: float,
    options: SimulationOptions,
) -> Estimates:
    """Play one deployment for a total simulated time and estimate its measures."""
    replications, own = _runs(batch, index, horizon, options)
    length = RunLength.of(options.warmup * own, own)
    runs: list[Run] = []
    for replication in range(replications):
        sources = chain_draws(batch, index, seed=options.seed, replication=replication)
        runs.append(engine.run(network, sources, length))
    return estimate(network, runs, length, _unloaded_latency(batch, index, network))


def _runs(
    batch: DeploymentBatch, index: int, horizon: float, options: SimulationOptions
) -> tuple[int, float]:
    """Return the number of runs and the simulated time of each [s].

    Independent runs share the horizon where everything is stationary. A schedule, of rates or of
    contexts, would be cut by that to its beginning, so every run plays all of it. A recording says
    the same in every run, which would then count one piece of evidence several times: it is played
    once.
    """
    assert batch.chain_arrivals is not None
    rows = range(int(batch.chain_start[index]), int(batch.chain_start[index + 1]))
    arrivals = [ARRIVALS[ARRIVAL_NAMES[batch.chain_arrivals[row]]] for row in rows]
    contexts = [process for row in rows if (process := chain_contexts(batch, row)) is not None]
    if not all(process.is_random for process in arrivals):
        return 1, horizon
    stationary = all(process.is_stationary for process in arrivals)
    stationary &= all(process.is_stationary for process in contexts)
    return options.replications, horizon / options.replications if stationary else horizon


def _horizon(batch: DeploymentBatch, index: int, rate: float, options: SimulationOptions) -> float:
    """Return the simulated time of one deployment [s], all replications together."""
    if options.horizon is not None:
        return options.horizon
    if options.offered is not None:
        slowest = batch.chain_rate[batch.chain_start[index] : batch.chain_start[index + 1]].min()
        return float(min(options.offered / slowest, options.max_events / rate))
    return (options.events or DEFAULT_EVENTS) / rate


def _precise(estimates: Estimates, precision: float) -> bool:
    chain = estimates.chain
    for name in ("throughput_ratio", "latency"):
        half = Z_LEVEL * chain[f"{name}_se"]
        if not np.all(half <= precision * chain[name]):
            return False
    return True


def _to_precision(
    engine: Engine,
    batch: DeploymentBatch,
    index: int,
    network: Network,
    rate: float,
    options: SimulationOptions,
) -> Estimates:
    """Play one deployment longer and longer until it is precise enough."""
    assert options.precision is not None
    events = min(FIRST_EVENTS, options.max_events)
    while True:
        estimates = _play(engine, batch, index, network, events / rate, options)
        precise = _precise(estimates, options.precision)
        if precise or 2 * events > options.max_events:
            estimates.deployment["precise"] = precise
            return estimates
        events *= 2


def _undefined(batch: DeploymentBatch, index: int) -> Estimates:
    """Return the row of a deployment that has no steady state."""
    return Estimates(
        deployment={"loss_ratio": np.nan, "unstable": True}, chain={}, step={}, device={}
    )


def simulate_batch(batch: DeploymentBatch, options: SimulationOptions) -> Measures:
    """Simulate packed deployments, one after the other, in this process.

    Args:
        batch: Packed deployments with their laws; ``key`` names their random streams.
        options: How.

    Returns:
        Measures with standard errors; deployments without a steady state are ``unstable`` rows.

    Raises:
        InvalidInputError: If the batch came without its laws.
        NotSupportedError: If a deployment uses what the engine does not play.
    """
    carried = batch.has("fragment") and batch.has("arrival_parameter")
    require(carried, "batch", "carry its laws (read or pack it with laws=True)", "none")
    engine = engine_named(options.engine)
    played = networks(batch, engine.name)
    rates, no_steady_state = event_rate(batch), unstable(batch)
    rows = []
    for index, network in enumerate(played):
        if no_steady_state[index]:
            rows.append(_undefined(batch, index))
        elif options.precision is not None:
            rows.append(_to_precision(engine, batch, index, network, rates[index], options))
        else:
            horizon = _horizon(batch, index, rates[index], options)
            rows.append(_play(engine, batch, index, network, horizon, options))
    return _measures(batch, rows)


def _joined(batch: DeploymentBatch, rows: list[Estimates], level: str) -> dict[str, np.ndarray]:
    """Join the rows of one level; what a row lacks is NaN."""
    sizes = np.bincount(batch.owner(level), minlength=len(batch))
    names = {name: None for row in rows for name in getattr(row, level)}
    return {
        name: np.concatenate([
            getattr(row, level).get(name, np.full(size, np.nan))
            for row, size in zip(rows, sizes, strict=True)
        ])
        for name in names
    }


def _measures(batch: DeploymentBatch, rows: list[Estimates]) -> Measures:
    finite = np.isfinite(batch.device_capacity)
    over = finite & (fluid_load(batch) >= 1.0)
    flags: dict[str, np.ndarray] = {
        "saturated": np.bincount(batch.owner("device"), weights=over, minlength=len(batch)) > 0
    }
    numbers = ("loss_ratio", "loss_ratio_se", "loss_ratio_low", "loss_ratio_high", "events")
    for name in numbers:
        flags[name] = np.array([row.deployment.get(name, np.nan) for row in rows])
    for name in ("unstable", "truncated", "phase_dependent"):
        flags[name] = np.array([row.deployment.get(name, False) for row in rows])
    flags["precise"] = np.array([row.deployment.get("precise", True) for row in rows])
    return Measures.of(
        batch,
        "simulation",
        deployment=flags,
        chain=_joined(batch, rows, "chain"),
        step=_joined(batch, rows, "step"),
        device=_joined(batch, rows, "device"),
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
        seed: Master seed; the same seed gives the same measures, whatever the engine.

    Returns:
        Measures in the same order.

    Raises:
        InvalidInputError: If a deployment has no steady state or an option breaks its rule.
        NotSupportedError: If a deployment uses what the engine does not play.
    """
    options = SimulationOptions(
        engine=engine,
        horizon=horizon,
        events=events,
        precision=precision,
        replications=replications,
        seed=seed,
    )
    batch = as_batch(deployments)
    no_steady_state = np.flatnonzero(unstable(batch))
    if len(no_steady_state):
        load = fluid_load(batch.select(no_steady_state[:1]))
        rule = "keep devices of unlimited capacity below load 1"
        raise InvalidInputError("deployments", rule, float(load.max()))
    return simulate_batch(batch, options)


class SimulationEvaluator(Evaluator):
    """Evaluates by simulation; candidates of one problem meet the same random numbers.

    Args:
        options: How to simulate.
    """

    needs_laws = True

    def __init__(self, options: SimulationOptions) -> None:
        self.options = options

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        return simulate_batch(batch, self.options)

    def with_seed(self, seed: int) -> SimulationEvaluator:
        """Return the same evaluator on other random numbers.

        Args:
            seed: Master seed.

        Returns:
            A new evaluator.
        """
        return SimulationEvaluator(replace(self.options, seed=seed))


def warm_up() -> None:
    """Compile the kernels (or load them from disk), so that no later call pays for it."""
    from datagen.arrivals import Poisson
    from datagen.deployment import Chain, Device, Fragment, Problem
    from datagen.distributions import Deterministic

    fragment = Fragment(name="f", service=Deterministic(mean=0.5))
    problem = Problem(
        devices=(Device(name="d", capacity=2),),
        chains=(Chain(name="c", arrivals=Poisson(rate=1.0), fragments=(fragment,)),),
    )
    simulate([Deployment(problem=problem, placement={"c": (("d",),)})], horizon=100.0)
