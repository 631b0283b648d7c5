"""Policies in the readable engine: the null policy changes nothing, and states are true."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import BatchConfig, Deployment, Npu
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.exits import ContextSwitching, ExitTrace, Thresholds
from datagen.npu import BatchTable
from datagen.policies.exit_policy import Decision, ExitPolicy, Outcome, Scene, Seen
from datagen.policies.single_exits import ExitFirst, ExitLast, FixedThresholds
from datagen.simulator import simulate
from datagen.simulator.options import SimulationOptions
from datagen.simulator.policies import policy_scene, scene_of, simulate_policies
from datagen.simulator.simpy_decisions import Decided, PolicyChain
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import RunLength
from tests.datagen.policies.contract import CHAIN, Watched, played, recorded, system
from tests.datagen.simulator.accelerated import one_accelerator
from tests.datagen.simulator.systems import packed, same_bits

TAU = (0.8, 1.01, 0.7)


def thresholded(edges: bool, *, contexts: bool, priority: bool) -> Deployment:
    """The system under fixed thresholds, with what may make a difference."""
    deployment = system(edges, rate=2.0)
    chain = deployment.problem.chains[0]
    if contexts:
        chain = replace(chain, contexts=ContextSwitching(holding=(20.0, 10.0), by="jobs"))
    devices = deployment.problem.devices
    if priority:
        devices = tuple(replace(device, discipline="priority") for device in devices)
    problem = replace(deployment.problem, chains=(chain,), devices=devices)
    return replace(deployment, problem=problem, exits={CHAIN: Thresholds(tau=TAU)})


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize(("contexts", "priority"), [(False, False), (True, False), (False, True)])
def test_constant_thresholds_are_event_for_event_those_of_the_deployment(
    edges: bool, contexts: bool, priority: bool
) -> None:
    deployment = thresholded(edges, contexts=contexts, priority=priority)
    length = RunLength.of(5.0, 400.0)
    plain = SimpyEngine().run(*packed(deployment, 3), length, log=True)
    opened = replace(deployment, exits={CHAIN: Thresholds(tau=(0.0,) * 3)})
    trace = deployment.problem.traces[0]
    assert trace.context is not None
    order = np.argsort(trace.context, kind="stable") if contexts else np.arange(trace.samples)
    chain = PolicyChain(
        policy=FixedThresholds(TAU),
        scene=scene_of(pack([opened]), 0, trace),
        trace=trace,
        order=order,
    )
    decided = SimpyEngine(Decided({0: chain})).run(*packed(opened, 3), length, log=True)
    same_bits(plain, decided)


def test_other_chains_may_be_served_in_batches() -> None:
    deployment = thresholded(True, contexts=False, priority=False)
    batched = one_accelerator(
        [[0.2, 0.25], [0.1, 0.15]],
        BatchConfig(policy="dynamic", max_batch=2, timeout=0.3),
        rate=3.0,
        mix=(0.4, 0.6),
    )
    problem = replace(
        deployment.problem,
        chains=(*deployment.problem.chains, *batched.problem.chains),
        devices=(*deployment.problem.devices, *batched.problem.devices),
    )
    both = Deployment(
        problem=problem,
        placement=dict(deployment.placement) | dict(batched.placement),
        routing=dict(deployment.routing or {}) | dict(batched.routing or {}),
        exits=dict(deployment.exits or {}) | dict(batched.exits or {}),
        batching=batched.batching,
    )
    options = SimulationOptions(horizon=800.0, replications=2, seed=5)
    run = simulate_policies(both, {CHAIN: FixedThresholds(TAU)}, options)
    plain = simulate([both], engine="simpy", horizon=800.0, replications=2, seed=5)
    assert plain.device["batch"][-1] > 1.1
    for name in ("offered", "lost", "latency"):
        assert run.measures.chain[name] == pytest.approx(plain.chain[name], rel=1e-12), name
    assert run.measures.device["batch"][-1] == plain.device["batch"][-1]


def test_measures_are_those_of_a_plain_simulation() -> None:
    deployment = thresholded(True, contexts=True, priority=False)
    options = SimulationOptions(horizon=800.0, replications=2, seed=5)
    run = simulate_policies(deployment, {CHAIN: FixedThresholds(TAU)}, options)
    plain = simulate([deployment], engine="simpy", horizon=800.0, replications=2, seed=5)
    for name in ("offered", "lost", "latency", "p95", "accuracy_offered", "accuracy_offered_se"):
        assert run.measures.chain[name] == pytest.approx(plain.chain[name], rel=1e-12), name


class Counting(ExitPolicy):
    """Sends all jobs to the end, and keeps the count of jobs by what it is told."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene, self.present, self.most = scene, 0, 0

    def decide(self, seen: Seen) -> Decision:
        self.most = max(self.most, seen.jobs)
        # A job frees its server, which takes the next one, before its own end is told.
        told = self.present - (seen.jobs < self.present)
        assert seen.jobs == told
        assert seen.waiting == seen.jobs - 1
        return self.scene.stages[seen.stage].single[-1]

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        self.present += admitted

    def finished(self, outcome: Outcome) -> None:
        self.present -= outcome.exit is not None


def test_a_policy_sees_the_true_queue() -> None:
    policy = Counting()
    run = simulate_policies(
        system(False, rate=2.0), {CHAIN: policy}, SimulationOptions(horizon=500.0, replications=1)
    )
    assert policy.most == 3  # one has just left wherever a buffer of 4 was full
    assert run.measures.chain["loss_ratio"][0] > 0.1


def test_confidences_of_classifiers_that_are_not_asked_stay_unknown() -> None:
    policy = Watched(FixedThresholds(TAU))
    played(policy, edges=False)
    asked = {exit_ for outcome in policy.outcomes for exit_, _ in outcome.asked}
    assert asked == {0, 2, 3}  # the second classifier is closed


def test_a_stage_is_what_was_profiled() -> None:
    first, edge, *_ = policy_scene(system(True), CHAIN, recorded(2)).stages
    assert first.times == pytest.approx([0.12, 0.32, 0.3])  # passing on asks nobody
    assert first.variances == pytest.approx([0.2 * 0.01, 0.2 * 0.05, 0.2 * 0.05])
    assert (first.capacity, first.rate, first.first_exit, first.is_final) == (4, 1.1, 0, False)
    assert edge.times == pytest.approx([0.42, 1.0])
    assert (edge.rate, edge.first_exit, edge.is_final) == (pytest.approx(0.55), 2, True)


def test_a_policy_does_not_disturb_other_chains() -> None:
    deployment = system(False, rate=0.5)
    other = replace(deployment.problem.chains[0], name="other")
    chains = (*deployment.problem.chains, other)
    both = replace(
        deployment,
        problem=replace(deployment.problem, chains=chains),
        placement=dict(deployment.placement) | {"other": deployment.placement[CHAIN]},
        exits={"other": Thresholds(tau=TAU)},
    )
    options = SimulationOptions(horizon=600.0, replications=1)
    hasty, thorough = (
        simulate_policies(both, {CHAIN: policy}, options) for policy in (ExitFirst(), ExitLast())
    )
    # The other chain meets the same jobs, and fares the better the less the first one takes.
    offered = [run.measures.chain["offered"][1] for run in (hasty, thorough)]
    assert offered[0] == offered[1]
    latency = [run.measures.chain["latency"][1] for run in (hasty, thorough)]
    assert latency[0] < latency[1]
    assert set(hasty.costs) == {CHAIN}


def test_what_cannot_be_decided_is_refused() -> None:
    deployment, options = system(False), SimulationOptions(horizon=100.0)
    with pytest.raises(InvalidInputError, match="policies must be for chains among"):
        simulate_policies(deployment, {"nobody": ExitLast()}, options)
    chain = replace(deployment.problem.chains[0], trace=None)
    untraced = replace(deployment, problem=replace(deployment.problem, chains=(chain,)))
    with pytest.raises(InvalidInputError, match=r"camera\.trace must be named"):
        simulate_policies(untraced, {CHAIN: ExitLast()}, options)
    table = BatchTable(seconds=np.ones((4, 1)))
    device = replace(deployment.problem.devices[0], npu=Npu(table=table))
    batched = replace(deployment, problem=replace(deployment.problem, devices=(device,)))
    with pytest.raises(InvalidInputError, match=r"camera\.placement must keep off accelerators"):
        simulate_policies(batched, {CHAIN: ExitLast()}, options)
    short = ExitTrace(name="t", confidences=[[0.5, 1.0]], correct=[[0, 1]])
    with pytest.raises(InvalidInputError, match=r"calibration\.camera must have 4 exits"):
        simulate_policies(deployment, {CHAIN: ExitLast()}, options, calibration={CHAIN: short})
