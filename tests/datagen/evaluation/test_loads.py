from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.evaluation import pack
from datagen.evaluation.loads import (
    alone_factor,
    chain_load,
    fluid_load,
    never_entered,
    offered_load,
    server_rate,
    unstable,
)
from tests.helpers import tandem


def test_loads_of_a_tandem() -> None:
    # Works of 0.1, 0.2 and 0.3 s; the third runs on device 0 again.
    batch = pack([tandem(0, 1, 0, rate=2.0)])
    assert offered_load(batch) == pytest.approx([0.8, 0.4])
    assert chain_load(batch) == pytest.approx([0.8])


def test_overload_is_passed_on_thinned() -> None:
    batch = pack([tandem(0, 1, rate=20.0)])
    assert offered_load(batch) == pytest.approx([2.0, 4.0])
    assert fluid_load(batch) == pytest.approx([2.0, 2.0])


def test_only_unlimited_buffers_are_unstable() -> None:
    batch = pack([tandem(0, rate=20.0), tandem(0, rate=20.0, capacity=None), tandem(0)])
    assert unstable(batch).tolist() == [False, True, False]
    assert np.isinf(batch.device_capacity).tolist() == [False, True, False]


def test_cores_that_slow_each_other_down_serve_less() -> None:
    chain = Chain(
        name="c",
        arrivals=Poisson(rate=2.0),
        fragments=(Fragment(name="f", service=Deterministic(mean=1.0)),),
    )
    tables = {"plain": None, "slowed": (0.8, 0.5)}
    batch = pack([
        Deployment(
            problem=Problem(
                devices=(Device(name="d", servers=2, capacity=4, speedup=table),), chains=(chain,)
            ),
            placement={"c": (("d",),)},
        )
        for table in tables.values()
    ])
    assert batch.counts("speedup").tolist() == [0, 2]
    assert alone_factor(batch).tolist() == [1.0, 0.8]
    assert server_rate(batch).tolist() == [2.0, 1.0]
    assert offered_load(batch).tolist() == [1.0, 2.0]
    again = batch.select([1, 0, 1])
    assert server_rate(again).tolist() == [1.0, 2.0, 1.0]
    without = replace(batch, speedup_start=None, speedup_factor=None)
    assert server_rate(without).tolist() == [2.0, 2.0]


def test_only_who_waits_can_wait_in_vain() -> None:
    def line(first: int, second: int, **changed: Any) -> Deployment:
        base = tandem(0, 1, capacity=2)
        chain = base.problem.chains[0]
        fragments = tuple(
            replace(fragment, demand=demand)
            for fragment, demand in zip(chain.fragments, (first, second), strict=True)
        )
        chain = replace(chain, fragments=fragments, parallel=changed.pop("parallel", False))
        problem = replace(base.problem, chains=(chain,), **{"overflow": "block"} | changed)
        return replace(base, problem=problem)

    fitting, vain, at_the_door = line(1, 2), line(1, 3), line(3, 3)
    dropping, branches = line(1, 3, overflow="drop"), line(1, 3, parallel=True)
    batch = pack([fitting, vain, at_the_door, dropping, branches])
    assert never_entered(batch).tolist() == [False, False, False, True] + [False] * 6
    assert not never_entered(pack([dropping])).any()
