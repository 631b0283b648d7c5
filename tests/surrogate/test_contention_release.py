"""The shipped surrogate of contention: near to what is simulated, effect by effect."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import NotSupportedError
from datagen.evaluation import Effect
from datagen.scenarios import ContentionScenario, Type1Scenario
from datagen.simulator import simulate
from surrogate.evaluator import SurrogateEvaluator, load_surrogate

ONE = dict.fromkeys(("sharing", "cores", "priority", "parallel", "blocking"), 0.0)


@pytest.fixture(scope="module")
def surrogate() -> SurrogateEvaluator:
    return load_surrogate("contention")


@pytest.mark.parametrize("effect", list(ONE))
def test_near_what_is_simulated(surrogate: SurrogateEvaluator, effect: str) -> None:
    scenario = ContentionScenario(small=1.0, **ONE | {effect: 1.0})
    drawn = [scenario.sample(index, 4712) for index in range(16)]
    found, played = surrogate.evaluate(drawn).chain, simulate(drawn, events=5e4, seed=1).chain
    # The mean of the larger errors of few chains and short runs: the benchmark has the true level.
    assert np.nanmean(np.abs(found["throughput_ratio"] - played["throughput_ratio"])) < 0.02
    assert np.nanmedian(np.abs(found["latency"] / played["latency"] - 1.0)) < 0.05


def test_plain_networks_are_not_forgotten(surrogate: SurrogateEvaluator) -> None:
    plain = [Type1Scenario().sample(index, 4713) for index in range(48)]
    mine = surrogate.evaluate(plain).chain["throughput_ratio"]
    theirs = load_surrogate("chainnet").evaluate(plain).chain["throughput_ratio"]
    assert np.abs(mine - theirs).mean() < 0.006


def test_waiting_senders_starve_those_from_outside(surrogate: SurrogateEvaluator) -> None:
    def chain(name: str, rate: float, *means: float) -> Chain:
        fragments = tuple(
            Fragment(name=f"f{number}", service=Deterministic(mean=mean))
            for number, mean in enumerate(means)
        )
        return Chain(name=name, arrivals=Poisson(rate=rate), fragments=fragments)

    problem = Problem(
        devices=(Device(name="near", capacity=10), Device(name="far", capacity=10)),
        chains=(chain("through", 1.2, 0.5, 1.0), chain("here", 0.8, 1.0)),
        overflow="block",
    )
    deployment = Deployment(
        problem=problem, placement={"through": (("near", "far"),), "here": (("far",),)}
    )
    found = surrogate.evaluate([deployment]).chain["throughput_ratio"]
    played = simulate([deployment], events=2e5, seed=2).chain["throughput_ratio"]
    assert played[1] < 0.05
    assert found == pytest.approx(played, abs=0.08)


def test_it_covers_contention_and_names_what_it_does_not(surrogate: SurrogateEvaluator) -> None:
    covered = surrogate.release.coverage.effects
    wanted = (
        Effect.PROCESSOR_SHARING | Effect.SPEEDUP | Effect.PRIORITY | Effect.PARALLEL
    ) | Effect.BLOCKING
    assert covered & wanted == wanted
    assert not covered & Effect.NPU
    blocking = ContentionScenario(small=1.0, **ONE | {"blocking": 1.0}).sample(0, 1)
    with pytest.raises(NotSupportedError, match="chainnet"):
        load_surrogate("chainnet").evaluate([blocking])


def test_jobs_that_wait_in_a_circle_end_no_batch(surrogate: SurrogateEvaluator) -> None:
    """A placement search proposes such deployments; their neighbours are told what they were."""

    def crossing(paths: dict[str, str]) -> Deployment:
        chains = tuple(
            Chain(
                name=name,
                arrivals=Poisson(rate=3.0),
                fragments=tuple(
                    Fragment(name=f"f{number}", service=Deterministic(mean=1.0))
                    for number in range(len(path))
                ),
            )
            for name, path in paths.items()
        )
        devices = tuple(Device(name=name, capacity=3) for name in "abcde")
        problem = Problem(devices=devices, chains=chains, overflow="block")
        return Deployment(
            problem=problem, placement={name: (tuple(path),) for name, path in paths.items()}
        )

    circle = crossing({"up": "abcd", "down": "edcb", "across": "acdeb"})
    one_way = crossing({"up": "abcd", "down": "bcde"})
    found = surrogate.evaluate([circle, one_way]).chain
    alone = surrogate.evaluate([one_way]).chain
    assert np.isfinite(found["throughput_ratio"]).all()
    assert np.isfinite(found["latency"]).all()
    np.testing.assert_allclose(found["throughput_ratio"][3:], alone["throughput_ratio"], rtol=1e-4)
