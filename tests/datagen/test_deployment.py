from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from datagen.deployment import BatchConfig, Deployment, Device, Fragment, Link, Step
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from tests.helpers import tandem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name must be a non-empty text"),
        ({"speed": 0}, "speed must be finite and > 0, got speed=0"),
        ({"speed": float("nan")}, "speed must be finite"),
        ({"servers": 0}, "servers must be a whole number >= 1"),
        ({"capacity": 0}, "capacity must be a whole number >= 1, got capacity=0"),
        ({"capacity": 1.5}, "capacity must be a whole number"),
        ({"memory": -1}, "memory must be finite and >= 0"),
        ({"discipline": "lifo"}, "discipline must be one of fcfs, priority, ps"),
        ({"power": (1, 2, 3)}, "power must hold 2 or 11 values"),
        ({"servers": 2, "speedup": (1,)}, "speedup must hold 2 values"),
    ],
)
def test_devices_refuse_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Device(**{"name": "d"} | fields)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fragment(name="f", service=3), "service must be a law"),  # type: ignore[arg-type]
        (lambda: Link(source="a", target="a", bandwidth=1), "target must differ from source"),
        (lambda: Link(source="a", target="b", bandwidth=0), "bandwidth must be finite and > 0"),
        (lambda: BatchConfig(policy="dynamic", max_batch=0), "max_batch must be a whole number"),
    ],
)
def test_parts_refuse_what_has_no_meaning(build: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build()


def test_numbers_are_kept_in_one_form() -> None:
    device = Device(name="d", capacity=512e0, speed=2, memory=5)  # type: ignore[arg-type]
    assert (device.capacity, type(device.capacity)) == (512, int)
    assert (type(device.speed), type(device.memory)) == (float, float)


@pytest.mark.parametrize(
    ("hosts", "fuse", "spans"),
    [
        ((0, 0, 1, 0), True, [(0, 0, 2), (1, 2, 3), (0, 3, 4)]),
        ((0, 0, 1, 0), False, [(0, 0, 1), (0, 1, 2), (1, 2, 3), (0, 3, 4)]),
        ((0, 0, 0), True, [(0, 0, 3)]),
    ],
)
def test_steps_are_maximal_runs(
    hosts: tuple[int, ...], fuse: bool, spans: list[tuple[int, int, int]]
) -> None:
    (((path),),) = replace(tandem(*hosts), fuse=fuse).steps()
    assert path == tuple(Step(device=d, start=a, stop=b, demand=1) for d, a, b in spans)


def test_a_step_takes_the_largest_demand_of_its_run() -> None:
    base = tandem(0, 0, 1)
    fragments = [
        replace(fragment, demand=demand)
        for fragment, demand in zip(base.problem.chains[0].fragments, (1, 3, 2), strict=True)
    ]
    chain = replace(base.problem.chains[0], fragments=tuple(fragments))
    deployment = replace(base, problem=replace(base.problem, chains=(chain,)))
    assert [step.demand for step in deployment.steps()[0][0]] == [3, 2]


def test_deployments_are_values() -> None:
    deployment = tandem(0, 1)
    assert pickle.loads(pickle.dumps(deployment)) == deployment
    assert hash(deployment) == hash(tandem(0, 1))
    assert deployment != tandem(1, 0)
    with pytest.raises(AttributeError):
        deployment.fuse = False  # type: ignore[misc]


def test_a_fragment_stays_where_it_may_run() -> None:
    base = tandem(0, 1)
    tables = {"d0": Deterministic(mean=1.0)}
    chain = base.problem.chains[0]
    only = (replace(chain.fragments[0], service=tables), chain.fragments[1])
    problem = replace(base.problem, chains=(replace(chain, fragments=only),))
    assert Deployment(problem=problem, placement={"c": (("d0", "d1"),)})
    with pytest.raises(InvalidInputError, match="placement.c must keep f0 on a device it may"):
        Deployment(problem=problem, placement={"c": (("d1", "d1"),)})
