"""Branches of parallel chains: what a join can and cannot say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from datagen.evaluation import DeploymentBatch, pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.siblings import log_passed_together
from surrogate.models.joining import JOIN_OUTPUTS, Ways, joined_ways
from tests.surrogate.cases import close, random_deployments
from tests.surrogate.forks import forked


@pytest.fixture
def batch() -> DeploymentBatch:
    return pack([forked(deployment) for deployment in random_deployments(12, seed=5)])


def ways_of(arrays: FlowArrays) -> Ways:
    """Made-up flows of a batch."""
    generator = torch.Generator().manual_seed(1)
    count = len(arrays.flow_chain)
    unloaded = torch.rand(count, generator=generator) + 0.1
    return Ways(
        log_passed=-torch.rand(count, generator=generator),
        latency=unloaded + torch.rand(count, generator=generator),
        unloaded=unloaded,
        least=0.5 * unloaded,
        law=torch.randn(count, 3, generator=generator),
        chain=arrays.flow_chain,
        probability=arrays.flow_probability,
    )


def by_path(arrays: FlowArrays, values: Tensor) -> list[Tensor]:
    """The values of the flows of each path."""
    branches = arrays.branches
    assert branches is not None
    return [values[branches.flow_path == path] for path in range(branches.paths)]


def test_flows_of_chains_without_branches_stay_what_they_are() -> None:
    arrays = flow_arrays(pack(random_deployments(4, seed=2)))
    ways = ways_of(arrays)
    assert arrays.branches is None
    assert joined_ways(arrays, ways, None) is ways


@pytest.mark.parametrize("correction", [None, -20.0, 0.0, 20.0])
def test_joins_stay_between_their_limits(batch: DeploymentBatch, correction: float | None) -> None:
    """Losses coincide or not; the slowest branch, or one after the other."""
    arrays = flow_arrays(batch)
    ways = ways_of(arrays)
    given = None
    if correction is not None:
        given = torch.full((len(arrays.flow_chain), JOIN_OUTPUTS), correction)
    found = joined_ways(arrays, ways, given)
    assert len(found.chain) == len(batch.path_probability)
    passed, latency, unloaded, least = (
        by_path(arrays, getattr(ways, name))
        for name in ("log_passed", "latency", "unloaded", "least")
    )
    for path in range(len(found.chain)):
        low, high = float(passed[path].sum()), float(passed[path].min())
        assert low - 1e-5 <= float(found.log_passed[path]) <= high + 1e-5
        longest, total = float(latency[path].max()), float(latency[path].sum())
        assert longest - 1e-5 <= float(found.latency[path]) <= total + 1e-5
        assert float(found.unloaded[path]) == float(unloaded[path].max())
        assert float(found.least[path]) == float(least[path].max())
        if correction == 20.0:
            close(found.log_passed[path], torch.tensor(high))
            close(found.latency[path], torch.tensor(longest), rtol=2e-2)
        if correction == -20.0:
            close(found.log_passed[path], torch.tensor(low))
            close(found.latency[path], torch.tensor(total))


def test_uncorrected_branches_have_their_arrivals_in_common(batch: DeploymentBatch) -> None:
    arrays = flow_arrays(batch)
    ways = ways_of(arrays)
    assert arrays.branches is not None
    together = log_passed_together(arrays, arrays.branches, ways.log_passed)
    apart = torch.stack([own.sum() for own in by_path(arrays, ways.log_passed)])
    assert bool((together > apart + 0.01).any())
    close(joined_ways(arrays, ways, None).log_passed, together, atol=5e-3)


def test_a_path_of_one_flow_is_that_flow(batch: DeploymentBatch) -> None:
    arrays = flow_arrays(batch)
    ways = ways_of(arrays)
    found = joined_ways(arrays, ways, torch.randn(len(arrays.flow_chain), JOIN_OUTPUTS))
    branches = arrays.branches
    assert branches is not None
    alone = (branches.path_branches == 1).nonzero()[:, 0]
    assert len(alone) > 0
    own = torch.stack([(branches.flow_path == path).nonzero()[0, 0] for path in alone])
    for name in ("log_passed", "latency", "unloaded", "least", "law"):
        close(getattr(found, name)[alone], getattr(ways, name)[own])
    assert torch.equal(found.chain[alone], ways.chain[own])


def test_joins_carry_gradients(batch: DeploymentBatch) -> None:
    arrays = flow_arrays(batch)
    ways = ways_of(arrays)
    latency = ways.latency.requires_grad_()
    correction = torch.zeros(len(arrays.flow_chain), JOIN_OUTPUTS, requires_grad=True)
    found = joined_ways(arrays, replace(ways, latency=latency), correction)
    (found.latency.sum() + found.log_passed.sum()).backward()  # type: ignore[no-untyped-call]
    for values in (latency, correction):
        assert values.grad is not None
        assert bool(values.grad.isfinite().all())
        assert bool((values.grad != 0).any())
