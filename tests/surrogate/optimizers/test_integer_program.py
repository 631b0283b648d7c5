"""The integer program against exhaustive search, and its answers where there is no placement."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Problem
from datagen.distributions import Deterministic
from datagen.exits import ExitMix
from surrogate.optimizers import PlacementSpace
from surrogate.optimizers.baselines import least_loaded_start
from surrogate.optimizers.integer_program import integer_placement
from tests.surrogate.optimizers.problems import UNIT, small_problem

INSTANCES = 240

SOLVER = 2e-6
"""Relative slack of equal latencies: twice the gap at which the solver stops."""


def random_space(seed: int) -> PlacementSpace:
    """Up to three networks of up to three fragments on two or three linked boards."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 4))
    names = [f"d{i}" for i in range(count)]
    chains = []
    for c in range(rng.integers(1, 4)):
        source = (str(rng.choice(names)),) if rng.uniform() < 0.5 else None
        fragments = tuple(
            Fragment(
                name=f"f{f}",
                service=Deterministic(mean=float(rng.uniform(0.01, 0.5))),
                weights=float(rng.integers(1, 5)),
                output=float(rng.uniform(0.0, 1e6)),
                allowed=source if f == 0 else None,
            )
            for f in range(rng.integers(1, 4))
        )
        rate = float(rng.uniform(0.1, 1.5))
        chains.append(Chain(name=f"c{c}", arrivals=Poisson(rate=rate), fragments=fragments))
    fragments_in_all = sum(len(chain.fragments) for chain in chains)
    devices = [
        Device(
            name=name,
            speed=float(rng.uniform(0.5, 2.0)),
            servers=int(rng.integers(1, 3)),
            memory=float(rng.integers(3, 3 + 3 * fragments_in_all)),
        )
        for name in names
    ]
    links = [
        Link(
            source=a,
            target=b,
            bandwidth=float(rng.uniform(1e6, 1e8)),
            latency=float(rng.uniform(0.0, 0.1)),
        )
        for a in names
        for b in names
        if a != b and rng.uniform() < 0.8
    ]
    return PlacementSpace(least_loaded_start(Problem(devices=devices, chains=chains, links=links)))


def latency_by_hand(space: PlacementSpace, row: tuple[int, ...]) -> float:
    """Latency of one placement, from the objects alone."""
    problem, place = space.base.problem, iter(row)
    links = {(link.source, link.target): link for link in problem.links}
    total = 0.0
    for chain in problem.chains:
        hosts = [problem.devices[next(place)] for _ in chain.fragments]
        for fragment, host in zip(chain.fragments, hosts, strict=True):
            total += fragment.service.mean / host.speed  # type: ignore[union-attr]
        for fragment, here, there in zip(chain.fragments, hosts, hosts[1:], strict=False):
            link = links.get((here.name, there.name))
            if link is not None:
                total += link.latency + fragment.output / link.bandwidth
    return total


def best_by_hand(space: PlacementSpace, max_load: float) -> float | None:
    """Least latency of all placements that fit; None if none does."""
    problem, best = space.base.problem, None
    fragments = [(chain, f) for chain in problem.chains for f in chain.fragments]
    for row in product(range(space.devices), repeat=space.slots):
        if not space.allowed[np.arange(space.slots), row].all():
            continue
        bytes_, load = np.zeros(space.devices), np.zeros(space.devices)
        for (chain, fragment), place in zip(fragments, row, strict=True):
            device = problem.devices[place]
            bytes_[place] += fragment.weights
            work = chain.arrivals.rate * fragment.service.mean  # type: ignore[union-attr]
            load[place] += work / device.speed / device.servers
        if (bytes_ > space.memory).any() or (load > max_load).any():
            continue
        latency = latency_by_hand(space, row)
        best = latency if best is None else min(best, latency)
    return best


def test_it_equals_exhaustive_search() -> None:
    ended = {"optimal": 0, "infeasible": 0}
    for seed in range(INSTANCES):
        space = random_space(seed)
        found, best = integer_placement(space), best_by_hand(space, 1.0)
        ended[found.status] += 1
        if best is None:
            assert found.status == "infeasible", seed
            assert found.placement is None
            continue
        assert found.status == "optimal", seed
        assert found.placement is not None
        assert found.latency == pytest.approx(best, rel=SOLVER), seed
        assert latency_by_hand(space, tuple(found.placement)) == pytest.approx(found.latency)
        assert space.excess(found.placement[None])[0] == 0
    assert ended["optimal"] >= 200
    assert ended["infeasible"] >= 10


def test_products_matter() -> None:
    """Two fragments that talk much stay together, though each alone would be faster apart."""
    devices = (Device(name="a", speed=1.0), Device(name="b", speed=1.0))
    service = {"a": Deterministic(mean=0.1), "b": Deterministic(mean=0.2)}
    other = {"a": Deterministic(mean=0.2), "b": Deterministic(mean=0.1)}
    fragments = (
        Fragment(name="f", service=service, output=1e6),
        Fragment(name="g", service=other),
    )
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=fragments)
    for bandwidth, expected in ((1e6, 0.3), (1e8, 0.21)):
        links = (Link(source="a", target="b", bandwidth=bandwidth),)
        problem = Problem(devices=devices, chains=(chain,), links=links)
        found = integer_placement(PlacementSpace(least_loaded_start(problem)))
        assert found.latency == pytest.approx(expected)


def test_early_exits_count_with_their_shares() -> None:
    fragments = (
        Fragment(
            name="f",
            service=Deterministic(mean=0.1),
            exit=Exit(head=Deterministic(mean=0.01)),
            allowed=("a",),
            output=1e6,
        ),
        Fragment(name="g", service=Deterministic(mean=1.0), allowed=("b",)),
    )
    chain = Chain(name="c", arrivals=Poisson(rate=0.1), fragments=fragments)
    problem = Problem(
        devices=(Device(name="a"), Device(name="b", speed=2.0)),
        chains=(chain,),
        links=(Link(source="a", target="b", bandwidth=1e6, latency=0.5),),
    )
    base = Deployment(
        problem=problem, placement={"c": (("a", "b"),)}, exits={"c": ExitMix(p=(0.6, 0.4))}
    )
    found = integer_placement(PlacementSpace(base))
    # All take f and its exit; four in ten are sent on and take g at twice the speed.
    assert found.latency == pytest.approx(0.11 + 0.4 * (1.5 + 0.5))


def test_paths_share_the_weights_of_a_fragment() -> None:
    chain = replace(small_problem(allowed=False).chains[0], name="c")
    devices = (Device(name="a", memory=4 * UNIT), Device(name="b", memory=0))
    paths = {"c": (("b", "b", "b"), ("b", "b", "b"))}
    problem = Problem(devices=devices, chains=(chain,))
    base = Deployment(problem=problem, placement=paths, routing={"c": (0.5, 0.5)})
    found = integer_placement(PlacementSpace(base))
    assert found.status == "optimal"
    assert found.placement is not None
    assert found.placement.tolist() == [0] * 6


def test_compute_is_bounded_only_where_asked() -> None:
    space = PlacementSpace(least_loaded_start(small_problem(memory=None, allowed=False)))
    fastest = integer_placement(space, max_load=None)
    assert fastest.placement is not None
    assert set(fastest.placement) == {0}
    within = integer_placement(space, max_load=0.75)
    assert within.placement is not None
    load = np.bincount(within.placement, space.work()[np.arange(space.slots), within.placement])
    assert load.max() <= 0.75 + 1e-6
    assert integer_placement(space, max_load=0.1).status == "infeasible"


def test_out_of_time_is_said() -> None:
    rng = np.random.default_rng(7)
    devices = tuple(
        Device(name=f"d{i}", speed=float(rng.uniform(0.5, 2)), memory=12.0) for i in range(12)
    )
    chains = tuple(
        Chain(
            name=f"c{c}",
            arrivals=Poisson(rate=0.1),
            fragments=tuple(
                Fragment(
                    name=f"f{f}",
                    service=Deterministic(mean=float(rng.uniform(0.05, 0.5))),
                    weights=float(rng.integers(1, 5)),
                    output=float(rng.uniform(0, 1e6)),
                )
                for f in range(6)
            ),
        )
        for c in range(8)
    )
    names = [device.name for device in devices]
    links = tuple(
        Link(source=a, target=b, bandwidth=float(rng.uniform(1e6, 2e7)))
        for a in names
        for b in names
        if a != b
    )
    problem = Problem(devices=devices, chains=chains, links=links)
    space = PlacementSpace(least_loaded_start(problem))
    found = integer_placement(space, seconds=0.01)
    assert found.status in ("no_solution", "time_limit")
    assert (found.placement is None) == (found.status == "no_solution")


@pytest.mark.parametrize("limits", [{"seconds": 0.0}, {"max_load": -1.0}])
def test_limits_are_positive(limits: dict[str, float]) -> None:
    space = PlacementSpace(least_loaded_start(small_problem()))
    with pytest.raises(ValueError, match=f"{next(iter(limits))} must be > 0"):
        integer_placement(space, **limits)
