from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Candidates, pack
from tests.datagen.evaluation.test_packing import same
from tests.datagen.strategies import deployments
from tests.helpers import tandem


@settings(max_examples=30)
@given(deployments(), st.data())
def test_candidates_pack_like_the_deployments_they_stand_for(
    base: Deployment, data: st.DataObject
) -> None:
    slots = sum(len(path) for paths in base.placement.values() for path in paths)
    device = st.integers(0, len(base.problem.devices) - 1)
    row = st.lists(device, min_size=slots, max_size=slots)
    placement = data.draw(st.lists(row, min_size=1, max_size=3))
    candidates = Candidates(base=base, placement=np.array(placement))
    objects = [candidates.deployment(index) for index in range(len(candidates))]
    assert same(candidates.batch(), pack(objects).with_key(np.zeros(len(objects))))


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ([[0, 1, 0]], r"placement must have shape \[B, 2\]"),
        ([0, 1], r"placement must have shape"),
        ([[0, 2]], r"placement must lie in \[0, 2\)"),
        ([[-1, 0]], r"placement must lie in"),
    ],
)
def test_bad_placements_are_refused(placement: list[object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Candidates(base=tandem(0, 1), placement=np.array(placement))


def test_what_is_not_yet_varied_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="routing"):
        Candidates(base=tandem(0), placement=np.array([[0]]), routing=np.ones((1, 1)))


def test_memory_is_counted_per_device() -> None:
    base = tandem(0, 1)
    chain = base.problem.chains[0]
    heavy = tuple(replace(fragment, weights=6.0) for fragment in chain.fragments)
    devices = tuple(replace(device, memory=10.0) for device in base.problem.devices)
    problem = replace(base.problem, devices=devices, chains=(replace(chain, fragments=heavy),))
    base = Deployment(problem=problem, placement=base.placement)
    candidates = Candidates(base=base, placement=np.array([[0, 1], [0, 0]]))
    assert candidates.memory_excess().tolist() == [0.0, 2.0]
