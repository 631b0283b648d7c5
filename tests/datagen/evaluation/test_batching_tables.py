"""Candidates that differ in how accelerators batch pack like the deployments they stand for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Npu, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Candidates, Effect, pack
from datagen.exits import ExitTrace, Thresholds
from datagen.npu import BatchSetting, BatchTable
from datagen.simulator import SimulationEvaluator, SimulationOptions
from tests.datagen.evaluation.test_packing import same

TABLE = BatchTable(seconds=np.array([[0.02, 0.03, 0.035, 0.04], [0.03, 0.05, 0.06, 0.07]]))

DYNAMIC = BatchConfig(policy="dynamic", max_batch=4, timeout=0.01)
SETTINGS = (
    BatchSetting(config=BatchConfig()),
    BatchSetting(config=DYNAMIC),
    BatchSetting(config=BatchConfig(policy="exit_aware", max_batch=3, survivors="expected")),
    BatchSetting(config=BatchConfig(policy="static", max_batch=2), variant="fixed"),
    BatchSetting(config=replace(DYNAMIC, max_batch=16), variant="fluid"),
    BatchSetting(config=BatchConfig(policy="lazy", max_batch=8), variant="fluid+stackable"),
)
"""The last three name variants, which the measured accelerator has none of."""


def hub() -> Deployment:
    """Two chains of one model on a processor, a measured and a modelled accelerator."""
    fragments = (
        Fragment(name="a", service=Exponential(mean=0.1), exit=Exit(head=Deterministic(mean=0.01))),
        Fragment(name="b", service=Deterministic(mean=0.2), demand=2),
    )
    rng = np.random.default_rng(3)
    trace = ExitTrace(
        name="t", confidences=rng.random((40, 2)), correct=rng.random((40, 2)) < [0.7, 0.9]
    )
    chains = tuple(
        Chain(
            name=name, arrivals=Poisson(rate=4.0), fragments=fragments, model="m", trace="t",
            deadline=0.5,
        )
        for name in ("camera", "door")
    )  # fmt: skip
    devices = (
        Device(name="table", capacity=20, npu=Npu(table={"m": TABLE})),
        Device(name="cpu", capacity=8),
        Device(name="array", capacity=30, npu=Npu(network="mobilenetv2", array="narrow")),
    )
    return Deployment(
        problem=Problem(devices=devices, chains=chains, traces=(trace,)),
        placement={"camera": (("array", "array"),), "door": (("table", "cpu"), ("cpu", "array"))},
        routing={"door": (0.5, 0.5)},
        exits={name: Thresholds(tau=(0.6,)) for name in ("camera", "door")},
        batching={"array": BatchConfig(policy="edf", max_batch=2)},
    )


PLACEMENT = np.array([
    [2, 2, 0, 1, 1, 2],
    [0, 0, 1, 1, 2, 2],
    [2, 1, 0, 2, 0, 0],
    [1, 1, 1, 1, 2, 0],
])
BATCHING = np.array([[0, 5], [1, 4], [2, 3], [0, 1]])


def varied(**changes: Any) -> Candidates:
    given = {"placement": PLACEMENT, "batching": BATCHING, "settings": SETTINGS} | changes
    return Candidates(base=hub(), **given)


def test_batching_packs_like_the_deployments() -> None:
    thresholds = np.array([[0.2, 1.5], [0.6, 0.6], [0.9, 0.0], [1.0, 0.5]])
    routing = np.array([[1.0, 0.25, 0.75]] * 4)
    for candidates in (varied(), varied(thresholds=thresholds, routing=routing)):
        objects = [candidates.deployment(index) for index in range(len(candidates))]
        assert same(candidates.batch(), pack(objects).with_key(np.zeros(len(objects))))
        assert same(candidates.select([2]).batch(), pack(objects[2:3]))


def test_no_batching_is_that_of_the_base() -> None:
    kept = Candidates(base=hub(), placement=PLACEMENT)
    objects = [kept.deployment(index) for index in range(len(kept))]
    assert same(kept.batch(), pack(objects).with_key(np.zeros(len(objects))))
    assert kept.deployment(1).batching == hub().batching


def test_the_deployment_of_a_candidate_says_what_was_chosen() -> None:
    chosen = varied().deployment(1)
    assert chosen.batching == {"table": DYNAMIC, "array": replace(DYNAMIC, max_batch=16)}
    assert [d.npu.variant for d in chosen.problem.devices if d.npu] == [None, "fluid"]
    assert (varied().batch().effects & int(Effect.BATCHING)).all()


def test_both_evaluations_are_equal_bit_for_bit() -> None:
    """A variant changes every time, those of single samples included."""
    evaluator = SimulationEvaluator(SimulationOptions(horizon=200.0, replications=2, seed=3))
    together = evaluator.evaluate(varied())
    apart = [varied().deployment(index) for index in range(4)]
    one_by_one = [evaluator.evaluate([deployment]) for deployment in apart]
    for name in ("latency", "p95", "attainment", "loss_ratio", "accuracy_offered"):
        expected = np.concatenate([measures.chain[name] for measures in one_by_one])
        np.testing.assert_array_equal(together.chain[name], expected)
    batches = np.concatenate([measures.device["batch"] for measures in one_by_one])
    np.testing.assert_array_equal(together.device["batch"], batches)
    assert len(set(together.chain["latency"].tolist())) == 8


def test_the_readable_engine_plays_them_alike() -> None:
    options = SimulationOptions(horizon=40.0, replications=1, seed=5)
    compiled, readable = (
        SimulationEvaluator(replace(options, engine=engine)).evaluate(varied())
        for engine in ("numba", "simpy")
    )
    np.testing.assert_allclose(compiled.chain["latency"], readable.chain["latency"], rtol=1e-12)


def test_the_analytic_evaluator_refuses_accelerators() -> None:
    with pytest.raises(NotSupportedError, match="npu"):
        AnalyticEvaluator().evaluate(varied())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batching": BATCHING[:, :1]}, r"batching must have shape \[4, 2\]"),
        ({"batching": BATCHING + 3}, r"batching must lie in \[0, 6\)"),
        ({"batching": BATCHING - 1}, r"batching must lie in \[0, 6\)"),
        ({"settings": ()}, "settings must hold what batching chooses from"),
        ({"batching": None}, "settings must go with batching"),
        ({"batching": BATCHING[:, ::-1]}, "batching.table must name no variant"),
        (
            {"settings": (BatchSetting(config=BatchConfig(policy="static", max_batch=5)),) * 6},
            "max_batch must be <= 4, the largest batch of a table",
        ),
    ],
)
def test_bad_batching_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        varied(**changes)
