"""Power of devices and energy of chains: by hand, conserved, and unknown where it is unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.arrivals import Periodic, Poisson, Recorded
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.evaluation import Measures, pack
from datagen.exits import ExitMix
from datagen.simulator import SimulationOptions, simulate, simulate_batch
from tests.datagen.simulator.systems import deployments

ENGINES = pytest.mark.parametrize("engine", ["numba", "simpy"])


def regular(power: tuple[float, ...] | None, servers: int = 1) -> Deployment:
    """One job per second and 0.25 s of service, so 0.25 servers are busy on average."""
    fragment = Fragment(name="f", service=Deterministic(mean=0.25))
    chain = Chain(name="c", arrivals=Periodic(period=1.0), fragments=(fragment,))
    device = Device(name="d", power=power, servers=servers)
    problem = Problem(devices=(device,), chains=(chain,))
    return Deployment(problem=problem, placement={"c": (("d",),)})


CURVE = (1.0, 2.0, 4.0, 8.0, 9.0, 9.5, 10.0, 11.0, 12.0, 13.0, 14.0)


@ENGINES
@pytest.mark.parametrize(
    ("power", "servers", "watts"),
    [
        ((2.0, 12.0), 1, 4.5),
        ((2.0, 12.0), 5, 2.5),
        ((3.0, 3.0), 1, 3.0),
        (CURVE, 1, 6.0),  # halfway from 20 % to 30 %
        (CURVE, 5, 1.5),  # halfway from idle to 10 %
    ],
)
def test_power_follows_the_curve(engine: Any, power: Any, servers: int, watts: float) -> None:
    measures = simulate([regular(power, servers)], horizon=4000.0, engine=engine)
    assert measures.device["power"][0] == pytest.approx(watts, rel=1e-3)
    assert measures.device["power_se"][0] < 1e-2
    # One job per second completes.
    assert measures.chain["energy"][0] == pytest.approx(watts, rel=2e-3)


def shared(power: dict[str, tuple[float, ...] | None]) -> Deployment:
    """Two lossy chains over three devices, with exits and two paths; a fourth device idles."""
    fragments = (
        Fragment(name="f0", service=Exponential(mean=0.4), exit=Exit()),
        Fragment(name="f1", service=Deterministic(mean=0.5)),
    )
    other = (Fragment(name="g", service=Exponential(mean=0.3)),)
    problem = Problem(
        devices=tuple(Device(name=n, capacity=2, power=power.get(n)) for n in ("a", "b", "c", "e")),
        chains=(
            Chain(name="x", arrivals=Poisson(rate=1.5), fragments=fragments),
            Chain(name="y", arrivals=Poisson(rate=1.0), fragments=other),
        ),
    )
    return Deployment(
        problem=problem,
        placement={"x": (("a", "b"), ("a", "a")), "y": (("b",), ("c",))},
        routing={"x": (0.6, 0.4), "y": (0.5, 0.5)},
        exits={"x": ExitMix(p=(0.3, 0.7))},
    )


KNOWN: dict[str, tuple[float, ...] | None] = {
    "a": (2.0, 7.0),
    "b": CURVE,
    "c": (1.0, 1.5),
    "e": (50.0, 60.0),
}


@ENGINES
@pytest.mark.parametrize("replications", [1, 4])
def test_energy_is_conserved(engine: Any, replications: int) -> None:
    horizon = 4000.0
    measures = simulate([shared(KNOWN)], horizon=horizon, engine=engine, replications=replications)
    chain, device = measures.chain, measures.device
    assert chain["lost"].min() > 100
    # What the idle fourth device draws belongs to none of the chains.
    drawn = device["power"][:3].sum() * 0.95 * horizon
    assert (chain["energy"] * chain["completed"]).sum() == pytest.approx(drawn, rel=1e-12)
    assert device["power"][3] == 50.0
    # Chain x alone is on device a, so it pays for all of that.
    assert chain["energy"][0] * chain["completed"][0] > device["power"][0] * 0.95 * horizon


def test_the_engine_does_not_matter() -> None:
    one, other = (simulate([shared(KNOWN)], horizon=2000.0, engine=e) for e in ("numba", "simpy"))
    for level, names in (("chain", ("energy", "energy_se")), ("device", ("power", "power_se"))):
        for name in names:
            mine, theirs = getattr(one, level)[name], getattr(other, level)[name]
            np.testing.assert_allclose(theirs, mine, rtol=1e-8)


@settings(max_examples=10)
@given(deployments(), st.integers(0, 100))
def test_energy_is_conserved_whatever_the_deployment(drawn: Deployment, seed: int) -> None:
    problem = drawn.problem
    devices = tuple(
        replace(device, power=[(1.0, 4.0), CURVE][k % 2])
        for k, device in enumerate(problem.devices)
    )
    batch = pack([replace(drawn, problem=replace(problem, devices=devices))])
    found = []
    for engine in ("numba", "simpy"):
        options = SimulationOptions(engine=engine, horizon=80.0, windows=8, seed=seed)  # type: ignore[arg-type]
        found.append(simulate_batch(batch, options))
    one, other = found
    for level in ("chain", "device", "window"):
        for name, values in getattr(one, level).items():
            # Standard errors are small differences of sums that agree to 1e-12.
            same = {"rtol": 1e-7, "atol": 1e-9, "err_msg": f"{level} {name}"}
            np.testing.assert_allclose(getattr(other, level)[name], values, **same)
    energy, completed = one.chain["energy"], one.chain["completed"]
    if np.isfinite(energy).all():
        recorded = any(isinstance(chain.arrivals, Recorded) for chain in problem.chains)
        seconds = (1 if recorded else 4) * 0.95 * 80.0
        used = np.unique(batch.step_device)
        joules = one.device["power"][used].sum() * seconds
        assert (energy * completed).sum() == pytest.approx(joules, rel=1e-9)


def test_work_decides_who_pays() -> None:
    # Both chains complete the same jobs on one device; y works three times as long per job.
    works = {"x": 0.1, "y": 0.3}
    chains = tuple(
        Chain(
            name=name,
            arrivals=Periodic(period=1.0),
            fragments=(Fragment(name="f", service=Deterministic(mean=mean)),),
        )
        for name, mean in works.items()
    )
    problem = Problem(devices=(Device(name="d", power=(6.0, 16.0)),), chains=chains)
    deployment = Deployment(problem=problem, placement=dict.fromkeys(works, (("d",),)))
    energy = simulate([deployment], horizon=4000.0).chain["energy"]
    assert energy == pytest.approx([2.5, 7.5], rel=5e-3)  # 6 W + 0.4 * 10 W, shared 1 : 3


def undefined(measures: Measures, level: str, name: str) -> list[bool]:
    return np.isnan(getattr(measures, level)[name]).tolist()


@ENGINES
def test_what_is_unknown_is_not_nothing(engine: Any) -> None:
    # Only chain y uses device c.
    measures = simulate([shared(KNOWN | {"c": None})], horizon=2000.0, engine=engine)
    assert undefined(measures, "chain", "energy") == [False, True]
    assert undefined(measures, "chain", "energy_se") == [False, True]
    assert undefined(measures, "device", "power") == [False, False, True, False]
    # Both use b; the unused device e is nobody's business.
    measures = simulate([shared({"a": (1.0, 2.0), "c": (1.0, 2.0)})], horizon=2000.0, engine=engine)
    assert undefined(measures, "chain", "energy") == [True, True]
    none = simulate([shared({})], horizon=2000.0, engine=engine)
    assert undefined(none, "chain", "energy") == [True, True]
    assert undefined(none, "device", "power") == [True] * 4
    few = simulate([regular((1.0, 2.0))], horizon=20.0, engine=engine)
    assert undefined(few, "chain", "energy") == [True]


def test_a_device_that_never_serves_is_paid_for_alike() -> None:
    # Half of the jobs of each chain find no room on b ever; its 4 W idle cost both the same.
    chains = tuple(
        Chain(
            name=name,
            arrivals=Periodic(period=1.0),
            fragments=(Fragment(name="f", service=Deterministic(mean=0.1), demand=2),),
        )
        for name in "xy"
    )
    devices = (Device(name="a", power=(0.0, 0.0)), Device(name="b", capacity=1, power=(4.0, 9.0)))
    problem = Problem(devices=devices, chains=chains)
    deployment = Deployment(
        problem=problem,
        placement=dict.fromkeys("xy", (("a",), ("b",))),
        routing=dict.fromkeys("xy", (0.5, 0.5)),
    )
    measures = simulate([deployment], horizon=20_000.0)
    assert measures.device["power"].tolist() == [0.0, 4.0]
    energy = measures.chain["energy"] * measures.chain["throughput"]
    assert energy == pytest.approx([2.0, 2.0])


def test_the_standard_error_is_that_of_repeated_runs() -> None:
    batch = pack([shared(KNOWN)] * 60)
    measures = simulate_batch(batch, SimulationOptions(events=20_000, seed=3))
    for level, name, size in (("chain", "energy", 2), ("device", "power", 4)):
        columns = getattr(measures, level)
        values = columns[name].reshape(60, size)[:, :2]
        errors = columns[f"{name}_se"].reshape(60, size)[:, :2]
        # With three degrees of freedom each: the mean of their squares is known to about 10 %.
        spread = np.sqrt((errors**2).mean(axis=0))
        assert spread == pytest.approx(values.std(axis=0, ddof=1), rel=0.4)
        assert (values.std(axis=0) > 0).all()


def test_power_is_packed_with_its_device() -> None:
    batch = pack([shared(KNOWN), regular(None), regular(CURVE)])
    assert batch.counts("power").tolist() == [2, 11, 2, 2, 0, 11]
    assert batch.power_watts.tolist() == [2.0, 7.0, *CURVE, 1.0, 1.5, 50.0, 60.0, *CURVE]
    without = replace(batch, power_start=None, power_watts=None)
    assert undefined(simulate_batch(without, SimulationOptions(events=1e4)), "device", "power") == (
        [True] * 6
    )
