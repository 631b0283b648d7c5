"""From the sums of several runs to measures with standard errors.

Deployments with equally many chains and runs are estimated together, in arrays with one axis more:
what NumPy takes per call would otherwise be a good part of the cost of a label. Whether they are
together or alone does not change a bit.

Letters: D deployments, R runs, C chains of each, S steps and V devices of all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datagen.evaluation.fields import ranges
from datagen.simulator.engine import Run
from datagen.simulator.network import Network
from datagen.simulator.standard_errors import rate, ratio, run_ratio, wilson
from datagen.simulator.tally import BATCHES, RunLength, bin_edges

__all__ = ["MIN_COMPLETED", "Estimates", "Played", "estimate", "latency_percentiles"]

Floats = NDArray[np.float64]
Named = dict[str, Floats]

MIN_COMPLETED = 30
"""Completed jobs below which a latency is undefined."""

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimates:
    """Measures of D deployments by level and name; see :mod:`datagen.evaluation.measures`.

    Args:
        deployment: Arrays [D].
        chain: Arrays [D * C].
        step: Arrays [S].
        device: Arrays [V].
        window: Arrays [D * C * windows].
    """

    deployment: dict[str, NDArray[np.generic]]
    chain: Named
    step: Named
    device: Named
    window: Named = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """One deployment that was played: all that its measures are estimated from.

    Args:
        network: The network.
        length: The window of every run.
        runs: Independent runs, at least one.
        percentiles: What :func:`latency_percentiles` says of these [s] [C, 3].
        unloaded: Mean latency of each route without any queueing [s] [routes].
        chain: Measures of its chains that are known already, where there are any [C].
        step: The same of its steps.
        device: The same of its devices.
    """

    network: Network
    length: RunLength
    runs: list[Run]
    percentiles: Floats
    unloaded: Floats
    chain: Named
    step: Named
    device: Named


def _bins() -> tuple[Floats, Floats]:
    """Return the lower end and the width of each histogram bin [s] [bins]."""
    edges = bin_edges()
    edges[0] = edges[1] = 0.0  # that bin holds what takes no time, or hardly any
    return edges[:-1], np.diff(edges)


_LOWER, _WIDTH = _bins()


def latency_percentiles(histogram: NDArray[np.int64]) -> Floats:
    """Return percentiles of latencies.

    Args:
        histogram: Completed jobs of all runs by latency bin [C, HISTOGRAM_BINS].

    Returns:
        Those of ``PERCENTILES`` [s] [C, 3]; NaN for chains with too few completed jobs.
    """
    from datagen.simulator.percentile_kernel import percentiles  # as in arrival_times

    wanted = np.array(list(PERCENTILES.values()))
    found = np.empty((len(histogram), len(wanted)))
    percentiles(histogram, wanted, MIN_COMPLETED, _LOWER, _WIDTH, found)
    return found


def _by_chain(plays: Sequence[Played], name: str) -> Floats:
    """Return sums of chains by deployment, run and chain [D, R, C, ...]."""
    sums = [[getattr(run.tally, name) for run in play.runs] for play in plays]
    return np.array(sums, dtype=np.float64)


def _end_to_end(plays: Sequence[Played], name: str) -> Floats:
    """Return sums of steps or devices by run, those of all deployments end to end [R, S or V]."""
    by_run = zip(*(play.runs for play in plays), strict=True)
    sums = [np.concatenate([getattr(run.tally, name) for run in runs]) for runs in by_run]
    return np.array(sums, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What became of the jobs, by deployment, run, chain and batch [D, R, C, BATCHES]."""

    offered: Floats
    completed: Floats
    lost: Floats
    latency: Floats

    @classmethod
    def of(cls, plays: Sequence[Played]) -> _Counts:
        return cls(*(_by_chain(plays, name) for name in cls.__slots__))


def _by_route(runs: list[Run]) -> Floats:
    """Return the completed jobs by run and route [R, routes]."""
    counts = [run.route_completed for run in runs if run.route_completed is not None]
    return np.stack(counts).astype(np.float64)


def _unloaded(play: Played) -> Floats:
    """Return the mean over the completed jobs of each chain of what their route would take [C]."""
    network, seconds = play.network, play.unloaded
    if network.features is None:
        return seconds
    completed = _by_route(play.runs).sum(axis=0)
    chain = np.repeat(np.arange(network.chains), np.diff(network.features.chain_route))
    with np.errstate(invalid="ignore"):
        total = np.bincount(chain, weights=completed, minlength=network.chains)
        return np.bincount(chain, weights=completed * seconds, minlength=network.chains) / total


def _accuracy(play: Played, completed: Floats, offered: Floats) -> Named:
    """Return right answers per completed and per offered job [C], where some route knows them."""
    features = play.network.features
    if features is None or not np.isfinite(features.route_accuracy).any():
        return {}
    by_route = _by_route(play.runs)
    # A route that nobody takes may be unknown.
    right = np.where(by_route > 0, by_route * features.route_accuracy, 0.0)
    right = np.add.reduceat(right, features.chain_route[:-1], axis=1)
    measures = {}
    for name, counts in (("completed", completed), ("offered", offered)):
        value, se = run_ratio(right, counts.sum(axis=2))
        measures[f"accuracy_{name}"], measures[f"accuracy_{name}_se"] = value, se
    few = completed.sum(axis=(0, 2)) < MIN_COMPLETED
    for name in ("accuracy_completed", "accuracy_completed_se"):
        measures[name] = np.where(few, np.nan, measures[name])
    return measures


def _completed_by_step(play: Played, completed: Floats) -> Floats:
    """Return how many completed jobs passed each step, from those of each chain [R, S]."""
    network = play.network
    if network.features is None:
        return np.repeat(completed, np.diff(network.chain_start), axis=1)
    steps = network.features.route_steps
    rows = ranges(network.features.route_first, steps)
    by_route = np.repeat(_by_route(play.runs), steps, axis=1)
    return np.stack([np.bincount(rows, own, minlength=network.steps) for own in by_route])


def _seconds(plays: Sequence[Played]) -> Floats:
    """Return how long the window of each deployment is [s] [D]."""
    return np.array([play.length.horizon - play.length.warmup for play in plays])


def _joined(parts: Sequence[Named], sizes: Sequence[int]) -> Named:
    """Join arrays by name, so many rows of each part; what a part lacks is NaN."""
    names = {name: None for part in parts for name in part}
    return {
        name: np.concatenate([
            part.get(name, np.full(size, np.nan)) for part, size in zip(parts, sizes, strict=True)
        ])
        for name in names
    }


def _chain_measures(plays: Sequence[Played], counts: _Counts) -> tuple[Named, NDArray[np.bool_]]:
    """Return measures of chains [D, C], and whether deployments depend on a phase [D]."""
    offered, completed = counts.offered, counts.completed
    passed, mean = ratio(completed, offered), ratio(counts.latency, completed)
    loss = ratio(counts.lost, offered)
    throughput = rate(completed, _seconds(plays))
    totals: Named = {
        name: getattr(counts, name).sum(axis=(1, 3)) for name in ("offered", "completed", "lost")
    }
    unloaded = np.array([_unloaded(play) for play in plays])
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
    percentiles = np.array([play.percentiles for play in plays])
    chain |= {name: percentiles[..., place] for place, name in enumerate(PERCENTILES)}
    chain |= _attainment(plays, counts)
    phase_dependent = passed.phase_dependent | mean.phase_dependent
    return chain, np.asarray(phase_dependent.any(axis=1))


def _attainment(plays: Sequence[Played], counts: _Counts) -> Named:
    """Return the share of jobs that met their chain's deadline [D, C], where some chain has one."""
    wanted = np.isfinite(np.array([play.network.deadline for play in plays]))
    if not wanted.any():
        return {}
    attained, se = run_ratio(_by_chain(plays, "on_time"), counts.offered.sum(axis=3))
    return {
        "attainment": np.where(wanted, attained, np.nan),
        "attainment_se": np.where(wanted, se, np.nan),
    }


def _step_measures(plays: Sequence[Played], counts: _Counts) -> Named:
    step = {name: _end_to_end(plays, f"step_{name}").sum(axis=0) for name in ("offered", "lost")}
    served = _end_to_end(plays, "step_served")
    by_run = counts.completed.sum(axis=3)
    completed = np.concatenate(list(map(_completed_by_step, plays, by_run)), axis=1)
    sojourn, sojourn_se = run_ratio(_end_to_end(plays, "step_sojourn"), served)
    later, later_se = run_ratio(_end_to_end(plays, "step_sojourn_completed"), completed)
    few, few_completed = served.sum(axis=0) < MIN_COMPLETED, completed.sum(axis=0) < MIN_COMPLETED
    return step | {
        "sojourn": np.where(few, np.nan, sojourn),
        "sojourn_se": np.where(few, np.nan, sojourn_se),
        "sojourn_completed": np.where(few_completed, np.nan, later),
        "sojourn_completed_se": np.where(few_completed, np.nan, later_se),
    }


def _device_measures(plays: Sequence[Played]) -> Named:
    names = {"utilization": "busy", "jobs": "jobs", "units": "units"}
    sizes, runs = [play.network.devices for play in plays], len(plays[0].runs)
    areas = np.array([_end_to_end(plays, area) for area in names.values()])
    averages = areas / np.repeat(_seconds(plays), sizes)
    averages[0] /= np.concatenate([play.network.servers for play in plays])
    device = dict(zip(names, averages.mean(axis=1), strict=True))
    if runs > 1:
        errors = averages.std(axis=1, ddof=1) / np.sqrt(runs)
        device |= {f"{name}_se": error for name, error in zip(names, errors, strict=True)}
    return device


def _window_measures(plays: Sequence[Played], counts: _Counts, windows: int) -> Named:
    """Return the course of each chain's measures by when its jobs arrive [D, C * windows]."""

    def cut(sums: Floats) -> Floats:
        return sums.reshape(*sums.shape[:2], -1, BATCHES // windows)

    offered, completed, lost = cut(counts.offered), cut(counts.completed), cut(counts.lost)
    latency = cut(counts.latency)
    chains = counts.offered.shape[2]
    edges = np.array([
        np.linspace(play.length.warmup, play.length.horizon, windows + 1) for play in plays
    ])
    throughput = rate(completed, _seconds(plays) / windows)
    loss, mean = ratio(lost, offered), ratio(latency, completed)
    known = completed.sum(axis=(1, 3)) >= MIN_COMPLETED
    return {
        "start": np.tile(edges[:, :-1], chains),
        "end": np.tile(edges[:, 1:], chains),
        "offered": offered.sum(axis=(1, 3)),
        "completed": completed.sum(axis=(1, 3)),
        "lost": lost.sum(axis=(1, 3)),
        "throughput": throughput.value,
        "throughput_se": throughput.se,
        "loss_ratio": loss.value,
        "loss_ratio_se": loss.se,
        "latency": np.where(known, mean.value, np.nan),
        "latency_se": np.where(known, mean.se, np.nan),
    }


def _flat(measures: Named) -> Named:
    return {name: values.ravel() for name, values in measures.items()}


def estimate(plays: Sequence[Played], *, windows: int = 0) -> Estimates:
    """Return the measures of deployments from their replications.

    Args:
        plays: Deployments with equally many chains and runs.
        windows: Equal parts of the window to report on apart; a divisor of BATCHES, or 0 for none.

    Returns:
        The estimates. Chains without offered jobs and latencies with fewer than
        ``MIN_COMPLETED`` completed jobs are NaN.
    """
    counts = _Counts.of(plays)
    chain, phase_dependent = _chain_measures(plays, counts)
    lost, offered = (sums.sum(axis=2, keepdims=True) for sums in (counts.lost, counts.offered))
    system = ratio(lost, offered)
    low, high = wilson(system.value, system.se, offered.sum(axis=(1, 3)))
    window = _window_measures(plays, counts, windows) if windows else {}
    chains, devices = counts.offered.shape[2], [play.network.devices for play in plays]
    accuracies = map(_accuracy, plays, counts.completed, counts.offered)
    steps = [play.network.steps for play in plays]
    own = [play.chain | known for play, known in zip(plays, accuracies, strict=True)]
    return Estimates(
        deployment={
            "loss_ratio": system.value[:, 0],
            "loss_ratio_se": system.se[:, 0],
            "loss_ratio_low": low[:, 0],
            "loss_ratio_high": high[:, 0],
            "events": np.array([float(sum(run.events for run in play.runs)) for play in plays]),
            "warmup": np.array([play.length.warmup for play in plays]),
            "truncated": np.array([any(run.truncated for run in play.runs) for play in plays]),
            "phase_dependent": phase_dependent,
        },
        chain=_flat(chain) | _joined(own, [chains] * len(plays)),
        step=_step_measures(plays, counts) | _joined([play.step for play in plays], steps),
        device=_device_measures(plays) | _joined([play.device for play in plays], devices),
        window=_flat(window),
    )
