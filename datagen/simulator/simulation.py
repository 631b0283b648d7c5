"""Simulating deployments: how long, how often, with which engine; the measures that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from datagen.arrivals import ARRIVAL_NAMES, ARRIVALS, Arrivals
from datagen.deployment import Deployment
from datagen.errors import InvalidInputError, require
from datagen.evaluation import DeploymentBatch, Evaluable, Evaluator, Measures, as_batch
from datagen.evaluation.loads import fluid_load, unstable
from datagen.simulator.energy import energy_measures
from datagen.simulator.engine import Engine, Run
from datagen.simulator.estimation import Estimates, estimate
from datagen.simulator.network import Network, networks
from datagen.simulator.options import EngineName, SimulationOptions
from datagen.simulator.sources import chain_contexts, chain_draws, chain_routes
from datagen.simulator.standard_errors import INTERVAL_LEVEL
from datagen.simulator.stopping import first_horizon, is_reached, require_affordable
from datagen.simulator.tally import RunLength
from datagen.simulator.warmup import warmup_time

__all__ = [
    "SimulationEvaluator",
    "SimulationOptions",
    "engine_named",
    "simulate",
    "simulate_batch",
    "warm_up",
]


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Play:
    """One deployment and how it is played.

    Args:
        engine: Who plays.
        batch: Packed deployments.
        index: 0-based deployment.
        network: The deployment as a network.
        rate: Its events per second if nothing were lost.
        options: How long, and how often.
    """

    engine: Engine
    batch: DeploymentBatch
    index: int
    network: Network
    rate: float
    options: SimulationOptions

    def result(self) -> Estimates:
        """Play for the length asked for, or until the stopping rule is content."""
        options, horizon = self.options, self.first_horizon()
        most = options.max_events / (self.rate * self.copies)
        while True:
            estimates = self.estimates(horizon)
            if not options.stops_by_rule:
                # Where the cap cut off some of the jobs asked for, it must not go unsaid.
                estimates.deployment["precise"] = options.offered is None or horizon < most
                return estimates
            reached = is_reached(estimates, options)
            if reached or horizon >= most:
                estimates.deployment["precise"] = reached
                return estimates
            horizon = min(2.0 * horizon, most)

    @property
    def replications(self) -> int:
        """Number of independent runs: one where all would be the same recording."""
        random = all(process.is_random for process in _arrivals(self.batch, self.index))
        return self.options.replications if random else 1

    @property
    def copies(self) -> int:
        """How often the length is played: by the runs together, or by each of them.

        Independent runs share the length where everything is stationary. A schedule, of rates or of
        contexts, would be cut by that to its beginning, and windows show the course of the whole
        length: every run plays all of it then.
        """
        shared = _is_stationary(self.batch, self.index) and self.options.windows is None
        return 1 if shared else self.replications

    def first_horizon(self) -> float:
        """Return the length of the first round [s]."""
        return first_horizon(self.batch, self.index, self.rate, self.copies, self.options)

    def events(self) -> float:
        """Return the expected events of the first round."""
        return self.first_horizon() * self.copies * self.rate

    def estimates(self, horizon: float) -> Estimates:
        """Play for a length and estimate the measures."""
        batch, index, network = self.batch, self.index, self.network
        own = horizon * self.copies / self.replications
        length = RunLength.of(self.warmup(own), own)
        runs = self.runs(length)
        unloaded = _unloaded_latency(batch, index, network)
        windows = self.options.windows or 0
        estimates = estimate(network, runs, length, unloaded, windows=windows)
        chain, device = energy_measures(batch, index, network, runs, length)
        estimates.chain.update(chain)
        estimates.device.update(device)
        return estimates

    def runs(self, length: RunLength, *, log: bool = False) -> list[Run]:
        """Play a window of every replication."""
        played = []
        for replication in range(self.replications):
            seed = self.options.seed
            sources = chain_draws(self.batch, self.index, seed=seed, replication=replication)
            played.append(self.engine.run(self.network, sources, length, log=log))
        return played

    def warmup(self, own: float) -> float:
        """Return the time of each run that is not counted [s]."""
        given = self.options.warmup
        if not isinstance(given, str):
            return given * own
        rule = "be a share where rates or contexts follow a schedule or a recording"
        require(_is_stationary(self.batch, self.index), "warmup", rule, given)
        return warmup_time(partial(self.runs, log=True), self.rate, self.replications, own)


def _arrivals(batch: DeploymentBatch, index: int) -> list[type[Arrivals]]:
    """Return the kind of each chain's arrivals."""
    assert batch.chain_arrivals is not None
    rows = slice(batch.chain_start[index], batch.chain_start[index + 1])
    return [ARRIVALS[ARRIVAL_NAMES[code]] for code in batch.chain_arrivals[rows]]


def _is_stationary(batch: DeploymentBatch, index: int) -> bool:
    """Return whether nothing about a deployment follows the clock."""
    if not all(process.is_stationary for process in _arrivals(batch, index)):
        return False
    rows = range(int(batch.chain_start[index]), int(batch.chain_start[index + 1]))
    contexts = (chain_contexts(batch, row) for row in rows)
    return all(process is None or process.is_stationary for process in contexts)


def _undefined() -> Estimates:
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
    plays = [
        _Play(
            engine=engine,
            batch=batch,
            index=index,
            network=network,
            rate=float(rates[index]),
            options=options,
        )
        for index, network in enumerate(played)
    ]
    for play, no_play in zip(plays, no_steady_state, strict=True):
        require_affordable(0.0 if no_play else play.events(), options)
    rows = [
        _undefined() if no_play else play.result()
        for play, no_play in zip(plays, no_steady_state, strict=True)
    ]
    return _measures(batch, rows, options.windows or 0)


def _joined(rows: list[Estimates], level: str, sizes: np.ndarray) -> dict[str, np.ndarray]:
    """Join the rows of one level, so many per deployment; what one lacks is NaN."""
    names = {name: None for row in rows for name in getattr(row, level)}
    return {
        name: np.concatenate([
            getattr(row, level).get(name, np.full(size, np.nan))
            for row, size in zip(rows, sizes, strict=True)
        ])
        for name in names
    }


def _measures(batch: DeploymentBatch, rows: list[Estimates], windows: int) -> Measures:
    finite = np.isfinite(batch.device_capacity)
    over = finite & (fluid_load(batch) >= 1.0)
    flags: dict[str, np.ndarray] = {
        "saturated": np.bincount(batch.owner("device"), weights=over, minlength=len(batch)) > 0
    }
    numbers = ("loss_ratio", "loss_ratio_se", "loss_ratio_low", "loss_ratio_high")
    for name in (*numbers, "events", "warmup"):
        flags[name] = np.array([row.deployment.get(name, np.nan) for row in rows])
    for name in ("unstable", "truncated", "phase_dependent"):
        flags[name] = np.array([row.deployment.get(name, False) for row in rows])
    sizes = {
        level: np.bincount(batch.owner(level), minlength=len(batch))
        for level in ("chain", "step", "device")
    }
    flags["precise"] = np.array([row.deployment.get("precise", True) for row in rows])
    return Measures.of(
        batch,
        "simulation",
        deployment=flags,
        chain=_joined(rows, "chain", sizes["chain"]),
        step=_joined(rows, "step", sizes["step"]),
        device=_joined(rows, "device", sizes["device"]),
        window=_joined(rows, "window", sizes["chain"] * windows),
        windows=windows,
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
        windows: Equal parts of the rest to report on apart, or None.
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
        warmup=warmup,
        windows=windows,
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
