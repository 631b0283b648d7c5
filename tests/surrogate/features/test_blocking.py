"""Fixed points of networks that block: exact cases, and what simulation says of full devices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Deterministic, Exponential, Law
from datagen.evaluation import pack
from datagen.simulator import simulate
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.blocking import RoomAhead
from surrogate.features.blocking_kernel import MOST_WAIT
from surrogate.features.contenders import Contenders
from surrogate.features.contention import ContentionGroup
from surrogate.features.features import FeatureFunction


def network(
    chains: dict[str, tuple[float, str, tuple[Law, ...]]],
    *,
    capacity: int = 5,
    discipline: str = "fcfs",
) -> Deployment:
    """Chains of (rate, one letter per device, services) that block; devices a, b, ... are alike."""
    letters = sorted({letter for _, path, _ in chains.values() for letter in path})
    devices = tuple(
        Device(name=letter, capacity=capacity, discipline=discipline)  # type: ignore[arg-type]
        for letter in letters
    )
    described = tuple(
        Chain(
            name=name,
            arrivals=Poisson(rate=rate),
            fragments=tuple(
                Fragment(name=f"f{number}", service=law) for number, law in enumerate(laws)
            ),
        )
        for name, (rate, _, laws) in chains.items()
    )
    problem = Problem(devices=devices, chains=described, overflow="block")
    placement = {name: (tuple(path),) for name, (_, path, _) in chains.items()}
    return Deployment(problem=problem, placement=placement)


def solved(deployment: Deployment) -> tuple[FlowArrays, RoomAhead]:
    arrays = flow_arrays(pack([deployment]))
    return arrays, RoomAhead.of(arrays, Contenders.of(arrays))


def losses(deployment: Deployment) -> list[float]:
    """Loss of each chain, in order."""
    arrays, found = solved(deployment)
    first = arrays.step_position == 0
    loss = torch.empty_like(arrays.flow_rate)
    loss[arrays.step_flow[first]] = found.loss[first]
    return loss.tolist()


def simulated(deployment: Deployment) -> list[float]:
    found = simulate([deployment], horizon=2e4, seed=4)
    return found.chain["loss_ratio"].tolist()


@pytest.mark.parametrize("load", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("capacity", [1, 2, 6])
def test_one_server_alone_is_an_exact_queue(load: float, capacity: int) -> None:
    ladder = load ** np.arange(capacity + 1)
    deployment = network({"c": (load, "a", (Exponential(mean=1.0),))}, capacity=capacity)
    assert losses(deployment) == pytest.approx([ladder[-1] / ladder.sum()], rel=1e-4)


@pytest.mark.parametrize("load", [0.4, 3.0])
def test_with_room_for_one_the_law_of_services_does_not_matter(load: float) -> None:
    deployment = network({"c": (load, "a", (Deterministic(mean=1.0),))}, capacity=1)
    assert losses(deployment) == pytest.approx([load / (1.0 + load)], rel=1e-4)


def test_nothing_is_held_up_where_there_is_room() -> None:
    light = network({"c": (0.1, "ab", (Exponential(mean=1.0), Exponential(mean=1.0)))})
    arrays, found = solved(light)
    assert float(found.held.max()) < 1e-4
    assert losses(light) == pytest.approx(simulated(light), abs=1e-3)
    stay = dict(zip(arrays.step_position.tolist(), found.stay.tolist(), strict=True))
    assert stay[0] == pytest.approx(1.0 / 0.9, rel=1e-3)


def test_senders_that_wait_take_turns_at_a_full_device() -> None:
    """The busy one gets no more of it than the other, which offers a third."""
    slow, quick = Exponential(mean=1.0), Exponential(mean=0.2)
    deployment = network({"x": (2.4, "ac", (quick, slow)), "y": (0.8, "bc", (quick, slow))})
    found, true = losses(deployment), simulated(deployment)
    passed = [rate * (1.0 - loss) for rate, loss in zip((2.4, 0.8), found, strict=True)]
    assert found == pytest.approx(true, abs=0.03)
    assert passed[0] == pytest.approx(passed[1], rel=0.12)


def test_who_comes_from_outside_finds_no_room_where_others_wait() -> None:
    law = Deterministic(mean=1.0)
    quick = Deterministic(mean=0.1)
    deployment = network({"through": (3.0, "ab", (quick, law)), "here": (3.0, "b", (law,))})
    found = losses(deployment)
    assert found[1] > 0.95
    assert found == pytest.approx(simulated(deployment), abs=0.05)


def test_a_saturated_line_holds_up_all_of_it() -> None:
    laws = tuple(Exponential(mean=mean) for mean in (0.2, 0.3, 1.0))
    deployment = network({"c": (3.0, "abc", laws)})
    arrays, found = solved(deployment)
    held = dict(zip(arrays.step_position.tolist(), found.held.tolist(), strict=True))
    # Whoever leaves the line makes room for one: every service and its wait take one second.
    assert 0.2 + held[0] == pytest.approx(1.0, rel=0.12)
    assert 0.3 + held[1] == pytest.approx(1.0, rel=0.12)
    assert held[2] == 0.0
    assert losses(deployment) == pytest.approx(simulated(deployment), abs=0.02)


@pytest.mark.parametrize("discipline", ["fcfs", "ps"])
@pytest.mark.parametrize("capacity", [5, 20])
def test_waits_and_losses_of_a_saturated_line_agree(discipline: str, capacity: int) -> None:
    """What gets in is what the last device serves, though each answers the other with a delay."""

    def constant(*means: float) -> tuple[Law, ...]:
        return tuple(Deterministic(mean=mean) for mean in means)

    line = {
        "long": (1.6, "abcd", constant(0.84, 0.5, 1.1, 2.9)),
        "short": (0.15, "acd", constant(1.6, 0.5, 2.0)),
        "beside": (0.17, "c", constant(0.2)),
    }
    deployment = network(line, capacity=capacity, discipline=discipline)
    found = losses(deployment)
    of_last = 1.6 * (1.0 - found[0]) * 2.9 + 0.15 * (1.0 - found[1]) * 2.0
    assert of_last == pytest.approx(1.0, abs=0.03)
    assert found[:2] == pytest.approx(simulated(deployment)[:2], abs=0.015)


def test_jobs_that_wait_in_a_circle_have_finite_waits() -> None:
    """Each waits for the room of the next: simulations end in a deadlock, and waits at a bound."""
    law = Deterministic(mean=1.0)
    circle = network({
        "up": (3.0, "abcd", (law,) * 4),
        "down": (3.0, "edcb", (law,) * 4),
        "across": (3.0, "acdeb", (law,) * 5),
    })
    ordinary = network({"c": (0.5, "ab", (law, law))})
    _, found = solved(circle)
    assert 1e5 < float(found.held.max()) <= MOST_WAIT
    arrays = flow_arrays(pack([circle, ordinary]))
    features = FeatureFunction([ContentionGroup()])(arrays)
    alone = FeatureFunction([ContentionGroup()])(flow_arrays(pack([ordinary])))
    for values in (features.step, features.device, features.flow, features.prior.step_wait):
        assert bool(values.isfinite().all())
    own = arrays.chain_deployment[arrays.flow_chain] == 1
    torch.testing.assert_close(features.flow[own], alone.flow)


def test_shared_processors_keep_places_and_no_server() -> None:
    laws = (Exponential(mean=0.2), Exponential(mean=1.0))
    deployment = network({"c": (3.0, "ab", laws)}, discipline="ps")
    assert losses(deployment) == pytest.approx(simulated(deployment), abs=0.02)


def test_networks_that_drop_are_left_alone() -> None:
    plain = network({"c": (3.0, "ab", (Exponential(mean=1.0),) * 2)})
    blocking = pack([plain]).effects
    dropping = Deployment(
        problem=Problem(devices=plain.problem.devices, chains=plain.problem.chains),
        placement=plain.placement,
    )
    arrays = flow_arrays(pack([dropping, plain]))
    found = RoomAhead.of(arrays, Contenders.of(arrays))
    own = arrays.chain_deployment[arrays.flow_chain[arrays.step_flow]] == 0
    assert (blocking != pack([dropping]).effects).all()
    for values in (found.held[own], found.loss[own], found.stay[own], found.full[:2]):
        assert not values.any()
    assert found.loss[~own].min() > 0.5


def test_a_flow_that_hardly_anybody_of_gets_through_keeps_a_wait() -> None:
    law = Deterministic(mean=1.0)
    quick = Deterministic(mean=0.01)
    deployment = network({
        "through": (300.0, "abc", (quick, law, quick)),
        "starved": (3.0, "bc", (law, law)),
    })
    arrays = flow_arrays(pack([deployment]))
    features = FeatureFunction([ContentionGroup()])(arrays)
    assert losses(deployment)[1] > 0.99
    for values in (features.step, features.device, features.flow, features.prior.step_wait):
        assert values.isfinite().all()
