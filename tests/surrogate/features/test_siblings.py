"""Branches of one job: how often all of them find room, and who comes to a device with whom."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from datagen.arrivals import Arrivals, Poisson, Renewal
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Exponential
from datagen.evaluation import pack
from datagen.simulator import simulate
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.branches import Branches
from surrogate.features.siblings import log_passed_together, siblings_here
from tests.surrogate.cases import random_deployments
from tests.surrogate.forks import forked


def fork(
    path: str, service: float = 1.0, *, arrivals: Arrivals | None = None, beside: float = 0.0
) -> Deployment:
    """One parallel chain over devices a, b, ... of room for one; another chain may use them all."""
    devices = tuple(Device(name=name, capacity=1) for name in sorted(set(path)))
    fragments = tuple(
        Fragment(name=f"f{number}", service=Exponential(mean=service))
        for number in range(len(path))
    )
    forked_chain = Chain(
        name="c", arrivals=arrivals or Poisson(rate=1.0), fragments=fragments, parallel=True
    )
    chains, placement = [forked_chain], {"c": (tuple(path),)}
    if beside > 0:
        for device in devices:
            name = f"beside-{device.name}"
            chains.append(Chain(name=name, arrivals=Poisson(rate=beside), fragments=fragments[:1]))
            placement[name] = ((device.name,),)
    return Deployment(problem=Problem(devices=devices, chains=tuple(chains)), placement=placement)


def joined(deployment: Deployment, passed: float) -> float:
    """Share of the first chain's jobs that pass all branches, each of which lets a share pass."""
    arrays, branches = described(deployment)
    log_passed = torch.full((len(arrays.flow_chain),), math.log(passed))
    return float(log_passed_together(arrays, branches, log_passed)[0].exp())


def described(deployment: Deployment) -> tuple[FlowArrays, Branches]:
    arrays = flow_arrays(pack([deployment]))
    assert arrays.branches is not None
    return arrays, arrays.branches


@pytest.mark.parametrize("branches", [2, 3, 4])
def test_far_too_slow_branches_meet_as_often_as_orders_of_them(branches: int) -> None:
    """k! times as often as by chance, since all have had the same time to make room."""
    deployment, passed = fork("abcd"[:branches]), 1e-3
    assert joined(deployment, passed) == pytest.approx(
        math.factorial(branches) * passed**branches, rel=2e-2
    )


@pytest.mark.parametrize("load", [0.05, 0.5, 2.0, 8.0])
def test_branches_without_a_queue_are_exact(load: float) -> None:
    """After an arrival both servers are busy, whoever was let in: only the time since then counts.

    Both are free after a time t with probability (1 - exp(-mu t))^2, at rate 1 of arrivals.
    """
    mu = 1.0 / load
    exact = 1.0 - 2.0 / (1.0 + mu) + 1.0 / (1.0 + 2.0 * mu)
    passed = 1.0 / (1.0 + load)
    assert passed**2 < exact < passed
    assert joined(fork("ab", load), passed) == pytest.approx(exact, rel=1e-3)


def test_it_is_what_simulation_says() -> None:
    deployment = fork("abc", 4.0)
    measures = simulate([deployment], horizon=2e5, seed=3)
    found = joined(deployment, 0.2)
    assert found > 3.0 * 0.2**3
    assert measures.chain["throughput_ratio"][0] == pytest.approx(found, rel=0.05)


def test_who_shares_devices_with_others_is_nearer_to_chance() -> None:
    passed = 0.1
    alone, crowded = joined(fork("abc"), passed), joined(fork("abc", beside=9.0), passed)
    assert 1.2 * passed**3 < crowded < 0.5 * alone


def test_even_arrivals_have_no_times_in_common() -> None:
    even = fork("abc", arrivals=Renewal(mean=1.0, scv=1e-4))
    assert joined(even, 0.1) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("passed", [1e-6, 0.5, 1.0 - 1e-6, 1.0])
def test_the_share_stays_between_its_limits(passed: float) -> None:
    found = joined(fork("abcd"), passed)
    assert passed**4 * (1.0 - 1e-4) <= found <= passed * (1.0 + 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_wherever_branches_are(dtype: torch.dtype) -> None:
    arrays, branches = described(fork("abcdef"))
    values = torch.tensor([0.0, -1e-9, -0.1, -1.0, -30.0, -1e4], dtype=dtype, requires_grad=True)
    log_passed_together(arrays, branches, values).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert bool(values.grad.isfinite().all())
    assert bool((values.grad >= 0.0).all())


def test_a_random_share_of_even_arrivals_is_not_even() -> None:
    """Half of a clock's ticks come after one or two or more of them: their SCV is a half."""
    clock = fork("abc", arrivals=Renewal(mean=1.0, scv=1e-4))
    placement = {"c": (("a", "b", "c"), ("c", "a", "b"))}
    halves = replace(clock, placement=placement, routing={"c": (0.5, 0.5)})
    assert 1.1e-3 < joined(halves, 0.1) < joined(fork("abc"), 0.1)


def test_who_comes_to_a_device_with_whom() -> None:
    """The first fragment is admitted first; coming back on a plain path is no company."""
    arrays, branches = described(fork("abaca"))
    before, after = siblings_here(arrays, branches)
    order = torch.argsort(arrays.step_row)
    assert before[order].tolist() == [0.0, 0.0, 1.0, 0.0, 2.0]
    assert after[order].tolist() == [2.0, 0.0, 1.0, 0.0, 0.0]


def test_steps_of_plain_chains_have_no_siblings() -> None:
    arrays = flow_arrays(pack([forked(own) for own in random_deployments(20, seed=8)]))
    branches = arrays.branches
    assert branches is not None
    before, after = siblings_here(arrays, branches)
    alone = branches.path_branches[branches.flow_path[arrays.step_flow]] == 1
    assert bool(alone.any())
    assert not bool(before[alone].any() or after[alone].any())
    assert float(before.sum()) == float(after.sum()) > 0
