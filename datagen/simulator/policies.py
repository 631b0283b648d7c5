"""Simulating online exit policies: a deployment, a policy per chain, the usual measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datagen.deployment import Chain, Deployment
from datagen.errors import require
from datagen.evaluation import DeploymentBatch, Measures, pack
from datagen.exits import ExitTrace, Thresholds
from datagen.policies.exit_policy import ExitPolicy, Scene, Stage
from datagen.simulator.options import SimulationOptions
from datagen.simulator.routes import Part, Routes
from datagen.simulator.simpy_decisions import Decided, DecisionCost, PolicyChain
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.simulation import simulate_batch
from datagen.simulator.sources import chain_routes

__all__ = ["PolicyRun", "policy_scene", "simulate_policies"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PolicyRun:
    """What came of a deployment under online policies.

    Args:
        measures: As of any simulation.
        costs: Chain -> processor time that its policy took.
        mixes: Chain -> share of its completed jobs that left at each exit [E].
    """

    measures: Measures
    costs: dict[str, DecisionCost]
    mixes: dict[str, Floats]


def simulate_policies(
    deployment: Deployment,
    policies: Mapping[str, ExitPolicy],
    options: SimulationOptions,
    *,
    calibration: Mapping[str, ExitTrace] | None = None,
) -> PolicyRun:
    """Simulate a deployment whose exits are decided online.

    Every policy meets the same arrivals, paths, samples and quantiles of service, job by job.

    Args:
        deployment: The deployment; what it says of the exits of the chains with a policy is not
            looked at.
        policies: Chain -> its policy; chains without one are played as the deployment says.
        options: How long, how often; the engine is always the readable one.
        calibration: Chain -> what its policy knows of the network; by default the trace itself,
            which jobs then meet exactly as profiled.

    Returns:
        The measures, and what deciding took.

    Raises:
        InvalidInputError: If a policy is for no chain, for one without a trace, or for one on an
            accelerator.
    """
    names = [chain.name for chain in deployment.problem.chains]
    strange = sorted(set(policies) - set(names))
    require(not strange, "policies", f"be for chains among {names}", strange)
    opened = _opened(deployment, set(policies))
    batch = pack([opened])
    chains = {}
    for row, chain in enumerate(opened.problem.chains):
        if chain.name in policies:
            trace = _trace(opened, chain)
            known = (calibration or {}).get(chain.name, trace)
            exits = known.exits == trace.exits
            require(exits, f"calibration.{chain.name}", f"have {trace.exits} exits", known.exits)
            chains[row] = PolicyChain(
                policy=policies[chain.name],
                scene=scene_of(batch, row, known),
                trace=trace,
                order=_order(chain, trace),
            )
    engine = SimpyEngine(Decided(chains))
    measures = simulate_batch(batch, replace(options, engine="simpy"), engine=engine)
    return PolicyRun(
        measures=measures,
        costs={names[row]: chain.cost for row, chain in chains.items()},
        mixes={names[row]: chain.left / max(chain.left.sum(), 1) for row, chain in chains.items()},
    )


def policy_scene(deployment: Deployment, chain: str, calibration: ExitTrace) -> Scene:
    """Return what a chain's policy will be told, for what is made in advance.

    Args:
        deployment: The deployment.
        chain: Name of the chain.
        calibration: What is known of its network.

    Returns:
        The scene.

    Raises:
        InvalidInputError: If there is no such chain, or it has no trace, or uses an accelerator.
    """
    names = [own.name for own in deployment.problem.chains]
    require(chain in names, "chain", f"be one of {names}", chain)
    batch = pack([_opened(deployment, {chain})])
    return scene_of(batch, names.index(chain), calibration)


def _opened(deployment: Deployment, decided: AbstractSet[str]) -> Deployment:
    """Return the deployment with every classifier of some chains open, so that all are packed."""
    exits = dict(deployment.exits or {})
    for chain in deployment.problem.chains:
        if chain.name in decided:
            named = chain.trace is not None
            require(named, f"{chain.name}.trace", "be named where a policy decides", chain.trace)
            _check_placement(deployment, chain)
            classifiers = sum(fragment.exit is not None for fragment in chain.fragments)
            exits[chain.name] = Thresholds(tau=(0.0,) * classifiers)
    return replace(deployment, exits=exits)


def _check_placement(deployment: Deployment, chain: Chain) -> None:
    """Check that a decided chain stays off accelerators: there a batch is served, not a job."""
    accelerators = {own.name for own in deployment.problem.devices if own.npu is not None}
    used = accelerators & {name for path in deployment.placement[chain.name] for name in path}
    rule = "keep off accelerators where a policy decides"
    require(not used, f"{chain.name}.placement", rule, sorted(used))


def _trace(deployment: Deployment, chain: Chain) -> ExitTrace:
    return next(trace for trace in deployment.problem.traces if trace.name == chain.trace)


def _order(chain: Chain, trace: ExitTrace) -> NDArray[np.int64]:
    """Return the rows of a trace in the order that the samples of its chain are numbered by."""
    if chain.contexts is None or trace.context is None:
        return np.arange(trace.samples)
    return np.argsort(trace.context, kind="stable")


def scene_of(batch: DeploymentBatch, row: int, calibration: ExitTrace) -> Scene:
    """Return what the policy of a chain is told in advance.

    Args:
        batch: Packed deployments with their laws, every classifier of the chain open.
        row: Row of the chain.
        calibration: What is known of its network.

    Returns:
        The scene.
    """
    routes = chain_routes(batch, row)
    deployment = int(np.searchsorted(batch.chain_start, row, side="right")) - 1
    first_device = int(batch.device_start[deployment])
    paths = range(int(batch.path_start[row]), int(batch.path_start[row + 1]))
    stages: list[Stage] = []
    starts = [0]
    rates = _device_rates(batch, deployment)
    for path, steps in zip(paths, routes.paths, strict=True):
        for place, parts in enumerate(steps):
            step = int(batch.step_start[path]) + place
            device = first_device + int(batch.step_device[step])
            demand = float(batch.step_demand[step])
            stages.append(
                _stage(
                    parts,
                    routes,
                    device=device - first_device,
                    capacity=float(np.floor(batch.device_capacity[device] / demand)),
                    servers=int(batch.device_servers[device]),
                    rate=rates[int(batch.step_device[step])],
                )
            )
        starts.append(len(stages))
    return Scene(stages=tuple(stages), calibration=calibration, path_start=tuple(starts))


def _device_rates(batch: DeploymentBatch, deployment: int) -> dict[int, float]:
    """Return the rate of jobs at each device if none left or were lost before [1/s]."""
    rates: dict[int, float] = {}
    first, last = batch.chain_start[deployment : deployment + 2].tolist()
    for path in range(int(batch.path_start[first]), int(batch.path_start[last])):
        chain = int(np.searchsorted(batch.path_start, path, side="right")) - 1
        rate = float(batch.chain_rate[chain] * batch.path_probability[path])
        steps = slice(batch.step_start[path], batch.step_start[path + 1])
        for used in np.unique(batch.step_device[steps]).tolist():
            rates[used] = rates.get(used, 0.0) + rate
    return rates


def _stage(
    parts: Sequence[Part],
    routes: Routes,
    *,
    device: int,
    capacity: float,
    servers: int,
    rate: float,
) -> Stage:
    """Return a step as its policy knows it."""
    ends = routes.exit_fragment[::2].tolist()  # each exit stands there twice: wrong and right
    fragments = sorted({part.fragment for part in parts})
    inside = [end for end in ends if end in fragments]
    is_final = fragments[-1] == ends[-1]
    options = inside if is_final else [*inside, fragments[-1]]
    work = [[p for p in parts if not p.head and p.fragment <= end] for end in options]
    heads = [[p for p in parts if p.head and p.fragment == end] for end in inside]
    heads += [[]] * (len(options) - len(inside))
    return Stage(
        device=device,
        capacity=capacity,
        servers=servers,
        rate=rate,
        first_exit=sum(end < fragments[0] for end in ends),
        is_final=is_final,
        work=np.array([sum(p.mean for p in own) for own in work]),
        variance=np.array([sum(p.law.scv * p.mean**2 for p in own) for own in work]),
        head=np.array([sum(p.mean for p in own) for own in heads]),
        head_variance=np.array([sum(p.law.scv * p.mean**2 for p in own) for own in heads]),
    )
