"""Packing of many plain deployments at once: what data sets are made of, a chunk at a time.

A deployment is *plain* where it has neither links nor exits nor accelerators nor cores that slow
each other down nor parallel chains, whatever its laws and disciplines are. Every column is then
what its devices, chains or fragments say, one deployment after the other, and NumPy works once on
all of them instead of a hundred times on each.

Letters: D devices, C chains, P paths, S steps and F fragments (once per path) of all deployments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.arrivals import ARRIVAL_NAMES
from datagen.deployment import DISCIPLINES, Chain, Deployment, Device
from datagen.distributions import Law
from datagen.evaluation.batch import BATCH_COLUMNS
from datagen.evaluation.effects import Effect, effects_of
from datagen.evaluation.fields import PARENTS, starts_of
from datagen.evaluation.service_table import law_columns, time_moments
from datagen.steps import run_starts

__all__ = [
    "chain_columns",
    "device_columns",
    "has_revisits",
    "is_plain",
    "models_of",
    "plain_columns",
    "power_points",
    "scv_of",
]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]


def _optional(value: float | None, absent: float) -> float:
    return absent if value is None else float(value)


def device_columns(devices: Sequence[Device]) -> Columns:
    """Return what devices say of themselves.

    Args:
        devices: The devices.

    Returns:
        Device columns of a batch, the power curve apart [D].
    """
    disciplines = [DISCIPLINES.index(d.discipline) for d in devices]
    return {
        "device_speed": np.array([d.speed for d in devices]),
        "device_servers": np.array([d.servers for d in devices], dtype=np.int32),
        "device_capacity": np.array([_optional(d.capacity, np.inf) for d in devices]),
        "device_memory": np.array([_optional(d.memory, np.inf) for d in devices]),
        "device_discipline": np.array(disciplines, dtype=np.int8),
    }


def power_points(devices: Sequence[Device]) -> tuple[Ints, Floats]:
    """Return the power curves of devices.

    Args:
        devices: The devices.

    Returns:
        Points of each curve, 0 where it is unknown [D], and the watts of all of them.
    """
    curves = [device.power or () for device in devices]
    counts = np.array([len(curve) for curve in curves], dtype=np.int64)
    return counts, np.array([watts for curve in curves for watts in curve], dtype=np.float64)


def models_of(chains: Sequence[Chain]) -> list[int]:
    """Return which network each chain of a problem runs.

    Args:
        chains: The chains.

    Returns:
        Numbers in the order of the networks' first chains [C].
    """
    names = [str(chain.model) for chain in chains]
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [known[name] for name in names]


def chain_columns(chains: Sequence[Chain], models: Sequence[int]) -> Columns:
    """Return what chains say of themselves.

    Args:
        chains: The chains.
        models: Which network each of them runs [C].

    Returns:
        Chain columns of a batch [C].
    """
    arrivals = [chain.arrivals for chain in chains]
    return {
        "chain_rate": np.array([process.rate for process in arrivals]),
        "chain_scv": np.array([process.scv for process in arrivals]),
        "chain_model": np.array(models, dtype=np.int32),
        "chain_priority": np.array([c.priority for c in chains], dtype=np.int32),
        "chain_parallel": np.array([c.parallel for c in chains], dtype=np.int8),
        "chain_deadline": np.array([_optional(c.deadline, np.nan) for c in chains]),
        "chain_arrivals": np.array(
            [ARRIVAL_NAMES.index(process.name) for process in arrivals], dtype=np.int8
        ),
    }


def has_revisits(path: Ints, device: NDArray[np.int32], paths: int, devices: int) -> Flags:
    """Tell which paths come back to a device.

    Args:
        path: Path of each step [S].
        device: Its device, local to its deployment [S].
        paths: Number of paths.
        devices: Most devices of a deployment.

    Returns:
        Flags [paths].
    """
    visits = np.bincount(path * devices + device, minlength=paths * devices)
    return np.asarray(visits.reshape(paths, devices).max(axis=1) > 1)


def scv_of(mean: Floats, variance: Floats) -> Floats:
    """Return squared coefficients of variation.

    Args:
        mean: Means [s] [S].
        variance: Variances [s^2] [S].

    Returns:
        Ratios [S]; where the mean is 0, so is the variance, and it is given back.
    """
    return np.asarray(variance / np.where(mean > 0, mean, 1.0) ** 2)


def is_plain(deployment: Deployment) -> bool:
    """Tell whether a deployment is plain.

    Args:
        deployment: The deployment.

    Returns:
        True if :func:`plain_columns` packs it.
    """
    problem = deployment.problem
    special = deployment.exits or problem.links or not deployment.fuse
    one_by_one = not any(chain.parallel for chain in problem.chains)
    usual = all(device.npu is None and device.speedup is None for device in problem.devices)
    return not special and one_by_one and usual


@dataclass(slots=True)
class _Fragments:
    """What the fragments of deployments say, path by path.

    Args:
        counts: Paths of each chain [C].
        probability: Probability of each path [P].
        lengths: Fragments of each path [P].
        device: Device of each fragment, local to its deployment [F].
        laws: Law of its time there and divisor of the samples [F].
        demand: Buffer units [F].
        weights: Bytes [F].
    """

    counts: list[int] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    device: list[int] = field(default_factory=list)
    laws: list[tuple[Law, float]] = field(default_factory=list)
    demand: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def take(self, deployment: Deployment) -> None:
        """Take in the fragments of one more deployment."""
        problem, routing = deployment.problem, deployment.routing
        assert routing is not None
        numbers = problem.device_index()
        for chain in problem.chains:
            paths = deployment.placement[chain.name]
            self.counts.append(len(paths))
            self.probability += routing[chain.name]
            for path in paths:
                self.lengths.append(len(path))
                for fragment, name in zip(chain.fragments, path, strict=True):
                    number = numbers[name]
                    self.device.append(number)
                    self.laws.append(fragment.time_on(problem.devices[number]))
                    self.demand.append(fragment.demand)
                    self.weights.append(fragment.weights)

    def columns(self) -> Columns:
        """Return the columns of paths, steps and fragments."""
        fragments, paths = len(self.device), len(self.lengths)
        device = np.array(self.device, dtype=np.int32)
        lengths = np.array(self.lengths, dtype=np.int64)
        path_first = np.zeros(fragments, dtype=bool)
        path_first[starts_of(lengths)[:-1]] = True
        begin = np.flatnonzero(run_starts(device, path_first, fuse=True))
        path = np.repeat(np.arange(paths), lengths)[begin]
        mean, variance = (np.add.reduceat(part, begin) for part in time_moments(self.laws))
        code, speed, start, parameters = law_columns(self.laws)
        return {
            "path_start": starts_of(np.array(self.counts, dtype=np.int64)),
            "path_probability": np.array(self.probability),
            "step_start": starts_of(np.bincount(path, minlength=paths)),
            "step_device": device[begin],
            "step_mean": mean,
            "step_scv": scv_of(mean, variance),
            "step_demand": np.maximum.reduceat(np.array(self.demand, dtype=np.float64), begin),
            "step_weights": np.add.reduceat(np.array(self.weights), begin),
            "fragment_start": np.append(begin, fragments),
            "fragment_law": code,
            "fragment_speed": speed,
            "law_parameter_start": start,
            "law_parameter": parameters,
        }


def plain_columns(deployments: Sequence[Deployment]) -> dict[str, Any]:
    """Return what a batch of plain deployments is made of.

    Args:
        deployments: Plain deployments of any problems, at least one.

    Returns:
        Columns and offsets by name, with keys 0, 1, ...
    """
    problems = [deployment.problem for deployment in deployments]
    devices = [device for problem in problems for device in problem.devices]
    chains = [chain for problem in problems for chain in problem.chains]
    fragments = _Fragments()
    for deployment in deployments:
        fragments.take(deployment)
    sizes = np.array([len(problem.devices) for problem in problems])
    points, watts = power_points(devices)
    parameters = [chain.arrivals.parameters() for chain in chains]
    content: dict[str, Any] = {
        "key": np.arange(len(deployments)),
        "device_start": starts_of(sizes),
        "chain_start": starts_of(np.array([len(problem.chains) for problem in problems])),
        "power_start": starts_of(points),
        "power_watts": watts,
        "arrival_parameter_start": starts_of(np.array([len(own) for own in parameters])),
        "arrival_parameter": np.array([x for own in parameters for x in own]),
        "device_names": tuple(device.name for device in devices),
        "chain_names": tuple(chain.name for chain in chains),
    }
    content |= device_columns(devices) | fragments.columns()
    models = [number for problem in problems for number in models_of(problem.chains)]
    content |= chain_columns(chains, models)
    revisits = _revisits(content, int(sizes.max()))
    content["effects"] = [int(effects_of(d)) for d in deployments] | revisits
    return content | _absent(content)


def _revisits(content: dict[str, Any], devices: int) -> Ints:
    """Return the REVISIT bit of each deployment with a path that comes back to a device [B]."""
    paths = len(content["path_probability"])
    path = np.repeat(np.arange(paths), np.diff(content["step_start"]))
    again = has_revisits(path, content["step_device"], paths, devices)
    first = content["path_start"][content["chain_start"][:-1]]
    return np.logical_or.reduceat(again, first) * int(Effect.REVISIT)


def _absent(content: dict[str, Any]) -> dict[str, Any]:
    """Return the levels and columns that plain deployments have nothing to say of."""
    rows = {
        level: int(content[f"{level}_start"][-1])
        for level in PARENTS
        if f"{level}_start" in content
    }
    missing: dict[str, Any] = {}
    for level in PARENTS.keys() - rows.keys():
        missing[f"{level}_start"] = np.zeros(rows[PARENTS[level]] + 1, dtype=np.int64)
        rows[level] = 0
    for name, described in BATCH_COLUMNS.items():
        if name not in content:
            missing[name] = np.full(rows[described.level], described.absent)
    return missing
