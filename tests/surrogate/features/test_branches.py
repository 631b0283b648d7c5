"""Branches of parallel chains are flows of their own."""

from __future__ import annotations

import numpy as np
import torch

from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.features.branches import pieces_of
from surrogate.features.decomposition import Decomposition
from tests.surrogate.cases import random_deployments
from tests.surrogate.forks import forked


def test_whole_paths_are_flows_where_nothing_is_parallel() -> None:
    batch = pack(random_deployments(6, seed=3, paths=2))
    pieces = pieces_of(batch)
    assert not pieces.parallel
    np.testing.assert_array_equal(pieces.length, batch.counts("step"))
    np.testing.assert_array_equal(pieces.first, batch.step_start[:-1])
    assert flow_arrays(batch).branches is None


def test_a_parallel_path_is_a_flow_per_step() -> None:
    batch = pack([forked(deployment) for deployment in random_deployments(6, seed=3, paths=2)])
    arrays, pieces = flow_arrays(batch), pieces_of(batch)
    branches = arrays.branches
    assert pieces.parallel
    assert branches is not None
    chain = np.repeat(np.arange(len(batch.chain_rate)), batch.counts("path"))
    parallel = batch.chain_parallel[chain] > 0
    assert parallel.any()
    assert not parallel.all()
    count = np.where(parallel, batch.counts("step"), 1)
    np.testing.assert_array_equal(branches.path_branches.numpy(), count)
    np.testing.assert_array_equal(np.bincount(branches.flow_path.numpy()), count)
    np.testing.assert_array_equal(branches.path_chain.numpy(), chain)
    assert sorted(arrays.step_row.tolist()) == list(range(len(batch.step_device)))
    assert int(arrays.flow_length.sum()) == len(batch.step_device)
    of_branch = torch.from_numpy(parallel)[branches.flow_path]
    assert set(arrays.flow_length[of_branch].tolist()) == {1}
    assert torch.equal(arrays.flow_chain, branches.path_chain[branches.flow_path])


def test_nothing_is_lost_on_the_way_to_a_branch() -> None:
    """Every branch is offered all jobs of its chain, whatever its sisters lose."""
    batch = pack([forked(deployment) for deployment in random_deployments(20, seed=8)])
    arrays = flow_arrays(batch)
    prior = Decomposition()(arrays)
    parallel = torch.from_numpy(batch.chain_parallel > 0)[arrays.flow_chain[arrays.step_flow]]
    rate = arrays.of_flows(arrays.flow_rate)
    assert bool((prior.step_loss[parallel] > 0.05).any())
    torch.testing.assert_close(prior.step_rate[parallel], rate[parallel])
