from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.arrivals import arrivals_from_parameters
from datagen.deployment import Deployment, Exit
from datagen.distributions import Deterministic, Exponential, Law, law_from_parameters
from datagen.evaluation import DeploymentBatch, Effect, pack
from datagen.evaluation.packing import DeploymentTables
from datagen.exits import ExitMix, ExitTrace, Thresholds
from tests.datagen.strategies import deployments
from tests.helpers import tandem


@settings(max_examples=30)
@given(deployments())
def test_steps_of_the_batch_are_steps_of_the_deployment(deployment: Deployment) -> None:
    batch = pack([deployment])
    steps = [step for chain in deployment.steps() for path in chain for step in path]
    assert batch.step_device.tolist() == [step.device for step in steps]
    assert batch.step_demand.tolist() == [step.demand for step in steps]
    assert batch.counts("fragment").tolist() == [step.stop - step.start for step in steps]
    counts = [len(path) for chain in deployment.steps() for path in chain]
    assert batch.counts("step").tolist() == counts
    assert batch.counts("path").tolist() == [len(chain) for chain in deployment.steps()]


@settings(max_examples=30)
@given(deployments())
def test_laws_and_arrivals_are_packed_whole(deployment: Deployment) -> None:
    batch = pack([deployment])
    problem = deployment.problem
    for row, chain in enumerate(problem.chains):
        code = batch.chain_arrivals[row]
        start, stop = batch.arrival_parameter_start[row : row + 2]
        process = arrivals_from_parameters(code, batch.arrival_parameter[start:stop])
        assert process == chain.arrivals
        assert batch.chain_rate[row] == process.rate
    row = 0
    for chain, paths in zip(problem.chains, deployment.steps(), strict=True):
        for step in (step for path in paths for step in path):
            device = problem.devices[step.device]
            mean = 0.0
            for place in range(step.start, step.stop):
                start, stop = batch.law_parameter_start[row : row + 2]
                law = law_from_parameters(batch.fragment_law[row], batch.law_parameter[start:stop])
                expected, speed = chain.time_on(place, device)
                assert (law, batch.fragment_speed[row]) == (expected, speed)
                mean += law.mean / speed
                row += 1
            index = int(np.searchsorted(batch.fragment_start, row)) - 1
            decision = deployment.exits.get(chain.name)
            by_thresholds = isinstance(decision, Thresholds) and chain.trace is not None
            if not isinstance(decision, ExitMix) and not by_thresholds:
                assert batch.step_mean[index] == pytest.approx(mean)
    assert row == len(batch.fragment_law)


@settings(max_examples=60)
@given(deployments())
def test_transfers_follow_the_links(deployment: Deployment) -> None:
    batch = pack([deployment])
    problem = deployment.problem
    names = [device.name for device in problem.devices]
    links = {(link.source, link.target): link for link in problem.links}
    expected = []
    for chain, paths in zip(problem.chains, deployment.steps(), strict=True):
        for path in paths:
            for step, after in zip(path, [*path[1:], None], strict=True):
                link = after and links.get((names[step.device], names[after.device]))
                link = None if chain.parallel else link
                output = chain.fragments[step.stop - 1].output
                if link:
                    seconds = link.latency + output / link.bandwidth
                    expected.append((seconds, int(link.release == "start")))
                else:
                    expected.append((0.0, 0))
    assert list(zip(batch.step_delay, batch.step_release, strict=True)) == expected


def same(a: DeploymentBatch, b: DeploymentBatch) -> bool:
    names = [name for name in vars(a) if not name.startswith("step_chain")]
    return all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        if isinstance(getattr(a, name), np.ndarray) and getattr(a, name).dtype.kind == "f"
        else np.array_equal(getattr(a, name), getattr(b, name))
        for name in names
    )


@settings(max_examples=30)
@given(st.lists(deployments(), min_size=2, max_size=4), st.data())
def test_selecting_is_packing_fewer(many: list[Deployment], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(many) - 1), min_size=1, max_size=5))
    selected = pack(many).select(rows)
    assert same(selected, pack([many[row] for row in rows]).with_key(np.array(rows)))


def test_a_return_to_a_device_is_an_effect() -> None:
    batch = pack([tandem(0, 1, 0), tandem(0, 0, 1)])
    assert (batch.effects & int(Effect.REVISIT) > 0).tolist() == [True, False]


@pytest.mark.parametrize(
    ("head", "decision", "is_random"),
    [
        (Exponential(mean=0.1), ExitMix(p=(0.5, 0.5)), True),
        (Deterministic(mean=0.1), ExitMix(p=(0.5, 0.5)), False),
        (Exponential(mean=0.1), Thresholds(tau=(0.5,)), True),
        (Exponential(mean=0.1), Thresholds(tau=(2.0,)), False),
        (Exponential(mean=0.1), None, False),
    ],
)
def test_an_open_classifier_of_random_work_is_a_random_service(
    head: Law, decision: ExitMix | Thresholds | None, is_random: bool
) -> None:
    plain = tandem(0, 1)
    chain = plain.problem.chains[0]
    first = replace(chain.fragments[0], exit=Exit(head=head))
    chain = replace(chain, fragments=(first, chain.fragments[1]), trace="t")
    trace = ExitTrace(name="t", confidences=np.ones((2, 2)), correct=np.ones((2, 2), dtype=bool))
    problem = replace(plain.problem, chains=(chain,), traces=(trace,))
    exits = None if decision is None else {chain.name: decision}
    batch = pack([Deployment(problem=problem, placement=plain.placement, exits=exits)])
    assert bool(batch.effects[0] & int(Effect.RANDOM_SERVICE)) == is_random


def test_batches_are_read_only() -> None:
    batch = pack([tandem(0)])
    with pytest.raises(ValueError, match="read-only"):
        batch.chain_rate[0] = 2.0


@settings(max_examples=40)
@given(deployments(), st.data())
def test_memory_holds_a_fragment_once_per_device(base: Deployment, data: st.DataObject) -> None:
    tables = DeploymentTables(base)
    device = st.integers(0, len(base.problem.devices) - 1)
    row = st.lists(device, min_size=len(tables.slots), max_size=len(tables.slots))
    placement = np.array(data.draw(st.lists(row, min_size=1, max_size=3)), dtype=np.int32)
    expected = np.zeros((len(placement), len(base.problem.devices)))
    for index, devices in enumerate(placement.tolist()):
        held = set(zip(tables.slots, devices, strict=True))
        for (chain, fragment), host in held:
            expected[index, host] += base.problem.chains[chain].fragments[fragment].weights
    assert tables.hosted(placement) == pytest.approx(expected)
    memory = [np.inf if d.memory is None else d.memory for d in base.problem.devices]
    excess = np.maximum(expected - memory, 0.0).sum(axis=1)
    assert tables.memory_excess(placement) == pytest.approx(excess)
    # Placing the slots one by one adds up to the same.
    partial, total = np.full_like(placement, -1), np.zeros_like(expected)
    rows = np.arange(len(placement))
    for slot in range(placement.shape[1]):
        added = tables.added(partial, np.full(len(placement), slot))
        total[rows, placement[:, slot]] += added[rows, placement[:, slot]]
        partial[:, slot] = placement[:, slot]
    assert total == pytest.approx(expected)
