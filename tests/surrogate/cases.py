"""Random deployments, made-up labels and tolerances shared by the tests of surrogates."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Arrivals, Poisson, Renewal
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law, LogNormal
from datagen.documents import to_json
from datagen.evaluation import DeploymentBatch, Measures, pack
from datagen.store import DatasetWriter, table_of
from surrogate.features.arrays import FlowArrays

TOLERANCE: dict[torch.dtype, dict[str, float]] = {
    # A result goes through some thousand float32 operations, exponentials of up to 60 among them.
    torch.float32: {"rtol": 2e-3, "atol": 2e-5},
    # Beyond the order in which sums are taken nothing may differ.
    torch.float64: {"rtol": 1e-9, "atol": 1e-12},
}
"""How closely two computations of one value must agree, by the type they are done in."""

Arrays = TypeVar("Arrays")


def close(actual: Tensor | np.ndarray, expected: Tensor | np.ndarray, **overrides: float) -> None:
    """Check that values agree as their type allows."""
    actual, expected = (
        torch.tensor(x) if isinstance(x, np.ndarray) else x for x in (actual, expected)
    )
    tolerance = TOLERANCE[actual.dtype] | overrides
    torch.testing.assert_close(
        actual, expected.to(actual.dtype), check_stride=False, equal_nan=True, **tolerance
    )


def as_double(arrays: Arrays) -> Arrays:
    """Return a dataclass of tensors with its real ones in float64."""
    real = {
        item.name: value.double()
        for item in dataclasses.fields(arrays)  # type: ignore[arg-type]
        if isinstance(value := getattr(arrays, item.name), Tensor) and value.is_floating_point()
    }
    return dataclasses.replace(arrays, **real)  # type: ignore[type-var]


def _law(rng: np.random.Generator, mean: float) -> Law:
    kind = rng.integers(4)
    if kind == 0:
        return Exponential(mean=mean)
    if kind == 1:
        return LogNormal(mean=mean, scv=float(rng.uniform(0.1, 2.0)))
    return Deterministic(mean=mean)


def random_deployment(rng: np.random.Generator, *, paths: int = 1) -> Deployment:
    """A deployment of laws, servers, demands, revisits and arrivals of several kinds."""
    devices = tuple(
        Device(
            name=f"d{n}",
            speed=float(rng.uniform(0.5, 2.0)),
            servers=int(rng.choice([1, 1, 1, 2, 3])),
            capacity=int(rng.integers(3, 25)),
        )
        for n in range(rng.integers(2, 6))
    )
    chains = tuple(
        Chain(
            name=f"c{n}",
            arrivals=(
                Renewal(mean=float(rng.uniform(0.5, 4.0)), scv=float(rng.uniform(0.3, 3.0)))
                if rng.random() < 0.2
                else Poisson(rate=float(rng.uniform(0.2, 2.0)))
            ),
            fragments=tuple(
                Fragment(
                    name=f"f{k}",
                    service=_law(rng, float(rng.uniform(0.02, 0.8))),
                    demand=int(rng.choice([1, 1, 1, 2])),
                )
                for k in range(rng.integers(1, 6))
            ),
        )
        for n in range(rng.integers(1, 5))
    )
    names = [device.name for device in devices]
    return Deployment(
        problem=Problem(devices=devices, chains=chains),
        placement={
            chain.name: tuple(
                tuple(str(x) for x in rng.choice(names, size=len(chain.fragments)))
                for _ in range(paths)
            )
            for chain in chains
        },
        routing={chain.name: tuple(rng.dirichlet(np.ones(paths)).tolist()) for chain in chains},
        fuse=bool(rng.random() < 0.8),
    )


def random_deployments(count: int, seed: int = 0, *, paths: int = 1) -> list[Deployment]:
    """Deployments, the same for the same seed."""
    rng = np.random.default_rng(seed)
    return [random_deployment(rng, paths=paths) for _ in range(count)]


def single(
    *,
    rate: float = 1.0,
    means: Sequence[float] = (0.5,),
    hosts: Sequence[int] = (0,),
    capacity: int | None = 5,
    servers: int = 1,
    arrivals: Arrivals | None = None,
) -> Deployment:
    """One chain of constant services; Poisson arrivals at the rate unless others are given."""
    fragments = tuple(
        Fragment(name=f"f{n}", service=Deterministic(mean=mean)) for n, mean in enumerate(means)
    )
    devices = tuple(
        Device(name=f"d{n}", capacity=capacity, servers=servers) for n in range(max(hosts) + 1)
    )
    chain = Chain(name="c", arrivals=arrivals or Poisson(rate=rate), fragments=fragments)
    return Deployment(
        problem=Problem(devices=devices, chains=(chain,)),
        placement={"c": (tuple(f"d{n}" for n in hosts),)},
        fuse=False,
    )


def extremes() -> DeploymentBatch:
    """Deployments at the edges of what may be asked: idle, drowned, no room, no limit, no work."""
    return pack([
        single(rate=rate, means=means, hosts=range(len(means)), capacity=capacity, servers=servers)
        for rate in (1e-5, 1.0, 50.0)
        for means in ((1.0,), (0.0,), (1.0, 0.0, 1e-6, 1.0))
        for capacity in (1, 2, 200, None)
        for servers in (1, 4)
    ])


def made_up_labels(batch: DeploymentBatch, jobs: float = 1e4) -> Measures:
    """Labels as a simulation of so many jobs per chain would give them, from formulas."""
    known = AnalyticEvaluator().evaluate_batch(batch)
    ratio = known.chain["throughput_ratio"]
    offered = np.full(len(ratio), jobs)
    chain = dict(known.chain) | {
        "offered": offered,
        "completed": offered * ratio,
        "lost": offered * (1 - ratio),
        "throughput_ratio_se": np.sqrt(ratio * (1 - ratio) / jobs),
        "latency_se": 0.01 * known.chain["latency"],
        **{p: known.chain["latency"] * f for p, f in (("p50", 0.9), ("p95", 1.8), ("p99", 2.5))},
    }
    steps = batch.counts("step")
    chain_steps = np.bincount(batch.step_chain, minlength=len(ratio))
    passed = np.repeat(ratio ** (1 / chain_steps), chain_steps)  # the same share at every step
    position = np.arange(len(passed)) - np.repeat(batch.step_start[:-1], steps)
    reached = jobs * batch.path_probability.repeat(steps) * passed**position
    step = {
        "offered": reached,
        "lost": reached * (1 - passed),
        "sojourn_completed": known.step["sojourn"],
    }
    return Measures.of(batch, "simulation", chain=chain, step=step)


def write_dataset(
    folder: Path,
    deployments: Sequence[Deployment],
    measures: Measures | None = None,
    **labels: Any,
) -> Path:
    """Write a data set of one shard, with labels from formulas where no measures are given."""
    batch = pack(deployments)
    if measures is None:
        measures = made_up_labels(batch, **labels)
    documents = [to_json(deployment) for deployment in deployments]
    writer = DatasetWriter(
        folder=folder,
        rows=len(batch),
        rows_per_shard=len(batch),
        identity={"program": "test"},
        source="simulation",
    )
    writer.open(resume=False)
    writer.write(0, table_of(batch, measures, documents, np.arange(len(batch))))
    writer.close({})
    return folder


def in_batch_order(arrays: FlowArrays, values: Tensor) -> Tensor:
    """Return step values in the order of the batch."""
    ordered = torch.empty_like(values)
    ordered[arrays.step_row] = values
    return ordered
