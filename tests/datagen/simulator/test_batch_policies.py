"""Batching policies of one's own are played like those of the file format."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.documents import read_deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import Measures, pack
from datagen.npu.batch_policies import Dynamic, Serial
from datagen.simulator import SimulationOptions
from datagen.simulator.batch_policies import simulate_batch_policies
from datagen.simulator.simulation import simulate_batch
from tests.conftest import REPOSITORY

OPTIONS = SimulationOptions(offered=60.0, replications=2, seed=5, engine="simpy")


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    return read_deployment(REPOSITORY / "examples" / "accelerator.yaml")


def assert_same(one: Measures, other: Measures) -> None:
    for level in ("chain", "device"):
        for name, values in getattr(one, level).items():
            assert np.array_equal(values, getattr(other, level)[name], equal_nan=True), name


def test_a_policy_that_is_given_is_played_like_the_one_that_is_named(
    deployment: Deployment,
) -> None:
    batching = deployment.batching
    assert batching is not None
    dynamic = replace(batching["npu"], policy="dynamic")
    named = replace(deployment, batching={"npu": dynamic})
    given = simulate_batch_policies(deployment, {"npu": Dynamic}, OPTIONS)
    assert_same(given, simulate_batch(pack([named]), OPTIONS))
    assert given.device["batch"][0] > 1.0


def test_every_run_makes_its_own_policy(deployment: Deployment) -> None:
    made: list[Serial] = []

    def make() -> Serial:
        made.append(Serial())
        return made[-1]

    simulate_batch_policies(deployment, {"npu": make}, OPTIONS)
    assert len(set(map(id, made))) == OPTIONS.replications


def test_without_policies_the_deployment_is_followed(deployment: Deployment) -> None:
    found = simulate_batch_policies(deployment, {}, OPTIONS)
    assert_same(found, simulate_batch(pack([deployment]), OPTIONS))


def test_a_policy_for_no_accelerator_is_refused(deployment: Deployment) -> None:
    rule = r"policies must be for accelerators among \['npu'\], got policies=\['board'\]"
    with pytest.raises(InvalidInputError, match=rule):
        simulate_batch_policies(deployment, {"board": Serial}, OPTIONS)
