from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from datagen.deployment import BatchConfig, Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from surrogate.optimizers import DecisionSpace
from surrogate.optimizers.decision_space import DECISIONS
from surrogate.optimizers.variation import designs, typical_row
from tests.datagen.evaluation.test_packing import same
from tests.surrogate.optimizers.hubs import array_hub, hub
from tests.surrogate.optimizers.problems import poor_start, small_problem

OWN = BatchConfig(policy="lazy", max_batch=6, timeout=0.011)


@pytest.mark.parametrize("base", [hub(), hub(batching=OWN, cpus=1), array_hub("fluid")])
def test_the_start_is_the_base(base: Deployment) -> None:
    space = DecisionSpace(base)
    candidates = space.candidates(space.start[None])
    chosen = candidates.deployment(0)
    assert chosen.placement == base.placement
    assert chosen.batch_config("hub") == base.batch_config("hub")
    assert chosen.problem == base.problem
    for name, exits in base.exits.items():
        assert chosen.exits[name].tau == pytest.approx(exits.tau, rel=1e-7)
    assert same(candidates.batch(), pack([chosen]))
    assert np.array_equal(space.rows(candidates), space.start[None])


def test_rows_pack_like_what_they_stand_for() -> None:
    space = DecisionSpace(hub(batching=OWN, cpus=1))
    rng = np.random.default_rng(1)
    rows = rng.integers(0, space.counts, size=(12, space.slots)).astype(np.int32)
    candidates = space.candidates(rows)
    objects = [candidates.deployment(index) for index in range(len(rows))]
    assert same(candidates.batch(), pack(objects).with_key(np.zeros(len(rows))))
    assert len({deployment.batch_config("hub") for deployment in objects}) > 3
    assert len({deployment.routing["camera"] for deployment in objects}) > 3
    assert (space.excess(rows) >= 0).all()


def test_rows_of_one_meaning_have_one_canonical_row() -> None:
    space = DecisionSpace(hub(), ("batching",))
    rng = np.random.default_rng(2)
    rows = rng.integers(0, space.counts, size=(300, space.slots)).astype(np.int32)
    canonical = space.canonical(rows)
    before, after = space.candidates(rows).batching, space.candidates(canonical).batching
    assert np.array_equal(before, after)
    assert len(np.unique(canonical, axis=0)) == len(np.unique(before))
    assert len(np.unique(canonical, axis=0)) < len(np.unique(rows, axis=0))


def test_only_what_is_decided_varies() -> None:
    base = hub(batching=OWN, cpus=1)
    for kind in ("placement", "batching", "thresholds", "routing"):
        space = DecisionSpace(base, (kind,))
        rows = np.stack([space.start, space.counts - 1]).astype(np.int32)
        first, last = (space.candidates(rows).deployment(index) for index in range(2))
        differs = {
            "placement": first.placement != last.placement,
            "batching": first.batching != last.batching,
            "thresholds": first.exits != last.exits,
            "routing": first.routing != last.routing,
        }
        assert [name for name, differ in differs.items() if differ] == [kind]


def test_a_variant_alone_keeps_the_policy() -> None:
    space = DecisionSpace(array_hub(), ("variant",))
    found = [
        space.candidates(np.array([[0, 0, 0, value]])).deployment(0)
        for value in range(space.counts[3])
    ]
    assert [d.problem.devices[0].npu.variant for d in found if d.problem.devices[0].npu] == [
        "fixed", "fluid", "fluid+stackable",
    ]  # fmt: skip
    assert {d.batch_config("hub") for d in found} == {BatchConfig()}


def test_thresholds_rise_along_their_values() -> None:
    space = DecisionSpace(hub(), ("thresholds",))
    rows = np.arange(space.counts[0], dtype=np.int32)[:, None]
    tau = np.asarray(space.candidates(rows).thresholds)[:, 0]
    assert (np.diff(tau) > 0).all()
    assert any(low <= 0.93 <= high for low, high in pairwise(tau.tolist()))


def test_designs_begin_with_the_start_and_try_every_policy() -> None:
    space = DecisionSpace(hub(cpus=1))
    rows = designs(space, np.random.default_rng(0))
    assert np.array_equal(rows[0], space.start)
    candidates = space.candidates(rows)
    policies = {
        candidates.deployment(index).batch_config("hub").policy for index in range(len(rows))
    }
    assert len(policies) == 6
    assert len({candidates.deployment(k).placement["camera"] for k in range(len(rows))}) > 2
    assert len(typical_row(space)) == space.slots


@pytest.mark.parametrize(
    ("base", "decide", "message"),
    [
        (hub(), ("colour",), "decide must name some of placement"),
        (hub(), ("routing",), "decide must leave something to search"),
        (poor_start(small_problem()), ("batching",), "decide must leave something"),
        (hub(), (), "decide must leave something"),
    ],
)
def test_what_cannot_be_decided_is_refused(
    base: Deployment, decide: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        DecisionSpace(base, decide)


def test_every_kind_is_known() -> None:
    kinds = {column.kind for column in DecisionSpace(hub(cpus=1)).columns}
    assert kinds == set(DECISIONS)
