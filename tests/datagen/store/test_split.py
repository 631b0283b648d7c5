from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from datagen.deployment import Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.scenarios import PlacementScenario, Type1Scenario
from datagen.store.split import held_out, topology_hash
from tests.helpers import tandem


def relisted(deployment: Deployment, rng: np.random.Generator) -> Deployment:
    """The same system with other names, other numbers, and everything listed in another order."""
    problem = deployment.problem
    names = {d.name: f"x{n}" for n, d in enumerate(rng.permuted(problem.devices))}  # type: ignore[arg-type]
    devices = tuple(
        replace(d, name=names[d.name], capacity=int(rng.integers(1, 9)), speed=2.0)
        for d in rng.permuted(problem.devices)  # type: ignore[arg-type]
    )
    chains = tuple(rng.permuted(problem.chains))  # type: ignore[arg-type]
    placement = {
        name: tuple(tuple(names[device] for device in path) for path in paths)
        for name, paths in deployment.placement.items()
    }
    return Deployment(problem=replace(problem, devices=devices, chains=chains), placement=placement)


@pytest.mark.parametrize("scenario", [Type1Scenario(), PlacementScenario(chains=(1, 6))])
def test_the_hash_is_of_the_shape_alone(scenario: Type1Scenario) -> None:
    rng = np.random.default_rng(0)
    deployments = [scenario.sample(index, 0) for index in range(60)]
    other = [relisted(deployment, rng) for deployment in deployments]
    assert np.array_equal(topology_hash(pack(deployments)), topology_hash(pack(other)))


def test_different_shapes_have_different_hashes() -> None:
    shapes = [
        tandem(0),
        tandem(0, 1),
        tandem(0, 1, 2),
        tandem(0, 1, 0),
        tandem(0, 1, 0, 1),
        tandem(0, 1, 2, 0),
        tandem(0, 1, 2, 1),
    ]
    assert len(set(topology_hash(pack(shapes)).tolist())) == len(shapes)
    # Numbering does not matter, nor do rates; a device nobody visits is not an unvisited shape.
    equal = [tandem(0, 1), tandem(1, 0), tandem(0, 1, rate=9.0, capacity=None)]
    assert len(set(topology_hash(pack(equal)).tolist())) == 1


def test_refinement_sees_how_chains_meet() -> None:
    # By the signature of a deployment: for each pair of chains, the places where they meet.
    deployments = [Type1Scenario(chains=(2, 2), length=(2, 3)).sample(n, 0) for n in range(400)]
    by_hash = defaultdict(set)
    for value, deployment in zip(topology_hash(pack(deployments)), deployments, strict=True):
        first, second = (paths[0] for paths in deployment.placement.values())
        meets = frozenset(
            (a, b) for a, x in enumerate(first) for b, y in enumerate(second) if x == y
        )
        forward = (len(first), len(second), tuple(sorted(meets)))
        backward = (len(second), len(first), tuple(sorted((b, a) for a, b in meets)))
        by_hash[int(value)].add(min(forward, backward))
    assert all(len(signatures) == 1 for signatures in by_hash.values())
    every = [signature for signatures in by_hash.values() for signature in signatures]
    assert len(every) == len(set(every)) > 20


def test_a_split_is_a_function_of_the_key() -> None:
    few = pack([PlacementScenario().sample(n, 0) for n in range(150)])
    more = pack([PlacementScenario().sample(n, 0) for n in range(100, 250)])
    assert np.array_equal(held_out(few, 0.3)[100:], held_out(more, 0.3)[:50])
    assert held_out(few, 0.3).mean() == pytest.approx(0.3, abs=0.12)
    assert np.array_equal(held_out(few, 0.3) & held_out(few, 0.5), held_out(few, 0.3))
    assert not np.array_equal(held_out(few, 0.3), held_out(few, 0.3, salt=1))
    assert not held_out(few, 0.0).any()
    assert held_out(few, 1.0).all()
    with pytest.raises(InvalidInputError, match=r"share must lie in \[0, 1\]"):
        held_out(few, 1.5)


def test_no_topology_is_on_both_sides() -> None:
    batch = pack([Type1Scenario().sample(n, 0) for n in range(800)])
    hashes, out = topology_hash(batch), held_out(batch, 0.3)
    assert not set(hashes[out].tolist()) & set(hashes[~out].tolist())
    assert 0 < out.sum() < len(out)
