"""What every online exit policy has to keep, and the small systems it is shown on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, LogNormal
from datagen.exits import ExitTrace
from datagen.exits.synthetic import SyntheticExits
from datagen.policies.exit_policy import Decision, ExitPolicy, Outcome, Scene, Seen
from datagen.policies.single_exits import ExitLast
from datagen.simulator.options import SimulationOptions
from datagen.simulator.policies import PolicyRun, simulate_policies

CHAIN = "camera"
OPTIONS = SimulationOptions(offered=500.0, replications=2, seed=3)


def recorded(seed: int, samples: int = 400) -> ExitTrace:
    """A trace of four exits and two contexts."""
    accuracy = [[0.6, 0.75, 0.85, 0.92], [0.4, 0.55, 0.7, 0.8]]
    return SyntheticExits.of_accuracy(accuracy).sample(samples, seed=seed, name="trace")


def system(edges: bool, rate: float = 1.1) -> Deployment:
    """A network of four exits on a gateway, or its first half there and the rest on two edges."""
    exit_ = Exit(head=Deterministic(mean=0.02))
    fragments = tuple(
        Fragment(
            name=f"f{n}",
            service=LogNormal(mean=mean, scv=0.2),
            exit=exit_ if n < 3 else None,
        )
        for n, mean in enumerate((0.1, 0.2, 0.4, 0.6))
    )
    names = ("gateway", "near", "far") if edges else ("gateway",)
    paths = (("gateway",) * 4,)
    if edges:
        paths = tuple(("gateway", "gateway", edge, edge) for edge in ("near", "far"))
    chain = Chain(name=CHAIN, arrivals=Poisson(rate=rate), fragments=fragments, trace="trace")
    return Deployment(
        problem=Problem(
            devices=tuple(Device(name=name, capacity=4) for name in names),
            chains=(chain,),
            traces=(recorded(1),),
        ),
        placement={CHAIN: paths},
        routing={CHAIN: (0.5, 0.5)} if edges else None,
    )


class Watched(ExitPolicy):
    """Passes everything on to a policy, and keeps what it was told and what it decided."""

    def __init__(self, inner: ExitPolicy) -> None:
        self.inner = inner

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self.scene = scene
        self.decided: list[tuple[Seen, Decision]] = []
        self.outcomes: list[Outcome] = []
        self.arrivals: list[tuple[int, float, bool]] = []
        self.inner.begin(scene, rng)

    def decide(self, seen: Seen) -> Decision:
        decision = self.inner.decide(seen)
        self.decided.append((seen, decision))
        return decision

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        self.arrivals.append((device, time, admitted))
        self.inner.arrived(device, time, admitted)

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.inner.finished(outcome)


def played(policy: ExitPolicy, *, edges: bool, options: SimulationOptions = OPTIONS) -> PolicyRun:
    """What comes of a policy that knows another trace of the same network."""
    known = {CHAIN: recorded(2)}
    return simulate_policies(system(edges), {CHAIN: policy}, options, calibration=known)


class ExitPolicyContract:
    """Run on every policy, on a gateway alone and with edges."""

    def check(self, make: Callable[[bool], ExitPolicy], *, edges: bool) -> None:
        """Play a policy and look at all it does."""
        policy = Watched(make(edges))
        run = played(policy, edges=edges)
        self.decisions_are_proper(policy)
        self.jobs_are_conserved(policy, run)
        self.draws_are_those_of_any_policy(run, edges=edges)
        self.a_run_is_forgotten(policy, run, edges=edges)
        assert run.costs[CHAIN].decisions >= len(policy.decided) > 0
        assert run.costs[CHAIN].per_decision > 0

    def decisions_are_proper(self, policy: Watched) -> None:
        """A threshold per classifier of the stage, none undefined; states are possible."""
        for seen, decision in policy.decided:
            stage = policy.scene.stages[seen.stage]
            assert len(decision.thresholds) == stage.classifiers
            assert all(np.isfinite(x) and x >= 0 for x in decision.thresholds)
            assert 1 <= seen.busy <= stage.servers
            assert seen.busy <= seen.jobs <= stage.capacity

    def jobs_are_conserved(self, policy: Watched, run: PolicyRun) -> None:
        """Every job comes to one end, and leaves where its thresholds say."""
        chain = run.measures.chain
        assert chain["offered"][0] == chain["completed"][0] + chain["lost"][0]
        assert run.mixes[CHAIN].sum() == 1 or np.isclose(run.mixes[CHAIN].sum(), 1.0)
        assert 0 <= chain["accuracy_offered"][0] <= chain["accuracy_completed"][0] <= 1
        for outcome in policy.outcomes:
            thresholds = {
                policy.scene.stages[made.stage].first_exit + place: threshold
                for made in outcome.made
                for place, threshold in enumerate(made.decision.thresholds)
            }
            asked = outcome.asked if outcome.exit is None else outcome.asked[:-1]
            assert all(confidence < thresholds[exit_] for exit_, confidence in asked)
            if outcome.exit is not None:
                last, confidence = outcome.asked[-1]
                assert last == outcome.exit
                assert confidence >= thresholds.get(last, 0.0)

    def draws_are_those_of_any_policy(self, run: PolicyRun, *, edges: bool) -> None:
        """Whatever a policy draws, the same jobs come at the same times."""
        other = played(ExitLast(), edges=edges)
        assert run.measures.chain["offered"][0] == other.measures.chain["offered"][0]

    def a_run_is_forgotten(self, policy: Watched, run: PolicyRun, *, edges: bool) -> None:
        """The same object plays the same again, and draws from its own stream alone."""
        before = np.random.get_state()[1].tolist()  # noqa: NPY002 - that it is left alone
        again = played(policy, edges=edges)
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
        for name, values in run.measures.chain.items():
            assert np.array_equal(values, again.measures.chain[name], equal_nan=True), name
