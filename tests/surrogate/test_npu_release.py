"""The shipped surrogate of batching accelerators: near to what is simulated, in its own terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.errors import NotSupportedError
from datagen.evaluation import DeploymentBatch, pack
from datagen.evaluation.exit_paths import ExitPaths
from datagen.exits import ExitMix
from datagen.scenarios import NpuScenario
from datagen.simulator import simulate
from surrogate.evaluator import SurrogateEvaluator, load_surrogate
from tests.surrogate.cases import single
from tests.surrogate.features.npu_cases import two_cuts


@pytest.fixture(scope="module")
def surrogate() -> SurrogateEvaluator:
    return load_surrogate("npu")


@pytest.fixture(scope="module")
def drawn() -> list[Deployment]:
    return [NpuScenario().sample(index, 4711) for index in range(24)]


def test_near_what_is_simulated(surrogate: SurrogateEvaluator, drawn: list[Deployment]) -> None:
    found, played = surrogate.evaluate(drawn).chain, simulate(drawn, events=5e4, seed=1).chain
    for name, most in (("latency", 0.09), ("p95", 0.1)):
        assert np.nanmean(np.abs(found[name] / played[name] - 1.0)) < most, name
    for name, most in (("attainment", 0.025), ("loss_ratio", 0.015)):
        assert np.nanmean(np.abs(found[name] - played[name])) < most, name
    assert np.all(found["loss_ratio_low"] <= found["loss_ratio"] + 1e-9)


@pytest.mark.parametrize("apart", [True, False])
def test_knows_who_shares_batches(surrogate: SurrogateEvaluator, apart: bool) -> None:
    """Two chains of one network wait more than twice as long if they fill batches of their own."""
    deployment = two_cuts(apart)
    found, played = (
        evaluated.chain["latency"]
        for evaluated in (
            surrogate.evaluate([deployment]),
            simulate([deployment], events=1e5, replications=1, seed=1),
        )
    )
    assert found == pytest.approx(played, rel=0.06)


def test_most_of_its_own_kind_are_in_distribution(
    surrogate: SurrogateEvaluator, drawn: list[Deployment]
) -> None:
    flags = surrogate.evaluate(drawn).deployment["in_distribution"]
    assert flags.mean() > 0.8


def test_accuracy_is_that_of_the_exits(surrogate: SurrogateEvaluator) -> None:
    drawn = next(d for d in (NpuScenario().sample(n, 5) for n in range(50)) if d.exits)
    assert drawn.exits is not None
    name, mix = next(iter(drawn.exits.items()))
    assert isinstance(mix, ExitMix)
    right = tuple(np.linspace(0.5, 0.9, len(mix.p)).tolist())
    known = replace(drawn, exits={**drawn.exits, name: ExitMix(p=mix.p, accuracy=right)})
    chain = surrogate.evaluate([known]).chain
    place = [c.name for c in known.problem.chains].index(name)
    assert right[0] <= chain["accuracy_completed"][place] <= right[-1]
    passed = chain["throughput_ratio"][place]
    offered = chain["accuracy_completed"][place] * passed
    assert chain["accuracy_offered"][place] == pytest.approx(offered, rel=1e-4)


def test_paths_made_before_give_the_same(
    surrogate: SurrogateEvaluator, drawn: list[Deployment]
) -> None:
    batch: DeploymentBatch = pack(drawn)
    found = surrogate.evaluate(batch).chain
    again = surrogate.evaluate(ExitPaths.of(batch).batch).chain
    for name in ("latency", "loss_ratio", "p95", "attainment"):
        assert again[name] == pytest.approx(found[name], rel=1e-4, nan_ok=True), name


def test_others_do_not_cover_accelerators(drawn: list[Deployment]) -> None:
    with pytest.raises(NotSupportedError):
        load_surrogate("chainnet").evaluate(drawn)


def test_deployments_without_accelerators_are_covered(surrogate: SurrogateEvaluator) -> None:
    chain = surrogate.evaluate([single(rate=0.8), single(rate=1.2)]).chain
    assert chain["latency"][0] < chain["latency"][1]
