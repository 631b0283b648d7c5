"""From the sums of several runs to measures with standard errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.fields import ranges
from datagen.simulator.engine import Run
from datagen.simulator.network import Network
from datagen.simulator.standard_errors import rate, ratio, run_ratio, wilson
from datagen.simulator.tally import BATCHES, RunLength, bin_edges

__all__ = ["MIN_COMPLETED", "Estimates", "estimate"]

Floats = NDArray[np.float64]

MIN_COMPLETED = 30
"""Completed jobs below which a latency is undefined."""

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimates:
    """Measures of one deployment by level and name; see :mod:`datagen.evaluation.measures`."""

    deployment: dict[str, float | bool]
    chain: dict[str, Floats]
    step: dict[str, Floats]
    device: dict[str, Floats]
    window: dict[str, Floats] = field(default_factory=dict)


def _bins() -> tuple[Floats, Floats]:
    """Return the lower end and the width of each histogram bin [s] [bins]."""
    edges = bin_edges()
    edges[0] = edges[1] = 0.0  # that bin holds what takes no time, or hardly any
    return edges[:-1], np.diff(edges)


_LOWER, _WIDTH = _bins()


def _percentiles(histogram: NDArray[np.int64]) -> dict[str, Floats]:
    """Return latency percentiles [s] [C] from counts [C, bins], interpolated inside a bin."""
    wanted = np.array(list(PERCENTILES.values()))
    found = np.full((len(histogram), len(wanted)), np.nan)
    for chain, counts in enumerate(histogram):
        reached = np.cumsum(counts)
        if reached[-1] < MIN_COMPLETED:
            continue
        ranks = wanted * reached[-1]
        index = np.searchsorted(reached, ranks)
        inside = (ranks - (reached[index] - counts[index])) / counts[index]
        found[chain] = _LOWER[index] + inside * _WIDTH[index]
    return dict(zip(PERCENTILES, found.T, strict=True))


def _stack(runs: list[Run], field: str) -> Floats:
    return np.array([getattr(run.tally, field) for run in runs], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What became of the jobs of each chain, by run, chain and batch [R, C, BATCHES]."""

    offered: Floats
    completed: Floats
    lost: Floats
    latency: Floats

    @classmethod
    def of(cls, runs: list[Run]) -> _Counts:
        return cls(*(_stack(runs, name) for name in ("offered", "completed", "lost", "latency")))


def _by_route(runs: list[Run]) -> Floats:
    """Return the completed jobs by run and route [R, routes]."""
    counts = [run.route_completed for run in runs if run.route_completed is not None]
    return np.stack(counts).astype(np.float64)


def _over_routes(network: Network, runs: list[Run], values: Floats) -> Floats:
    """Return the mean over the completed jobs of each chain of a value by route [C]."""
    if network.features is None:
        return values
    completed = _by_route(runs).sum(axis=0)
    chain = np.repeat(np.arange(network.chains), np.diff(network.features.chain_route))
    with np.errstate(invalid="ignore"):
        total = np.bincount(chain, weights=completed, minlength=network.chains)
        return np.bincount(chain, weights=completed * values, minlength=network.chains) / total


def _accuracy(network: Network, runs: list[Run], counts: _Counts) -> dict[str, Floats]:
    """Return right answers per completed and per offered job, where some route knows them."""
    assert network.features is not None
    accuracy = network.features.route_accuracy
    if not np.isfinite(accuracy).any():
        return {}
    first = network.features.chain_route[:-1]
    # A route that nobody takes may be unknown.
    right = np.where(_by_route(runs) > 0, _by_route(runs) * accuracy, 0.0)
    right = np.add.reduceat(right, first, axis=1)
    measures = {}
    for name in ("completed", "offered"):
        value, se = run_ratio(right, getattr(counts, name).sum(axis=2))
        measures[f"accuracy_{name}"], measures[f"accuracy_{name}_se"] = value, se
    few = counts.completed.sum(axis=(0, 2)) < MIN_COMPLETED
    for name in ("accuracy_completed", "accuracy_completed_se"):
        measures[name] = np.where(few, np.nan, measures[name])
    return measures


def _completed_by_step(network: Network, runs: list[Run], counts: _Counts) -> Floats:
    """Return how many completed jobs passed each step [R, S]."""
    if network.features is None:
        return np.repeat(counts.completed.sum(axis=2), np.diff(network.chain_start), axis=1)
    steps = network.features.route_steps
    rows = ranges(network.features.route_first, steps)
    by_route = np.repeat(_by_route(runs), steps, axis=1)
    return np.stack([np.bincount(rows, own, minlength=network.steps) for own in by_route])


def _chain_measures(
    network: Network, runs: list[Run], counts: _Counts, length: RunLength, unloaded: Floats
) -> tuple[dict[str, Floats], bool]:
    offered, completed = counts.offered, counts.completed
    passed, mean = ratio(completed, offered), ratio(counts.latency, completed)
    loss = ratio(counts.lost, offered)
    throughput = rate(completed, length.horizon - length.warmup)
    totals = {
        name: getattr(counts, name).sum(axis=(0, 2)) for name in ("offered", "completed", "lost")
    }
    unloaded = _over_routes(network, runs, unloaded)
    known = totals["completed"] >= MIN_COMPLETED
    low, high = wilson(loss.value, loss.se, totals["offered"])
    value = np.where(known, mean.value, np.nan)
    chain = totals | {
        "throughput": throughput.value,
        "throughput_se": throughput.se,
        "throughput_ratio": passed.value,
        "throughput_ratio_se": passed.se,
        "loss_ratio": loss.value,
        "loss_ratio_se": loss.se,
        "loss_ratio_low": low,
        "loss_ratio_high": high,
        "latency": value,
        "latency_se": np.where(known, mean.se, np.nan),
    }
    with np.errstate(invalid="ignore"):  # where nothing takes any time, there is no such ratio
        chain["latency_ratio"] = unloaded / value
        chain["latency_ratio_se"] = unloaded / value**2 * mean.se
    if network.features is not None:
        chain |= _accuracy(network, runs, counts)
    chain |= _percentiles(reduce(np.add, (run.tally.histogram for run in runs)))
    if np.isfinite(network.deadline).any():
        on_time, by_run = _stack(runs, "on_time"), offered.sum(axis=2)
        attained, se = run_ratio(on_time, by_run)
        wanted = np.isfinite(network.deadline)
        chain["attainment"] = np.where(wanted, attained, np.nan)
        chain["attainment_se"] = np.where(wanted, se, np.nan)
    return chain, passed.phase_dependent or mean.phase_dependent


def _step_measures(network: Network, runs: list[Run], counts: _Counts) -> dict[str, Floats]:
    step = {name: _stack(runs, f"step_{name}").sum(axis=0) for name in ("offered", "lost")}
    served = _stack(runs, "step_served")
    completed = _completed_by_step(network, runs, counts)
    sojourn, sojourn_se = run_ratio(_stack(runs, "step_sojourn"), served)
    later, later_se = run_ratio(_stack(runs, "step_sojourn_completed"), completed)
    few, few_completed = served.sum(axis=0) < MIN_COMPLETED, completed.sum(axis=0) < MIN_COMPLETED
    return step | {
        "sojourn": np.where(few, np.nan, sojourn),
        "sojourn_se": np.where(few, np.nan, sojourn_se),
        "sojourn_completed": np.where(few_completed, np.nan, later),
        "sojourn_completed_se": np.where(few_completed, np.nan, later_se),
    }


def _device_measures(network: Network, runs: list[Run], length: RunLength) -> dict[str, Floats]:
    names = {"utilization": "busy", "jobs": "jobs", "units": "units"}
    areas = np.array([_stack(runs, area) for area in names.values()])
    averages = areas / (length.horizon - length.warmup)
    averages[0] /= network.servers
    device = dict(zip(names, averages.mean(axis=1), strict=True))
    if len(runs) > 1:
        errors = averages.std(axis=1, ddof=1) / np.sqrt(len(runs))
        device |= {f"{name}_se": error for name, error in zip(names, errors, strict=True)}
    return device


def _window_measures(counts: _Counts, length: RunLength, windows: int) -> dict[str, Floats]:
    """Return the course of each chain's measures by when its jobs arrive [C * windows]."""

    def cut(sums: Floats) -> Floats:
        return sums.reshape(len(sums), -1, BATCHES // windows)

    offered, completed, lost = cut(counts.offered), cut(counts.completed), cut(counts.lost)
    latency = cut(counts.latency)
    edges = np.linspace(length.warmup, length.horizon, windows + 1)
    chains = offered.shape[1] // windows
    throughput = rate(completed, (length.horizon - length.warmup) / windows)
    loss, mean = ratio(lost, offered), ratio(latency, completed)
    known = completed.sum(axis=(0, 2)) >= MIN_COMPLETED
    return {
        "start": np.tile(edges[:-1], chains),
        "end": np.tile(edges[1:], chains),
        "offered": offered.sum(axis=(0, 2)),
        "completed": completed.sum(axis=(0, 2)),
        "lost": lost.sum(axis=(0, 2)),
        "throughput": throughput.value,
        "throughput_se": throughput.se,
        "loss_ratio": loss.value,
        "loss_ratio_se": loss.se,
        "latency": np.where(known, mean.value, np.nan),
        "latency_se": np.where(known, mean.se, np.nan),
    }


def estimate(
    network: Network, runs: list[Run], length: RunLength, unloaded: Floats, *, windows: int = 0
) -> Estimates:
    """Return the measures of one deployment from its replications.

    Args:
        network: The network.
        runs: Independent runs over the same window, at least one.
        length: The window.
        unloaded: Mean latency of each route without any queueing [s] [R].
        windows: Equal parts of the window to report on apart; a divisor of BATCHES, or 0 for none.

    Returns:
        The estimates. Chains without offered jobs and latencies with fewer than
        ``MIN_COMPLETED`` completed jobs are NaN.
    """
    counts = _Counts.of(runs)
    chain, phase_dependent = _chain_measures(network, runs, counts, length, unloaded)
    lost, offered = (sums.sum(axis=1, keepdims=True) for sums in (counts.lost, counts.offered))
    system = ratio(lost, offered)
    low, high = wilson(system.value, system.se, offered.sum(axis=(0, 2)))
    return Estimates(
        deployment={
            "loss_ratio": float(system.value[0]),
            "loss_ratio_se": float(system.se[0]),
            "loss_ratio_low": float(low[0]),
            "loss_ratio_high": float(high[0]),
            "events": float(sum(run.events for run in runs)),
            "warmup": length.warmup,
            "truncated": any(run.truncated for run in runs),
            "phase_dependent": phase_dependent,
        },
        chain=chain,
        step=_step_measures(network, runs, counts),
        device=_device_measures(network, runs, length),
        window=_window_measures(counts, length, windows) if windows else {},
    )
