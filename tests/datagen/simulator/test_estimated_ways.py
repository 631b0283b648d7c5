"""What jobs take with links, several paths and early exits on their way, as estimates tell it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Periodic, Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.errors import NotSupportedError
from datagen.evaluation import pack
from datagen.exits import ExitMix, ExitTrace, Thresholds
from datagen.simulator import simulate


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_links_count_in_the_latency_with_and_without_load(engine: Any) -> None:
    # Hardly any load: 0.5 s and 0.25 s of service, 0.1 s + 2e6 B / 4e6 B/s on the way.
    fragments = tuple(
        Fragment(name=f"f{k}", service=Deterministic(mean=mean), output=2e6)
        for k, mean in enumerate((0.5, 0.25))
    )
    chain = Chain(name="c", arrivals=Periodic(period=10.0), fragments=fragments)
    problem = Problem(
        devices=(Device(name="a"), Device(name="b")),
        chains=(chain,),
        links=(Link(source="a", target="b", bandwidth=4e6, latency=0.1),),
    )
    deployment = Deployment(problem=problem, placement={"c": (("a", "b"),)})
    measures = simulate([deployment], horizon=10_000.0, engine=engine)
    assert measures.chain["latency"][0] == pytest.approx(1.35)
    assert measures.chain["latency_ratio"][0] == pytest.approx(1.0)
    assert measures.device["jobs"] == pytest.approx([0.05, 0.025], rel=1e-2)
    assert measures.device["units"] == pytest.approx([0.11, 0.025], rel=1e-2)


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_paths_count_by_the_jobs_that_complete_on_them(engine: Any) -> None:
    # Hardly any load: 1 s on device a, 2 s and a link of 0.5 s over b and a.
    fragments = tuple(Fragment(name=f"f{k}", service=Deterministic(mean=0.5)) for k in range(2))
    chain = Chain(name="c", arrivals=Periodic(period=10.0), fragments=fragments)
    problem = Problem(
        devices=(Device(name="a"), Device(name="b", speed=1.0 / 3.0)),
        chains=(chain,),
        links=(Link(source="b", target="a", bandwidth=1.0, latency=0.5),),
    )
    deployment = Deployment(
        problem=problem, placement={"c": (("a", "a"), ("b", "a"))}, routing={"c": (0.25, 0.75)}
    )
    measures = simulate([deployment], horizon=40_000.0, engine=engine)
    assert measures.chain["latency"][0] == pytest.approx(0.25 * 1.0 + 0.75 * 2.5, rel=0.05)
    assert measures.chain["latency_ratio"][0] == pytest.approx(1.0)
    assert measures.step["sojourn_completed"] == pytest.approx([1.0, 1.5, 0.5])
    assert measures.step["offered"].sum() == pytest.approx(1.75 * 3800, rel=0.03)


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_exits_shorten_the_way_and_decide_the_accuracy(engine: Any) -> None:
    # Hardly any load. Exit 0 after 0.5 s + 0.1 s of head on device a; else 0.5 s more on b, whose
    # one place is taken by another chain half of the time: these jobs are lost there.
    fragments = (
        Fragment(
            name="f0",
            service=Deterministic(mean=0.5),
            exit=Exit(head=Deterministic(mean=0.1)),
        ),
        Fragment(name="f1", service=Deterministic(mean=0.5)),
    )
    other = Fragment(name="f", service=Exponential(mean=100.0))
    problem = Problem(
        devices=(Device(name="a"), Device(name="b", capacity=1)),
        chains=(
            Chain(name="c", arrivals=Periodic(period=10.0), fragments=fragments),
            Chain(name="d", arrivals=Poisson(rate=0.01), fragments=(other,)),
        ),
    )
    deployment = Deployment(
        problem=problem,
        placement={"c": (("a", "b"),), "d": (("b",),)},
        exits={"c": ExitMix(p=(0.6, 0.4), accuracy=(0.5, 1.0))},
    )
    measures = simulate([deployment], horizon=400_000.0, engine=engine)
    chain, step = measures.chain, measures.step
    early, late = 0.6, 0.4 * (1.0 - step["lost"][1] / step["offered"][1])
    assert 0.4 < step["lost"][1] / step["offered"][1] < 0.6
    completed = chain["completed"][0] / chain["offered"][0]
    assert completed == pytest.approx(early + late, rel=0.01)
    right = (0.5 * early + late) / (early + late)
    assert chain["accuracy_completed"][0] == pytest.approx(right, rel=0.01)
    assert chain["accuracy_offered"][0] == pytest.approx(0.5 * early + late, rel=0.01)
    assert np.isnan(chain["accuracy_completed"][1])
    assert chain["latency_ratio"][0] == pytest.approx(1.0)
    assert chain["latency"][0] == pytest.approx(
        (0.6 * early + 1.1 * late) / (early + late), rel=0.01
    )
    assert step["sojourn_completed"][:2] == pytest.approx([0.6, 0.5])
    assert step["offered"][1] == pytest.approx(0.4 * chain["offered"][0], rel=0.03)


def thresholds(trace: str | None) -> Deployment:
    """A lossless chain of two fragments; of four samples two leave early, one of them wrongly."""
    fragments = (
        Fragment(name="f0", service=Deterministic(mean=0.5), exit=Exit()),
        Fragment(name="f1", service=Deterministic(mean=0.5)),
    )
    recorded = ExitTrace(
        name="t",
        confidences=np.array([[0.9, 0.5], [0.8, 0.5], [0.1, 0.5], [0.2, 0.5]]),
        correct=np.array([[1, 0], [0, 1], [1, 1], [1, 1]], dtype=bool),
    )
    chain = Chain(name="c", arrivals=Poisson(rate=0.2), fragments=fragments, trace=trace)
    problem = Problem(devices=(Device(name="a"),), chains=(chain,), traces=(recorded,))
    return Deployment(
        problem=problem, placement={"c": (("a", "a"),)}, exits={"c": Thresholds(tau=(0.8,))}
    )


@pytest.mark.parametrize("engine", ["numba", "simpy"])
def test_accuracy_is_measured_where_thresholds_decide(engine: Any) -> None:
    measures = simulate([thresholds("t")], horizon=50_000.0, engine=engine)
    chain = measures.chain
    for name in ("accuracy_completed", "accuracy_offered"):
        assert abs(chain[name][0] - 0.75) <= 4 * chain[f"{name}_se"][0]
        assert 0 < chain[f"{name}_se"][0] < 0.02
    batch = pack([thresholds("t")])
    assert (batch.step_mean[0], batch.step_scv[0]) == (0.75, pytest.approx(1.0 / 9.0))


def test_thresholds_without_a_trace_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="thresholds without a trace"):
        simulate([thresholds(None)], horizon=10.0)
