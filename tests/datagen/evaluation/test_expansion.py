"""Expansion of early exits: packed as built, equal in law where it should be, and only there."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.distributions import LAW_NAMES, Empirical, Erlang, Gamma, Uniform
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Effect, Evaluator, Measures, pack
from datagen.evaluation.batch import BATCH_COLUMNS, DeploymentBatch, concatenate
from datagen.evaluation.expanded_deployment import expanded_deployment
from datagen.evaluation.expanded_evaluator import ExpandedEvaluator
from datagen.evaluation.expansion import EXPANDED, Expansion
from datagen.evaluation.fields import starts_of
from datagen.evaluation.law_moments import law_moments
from datagen.exits import ExitMix
from datagen.scenarios import EarlyExitScenario
from datagen.simulator import SimulationEvaluator, SimulationOptions, simulate
from tests.datagen.evaluation.exit_cases import gateway_with_trace, two_ways

OPTIONS = SimulationOptions(events=4e5, replications=8, seed=3)


def losses(deployment: Deployment) -> tuple[np.ndarray, np.ndarray, float]:
    """Loss and its standard error of each chain, parts of a chain taken together; the accuracy."""
    measures = simulate([deployment], events=4e5, replications=8, seed=3)
    names = [name.split("/")[0] for name in measures.chain_names or ()]
    lost, offered, variance = ({name: 0.0 for name in names} for _ in range(3))
    for row, name in enumerate(names):
        jobs = float(measures.chain["offered"][row])
        offered[name] += jobs
        lost[name] += float(measures.chain["lost"][row])
        variance[name] += (jobs * float(measures.chain["loss_ratio_se"][row])) ** 2
    ratio = np.array([lost[name] / offered[name] for name in offered])
    error = np.array([np.sqrt(variance[name]) / offered[name] for name in offered])
    return ratio, error, float(measures.chain["accuracy_offered"][0])


@pytest.mark.parametrize("index", range(12))
def test_packed_as_built(index: int) -> None:
    deployment = two_ways() if index == 0 else EarlyExitScenario().sample(index, 5)
    built = pack([expanded_deployment(deployment)])
    packed = Expansion.of(pack([deployment])).batch
    for item in fields(DeploymentBatch):
        found, wanted = getattr(packed, item.name), getattr(built, item.name)
        if found is None:
            continue
        if item.name in BATCH_COLUMNS and found.dtype.kind == "f":
            # The times of fragments are added up in another order.
            assert found == pytest.approx(wanted, rel=1e-12, nan_ok=True), item.name
        elif item.name == "step_weights":
            continue
        else:
            assert np.array_equal(found, wanted), item.name


def test_expanding_many_is_expanding_each() -> None:
    deployments = [two_ways(), *(EarlyExitScenario().sample(index, 1) for index in range(5))]
    together = Expansion.of(pack(deployments))
    apart = [Expansion.of(batch) for batch in pack(deployments)]
    joined = concatenate([part.batch for part in apart])
    for name in BATCH_COLUMNS:
        found, wanted = getattr(together.batch, name), getattr(joined, name)
        if found is not None:
            assert np.array_equal(found, wanted, equal_nan=found.dtype.kind == "f"), name
    assert np.array_equal(together.share, np.concatenate([part.share for part in apart]))


def test_expanded_and_unexpanded_simulate_alike() -> None:
    deployment = two_ways()
    measured = [losses(deployment), losses(expanded_deployment(deployment))]
    (loss, error, _), (expanded, other, _) = measured
    assert np.all(error < 0.02 * loss)  # sharp enough to mean it
    assert np.all(np.abs(loss - expanded) < 4 * np.hypot(error, other))


def test_collected_measures_are_those_of_the_unexpanded() -> None:
    batch = pack([two_ways()])
    parts = simulate([expanded_deployment(two_ways())], events=4e5, replications=8, seed=5)
    whole = SimulationEvaluator(OPTIONS).evaluate_batch(batch)
    found = Expansion.of(batch).collected(parts)
    for name in ("throughput_ratio", "latency", "latency_ratio", "accuracy_offered"):
        wanted = whole.chain[name]
        # The sensor's answers are neither right nor wrong. 3 %: different random numbers.
        assert found.chain[name] == pytest.approx(wanted, rel=0.03, nan_ok=True), name
    assert found.deployment["loss_ratio"] == pytest.approx(whole.deployment["loss_ratio"], rel=0.05)


def test_thresholds_with_independent_draws_expand_to_the_same() -> None:
    deployment = gateway_with_trace(holding=None)
    (loss, error, accuracy), (expanded, other, _) = (
        losses(deployment),
        losses(expanded_deployment(deployment)),
    )
    assert np.all(error < 0.02 * loss)
    assert np.all(np.abs(loss - expanded) < 4 * np.hypot(error, other))
    expansion = Expansion.of(pack([deployment]))
    assert expansion.accuracy.tolist() == [0.8, 0.5]
    assert accuracy == pytest.approx((1 - float(loss[0])) * 0.65, rel=0.01)


def test_correlated_draws_do_not() -> None:
    deployment = gateway_with_trace(holding=60.0)
    (loss, error, _), (expanded, other, _) = (
        losses(deployment),
        losses(expanded_deployment(deployment)),
    )
    assert loss[0] - expanded[0] > 8 * np.hypot(error[0], other[0])


def test_parts_of_regular_arrivals_are_less_regular() -> None:
    deployment = gateway_with_trace(holding=None, scv=0.2)
    scvs = [chain.arrivals.scv for chain in expanded_deployment(deployment).problem.chains]
    assert scvs == pytest.approx([0.6, 0.6])
    assert Expansion.of(pack([deployment])).batch.chain_scv == pytest.approx([0.6, 0.6])


def test_tiny_parts_are_left_out() -> None:
    mix = ExitMix(p=(1e-7, 0.5, 0.5 - 1e-7), accuracy=(0.1, 0.7, 0.9))
    deployment = two_ways(exits={"camera": mix})
    names = [chain.name for chain in expanded_deployment(deployment).problem.chains]
    assert names == ["camera/0/1", "camera/0/3", "camera/1/1", "camera/1/3", "sensor/0/1"]


class _Recorded(Evaluator):
    """Passes everything; remembers what it was asked."""

    def evaluate_batch(self, batch: DeploymentBatch) -> Measures:
        self.batch = batch
        ones = np.ones(len(batch.chain_rate))
        chain = {"throughput_ratio": ones, "loss_ratio": 0 * ones, "latency": ones}
        return Measures.of(batch, "analytic", chain=chain | {"latency_ratio": ones})


def test_plain_chains_reach_the_inner_evaluator_as_they_are() -> None:
    batch = pack([two_ways(exits=None)])
    plain = batch.select([0])
    inner = _Recorded()
    routed = ExpandedEvaluator(inner).evaluate_batch(plain)
    assert routed.chain["throughput_ratio"] == pytest.approx([1.0, 1.0])
    assert not np.any(inner.batch.effects & int(EXPANDED))
    without = replace(plain, effects=plain.effects & ~int(EXPANDED))
    ExpandedEvaluator(inner).evaluate_batch(without)
    assert inner.batch is without


def test_accuracy_is_that_of_the_exits() -> None:
    found = ExpandedEvaluator(_Recorded()).evaluate([two_ways()])
    assert found.chain["accuracy_offered"][0] == pytest.approx(0.3 * 0.6 + 0.2 * 0.7 + 0.5 * 0.9)


def test_exits_without_laws_are_refused() -> None:
    from datagen.evaluation.packing import DeploymentTables

    tables = DeploymentTables(two_ways())
    batch = tables.rows(tables.base_placement()[None], laws=False)
    assert batch.effects[0] & int(Effect.EXITS)
    with pytest.raises(InvalidInputError, match="carry its laws"):
        Expansion.of(batch)


def test_unfused_fragments_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="fuse=false"):
        expanded_deployment(two_ways(fuse=False))


def test_moments_of_packed_laws() -> None:
    laws = [Erlang(mean=2.0, stages=4), Uniform(low=1.0, high=3.0), Gamma(mean=0.5, scv=0.3)]
    laws += [Empirical(values=(1.0, 2.0, 4.0))]
    parameters = [law.parameters() for law in laws]
    start = starts_of(np.array([len(values) for values in parameters]))
    code = np.array([LAW_NAMES.index(law.name) for law in laws])
    mean, variance = law_moments(code, start, np.array([x for p in parameters for x in p]))
    assert mean == pytest.approx([law.mean for law in laws])
    assert variance == pytest.approx([law.scv * law.mean**2 for law in laws])
