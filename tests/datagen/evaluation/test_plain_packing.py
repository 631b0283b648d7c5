from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment, Link
from datagen.evaluation import DeploymentBatch, pack
from datagen.evaluation.batch import concatenate
from datagen.evaluation.packing import DeploymentTables
from datagen.evaluation.plain_packing import is_plain
from datagen.exits import ExitMix
from datagen.scenarios import SCENARIOS
from tests.datagen.strategies import deployments
from tests.helpers import tandem


def one_by_one(given: list[Deployment]) -> DeploymentBatch:
    """Pack deployments by the way that knows of everything, each on its own."""
    tables = [DeploymentTables(deployment, placed_only=True) for deployment in given]
    batch = concatenate([table.rows(table.base_placement()[None]) for table in tables])
    return batch.with_key(np.arange(len(given)))


def assert_same(found: DeploymentBatch, expected: DeploymentBatch) -> None:
    for item in fields(DeploymentBatch):
        own, other = getattr(found, item.name), getattr(expected, item.name)
        if isinstance(other, np.ndarray):
            assert own.dtype == other.dtype, item.name
            np.testing.assert_array_equal(own, other, err_msg=item.name)
        else:
            assert own == other, item.name


def made_plain(given: Deployment) -> Deployment:
    devices = tuple(replace(device, npu=None) for device in given.problem.devices)
    problem = replace(given.problem, devices=devices, links=())
    return Deployment(problem=problem, placement=given.placement, routing=given.routing)


@pytest.mark.parametrize("name", SCENARIOS)
def test_packing_together_changes_no_bit(name: str) -> None:
    drawn = [SCENARIOS[name]().sample(index, seed=3) for index in range(6)]
    assert_same(pack(drawn), one_by_one(drawn))


@settings(max_examples=40)
@given(st.lists(deployments().map(made_plain), min_size=1, max_size=3))
def test_any_plain_deployments_are_packed_as_each_of_them_would_be(given: list[Deployment]) -> None:
    assert_same(pack(given), one_by_one(given))


def test_what_makes_a_deployment_more_than_plain() -> None:
    plain = tandem(0, 1)
    assert is_plain(plain)
    first, second, *_ = (device.name for device in plain.problem.devices)
    link = Link(source=first, target=second, bandwidth=1e6)
    chain = plain.problem.chains[0].name
    assert not is_plain(replace(plain, problem=replace(plain.problem, links=(link,))))
    assert not is_plain(replace(plain, exits={chain: ExitMix(p=(1.0,))}))
    assert not is_plain(replace(plain, fuse=False))
