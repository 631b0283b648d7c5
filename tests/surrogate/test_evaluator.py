"""A released network as an evaluator: what it says, refuses and doubts."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.errors import NotSupportedError
from datagen.evaluation import Candidates, Effect, Measures, pack
from datagen.evaluation.packing import DeploymentTables
from surrogate import load_surrogate
from surrogate.checkpoints import Release
from surrogate.coverage import Coverage
from surrogate.evaluator import BATCH, SurrogateEvaluator
from surrogate.features.arrays import flow_arrays
from surrogate.intervals import LEVEL
from tests.contracts.models import scatter_weights
from tests.helpers import tandem
from tests.surrogate.cases import close, in_batch_order, random_deployments, single
from tests.surrogate.releases import release, small_network, some_intervals

CHAIN = ("throughput_ratio", "loss_ratio", "latency", "latency_ratio", "throughput")


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory: pytest.TempPathFactory) -> SurrogateEvaluator:
    folder = release(tmp_path_factory.mktemp("released") / "tiny", also=Effect.UNLIMITED_BUFFER)
    return load_surrogate(folder)


@pytest.fixture(scope="module")
def deployments() -> list[Deployment]:
    return random_deployments(10, seed=71)


def same(found: Measures, expected: Measures) -> None:
    """Check that measures agree; batches of other sizes sum in another order."""
    for name in CHAIN:
        close(found.chain[name], expected.chain[name], rtol=1e-4, atol=1e-6)
    sojourn = "sojourn_completed"
    close(found.step[sojourn], expected.step[sojourn], rtol=1e-4, atol=1e-6)
    close(found.deployment["loss_ratio"], expected.deployment["loss_ratio"], rtol=1e-4, atol=1e-6)
    flags = [measures.deployment["in_distribution"].tolist() for measures in (found, expected)]
    assert flags[0] == flags[1]


def test_tells_how_many_jobs_are_in_time_where_there_are_deadlines(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    problem = deployments[0].problem
    chains = tuple(dataclasses.replace(chain, deadline=10.0**9) for chain in problem.chains)
    late = tuple(dataclasses.replace(chain, deadline=1e-9) for chain in problem.chains)
    found = [
        surrogate.evaluate([
            dataclasses.replace(deployments[0], problem=dataclasses.replace(problem, chains=some))
        ]).chain
        for some in (problem.chains, chains, late)
    ]
    assert np.isnan(found[0]["attainment"]).all()
    close(found[1]["attainment"], found[1]["throughput_ratio"])
    assert (found[2]["attainment"] == 0.0).all()


def test_says_what_the_network_says(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    batch = pack(deployments)
    arrays = flow_arrays(batch)
    expected, found = small_network()(arrays), surrogate.evaluate(deployments)
    assert found.source == "surrogate"
    for name in ("throughput_ratio", "loss_ratio", "latency", "latency_ratio"):
        close(found.chain[name].astype(np.float32), getattr(expected, name).detach())
    quantiles = expected.law.log_quantiles.detach().exp()
    for index, name in enumerate(("p50", "p95", "p99")):
        close(found.chain[name].astype(np.float32), quantiles[:, index])
    sojourn = in_batch_order(arrays, expected.step_sojourn.detach())
    close(found.step["sojourn_completed"].astype(np.float32), sojourn)
    close(found.chain["throughput"], found.chain["throughput_ratio"] * batch.chain_rate)
    lost = np.bincount(batch.owner("chain"), weights=found.chain["loss_ratio"] * batch.chain_rate)
    offered = np.bincount(batch.owner("chain"), weights=batch.chain_rate)
    close(found.deployment["loss_ratio"], lost / offered)


def test_names_and_objects_and_arrays_agree(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    from_objects = surrogate.evaluate(deployments)
    same(surrogate.evaluate(pack(deployments)), from_objects)
    name = deployments[0].problem.chains[0].name
    assert from_objects[0].chains[name].latency == from_objects.chain["latency"][0]


def test_candidates_are_what_their_deployments_are(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    base = deployments[1]
    rng = np.random.default_rng(0)
    slots, devices = DeploymentTables(base).allowed.shape
    candidates = Candidates(base=base, placement=rng.integers(devices, size=(6, slots)))
    objects = [candidates.deployment(index) for index in range(6)]
    same(surrogate.evaluate(candidates), surrogate.evaluate(objects))


def test_without_details_values_are_the_same(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    plain, full = surrogate.without_details().evaluate(deployments), surrogate.evaluate(deployments)
    for name in CHAIN:
        assert np.array_equal(plain.chain[name], full.chain[name])
    assert np.array_equal(plain.deployment["loss_ratio"], full.deployment["loss_ratio"])
    assert "loss_ratio_low" in full.chain
    assert "loss_ratio_low" not in plain.chain
    assert "in_distribution" not in plain.deployment


def test_many_are_evaluated_in_parts(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    batch = pack(deployments)
    rows = np.random.default_rng(1).integers(len(batch), size=2 * BATCH + 10)
    whole = surrogate.evaluate(batch.select(rows))
    single_ones = surrogate.evaluate(batch)
    starts = single_ones.chain_start
    chains = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
    for name in CHAIN:
        close(whole.chain[name], single_ones.chain[name][chains], rtol=1e-4, atol=1e-6)
    assert whole.reason is not None
    assert len(whole.reason) == len(rows)


@pytest.mark.parametrize("paths", [2])
def test_refuses_by_name_what_it_was_not_trained_on(
    surrogate: SurrogateEvaluator, deployments: list[Deployment], paths: int
) -> None:
    routed = random_deployments(1, seed=3, paths=paths)
    with pytest.raises(NotSupportedError, match="not yet supported by tiny: routing"):
        surrogate.evaluate(deployments + routed)


def test_intervals_hold_the_predictions(
    surrogate: SurrogateEvaluator, deployments: list[Deployment]
) -> None:
    found = surrogate.evaluate(deployments)
    assert found.level == LEVEL
    for name in ("throughput_ratio", "latency_ratio", "loss_ratio", "latency", "p95"):
        low, high = found.chain[f"{name}_low"], found.chain[f"{name}_high"]
        assert (low <= found.chain[name]).all()
        assert (found.chain[name] <= high).all()
        assert (low < high).any()
    unloaded = found.chain["latency"] * found.chain["latency_ratio"]
    slowest = found.chain["latency_ratio_low"]
    bounded = slowest > 0
    close(found.chain["latency_high"][bounded], (unloaded[bounded] / slowest[bounded]))


def test_doubts_with_a_reason(surrogate: SurrogateEvaluator, deployments: list[Deployment]) -> None:
    found = surrogate.evaluate([deployments[0], single(rate=900.0, means=(0.1, 0.4), hosts=(0, 1))])
    assert found.deployment["in_distribution"].tolist()[1] is False
    assert found[1].reason is not None
    assert "outside [" in found[1].reason
    known = surrogate.evaluate(random_deployments(60, seed=61))
    assert known.deployment["in_distribution"].mean() > 0.95  # a few false alarms are allowed
    assert known.reason is not None
    doubted = [reason is not None for reason in known.reason]
    assert doubted == (~known.deployment["in_distribution"]).tolist()


def test_says_nothing_where_there_is_no_steady_state(surrogate: SurrogateEvaluator) -> None:
    steady, growing = (single(rate=rate, means=(0.5,), capacity=None) for rate in (1.0, 2.5))
    found = surrogate.evaluate([steady, growing])
    assert found.deployment["unstable"].tolist() == [False, True]
    for name in CHAIN:
        assert np.isfinite(found.chain[name]).tolist() == [True, False], name
    assert np.isfinite(found.step["sojourn_completed"]).tolist() == [True, False]
    assert np.isfinite(found.deployment["loss_ratio"]).tolist() == [True, False]
    assert found[1].reason == "an unlimited buffer has load >= 1"


def test_says_nothing_where_jobs_wait_for_room_that_there_never_is(tmp_path: Path) -> None:
    waiting = load_surrogate(release(tmp_path / "tiny", also=Effect.BLOCKING | Effect.DEMAND))
    base = tandem(0, 1, capacity=2)
    first, second = base.problem.chains[0].fragments
    found = waiting.evaluate([
        dataclasses.replace(
            base,
            problem=dataclasses.replace(
                base.problem,
                overflow="block",
                chains=(
                    dataclasses.replace(
                        base.problem.chains[0],
                        fragments=(first, dataclasses.replace(second, demand=demand)),
                    ),
                ),
            ),
        )
        for demand in (2, 3)
    ])
    assert found.deployment["deadlocked"].tolist() == [False, True]
    assert np.isfinite(found.chain["throughput_ratio"]).tolist() == [True, False]
    assert np.isfinite(found.step["sojourn_completed"]).tolist() == [True, True, False, False]
    assert found[1].reason == "jobs wait for room that a device never has"


def test_needs_no_laws(surrogate: SurrogateEvaluator, deployments: list[Deployment]) -> None:
    base = deployments[0]
    placement = DeploymentTables(base).base_placement()[None]
    bare = Candidates(base=base, placement=placement).batch(laws=False)
    same(surrogate.evaluate(bare), surrogate.evaluate([base]))


def test_a_path_given_as_text_loads_too(tmp_path: Path) -> None:
    assert load_surrogate(str(release(tmp_path / "tiny"))).name == "tiny"


def extreme(seed: int, count: int) -> list[Deployment]:
    """Chains of a few steps: idle, drowned, without work, room, or limit."""
    rng = np.random.default_rng(seed)

    def one() -> Deployment:
        steps = int(rng.integers(1, 5))
        means = np.where(rng.random(steps) < 0.2, 0.0, 10.0 ** rng.uniform(-6, 4, size=steps))
        return single(
            rate=float(10.0 ** rng.uniform(-6, 4)),
            means=means.tolist(),
            hosts=rng.integers(0, 3, size=steps).tolist(),
            capacity=None if rng.random() < 0.2 else int(10.0 ** rng.uniform(0, 5)),
            servers=int(rng.integers(1, 40)),
        )

    return [one() for _ in range(count)]


def everything() -> Effect:
    effects = Effect.NONE
    for effect in Effect:
        effects |= effect
    return effects


@pytest.fixture(scope="module")
def lenient() -> Release:
    """A release that refuses nothing."""
    network = small_network()
    batch = pack(random_deployments(30, seed=62))
    arrays = flow_arrays(batch)
    coverage = Coverage.of(batch, arrays, network.features(arrays))
    return Release(
        name="wild",
        network=network,
        coverage=dataclasses.replace(coverage, effects=everything()),
        intervals=some_intervals(network),
        metrics={},
    )


@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from([0.1, 1.0, 10.0]),
    radius=st.sampled_from([0.0, 1e-6, 1.0, 1e4]),
)
@settings(max_examples=12, deadline=None)
def test_nothing_leaves_its_physical_range(
    lenient: Release, seed: int, size: float, radius: float
) -> None:
    network = scatter_weights(copy.deepcopy(lenient.network), seed)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(size)
    known = lenient.intervals
    tables = {name: torch.full_like(table, radius) for name, table in known.radius.items()}
    intervals = dataclasses.replace(known, radius=tables)
    wild = dataclasses.replace(lenient, network=network, intervals=intervals)
    batch = pack(extreme(seed, 30))
    found = SurrogateEvaluator(wild).evaluate(batch)
    steady = ~found.deployment["unstable"].astype(bool)[batch.owner("chain")]
    chain = {name: values[steady] for name, values in found.chain.items()}
    for name in ("throughput_ratio", "latency_ratio", "loss_ratio", "latency", "p95"):
        low, value, high = (chain[f"{name}{end}"] for end in ("_low", "", "_high"))
        assert (low >= 0).all()
        assert ((low <= value) & (value <= high)).all()
        assert not np.isnan(high).any()
        if name not in ("latency", "p95"):
            assert (high <= 1).all()
    idle = chain["latency"] * chain["latency_ratio"]
    assert (chain["latency_low"] >= idle * (1 - 1e-5)).all()
    assert (chain["throughput"] <= batch.chain_rate[steady]).all()
    steps = ~found.deployment["unstable"].astype(bool)[batch.owner("step")]
    assert (found.step["sojourn_completed"] >= batch.step_mean * (1 - 1e-5))[steps].all()
