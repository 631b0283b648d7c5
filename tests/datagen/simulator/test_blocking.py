"""Blocking after service: what happens when, worked out by hand; both engines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Exponential
from datagen.errors import DeadlockError, InvalidInputError
from datagen.evaluation import pack
from datagen.simulator import SimulationOptions, simulate
from datagen.simulator.contention import NO_LINK, Contention
from datagen.simulator.engine import Engine
from datagen.simulator.network import Network
from datagen.simulator.simulation import simulate_batch
from tests.datagen.simulator.systems import FixedDraws, network_of, trace
from tests.datagen.simulator.test_semantics import INF, play


def blocking_network(
    devices: Sequence[tuple[int, float]], routes: Sequence[Sequence[int]], **given: Any
) -> Network:
    """A network as by ``network_of`` whose senders wait for room."""
    given.setdefault("delays", [[0.0] * len(route) for route in routes])
    network = network_of(devices, routes, **given)
    steps = network.steps
    contention = Contention(
        blocks=True,
        parallel=np.zeros(network.chains, dtype=bool),
        step_link=np.full(steps, NO_LINK),
        step_asks=np.zeros(steps, dtype=bool),
    )
    return network._replace(contention=contention)


def test_a_served_job_keeps_its_server_until_there_is_room(engine: Engine) -> None:
    # Device 1 has one place and serves 5 s. Job 1 is done at 3 and waits on device 0 until 7; job 2
    # waits behind it, job 3 finds both places of device 0 taken.
    network = blocking_network([(1, 2), (1, 1)], [[0, 1]])
    run = play(engine, network, [FixedDraws([1.0, 1.5, 2.5, 4.0], [[1.0, 5.0]] * 4)])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.5, "arrived", 0, 1, 0, "queued"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "arrived", 0, 0, 1, "started"),
        (2.5, "arrived", 0, 2, 0, "queued"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (4.0, "arrived", 0, 3, 0, "lost"),
        (7.0, "finished", 0, 0, 1, "left"),
        (7.0, "arrived", 0, 1, 1, "started"),
        (8.0, "finished", 0, 2, 0, "moved"),
        (12.0, "finished", 0, 1, 1, "left"),
        (12.0, "arrived", 0, 2, 1, "started"),
        (17.0, "finished", 0, 2, 1, "left"),
    ]
    tally = run.tally
    # Who waits for room is present with its units, but its server is not at work.
    assert tally.busy.tolist() == [3.0, 15.0]
    assert tally.jobs.tolist() == [1.0 + 5.5 + 9.5, 15.0]
    assert tally.units.tolist() == tally.jobs.tolist()
    assert tally.step_sojourn.tolist() == [1.0 + 5.5 + 9.5, 15.0]
    assert tally.step_lost.tolist() == [1, 0]
    assert tally.latency.sum() == 6.0 + 10.5 + 14.5


def test_those_who_wait_enter_in_the_order_they_began_to_and_before_arrivals(
    engine: Engine,
) -> None:
    # Chains 2 and 1 wait for device 2, in that order; at 6 a place is free, and chain 0 arrives
    # from outside in that instant: it is lost, as chain 2 has entered before.
    network = blocking_network([(1, 1), (1, 1), (1, 1)], [[2], [0, 2], [1, 2], [2]])
    draws = [
        FixedDraws([6.0], [[1.0]]),
        FixedDraws([2.0], [[2.0, 1.0]]),
        FixedDraws([2.0], [[1.0, 1.0]]),
        FixedDraws([1.0], [[5.0]]),
    ]
    assert trace(play(engine, network, draws))[3:] == [
        (3.0, "finished", 2, 0, 0, "moved"),
        (4.0, "finished", 1, 0, 0, "moved"),
        (6.0, "finished", 3, 0, 0, "left"),
        (6.0, "arrived", 2, 0, 1, "started"),
        (6.0, "arrived", 0, 0, 0, "lost"),
        (7.0, "finished", 2, 0, 1, "left"),
        (7.0, "arrived", 1, 0, 1, "started"),
        (8.0, "finished", 1, 0, 1, "left"),
    ]


def test_room_goes_back_along_the_line_within_one_instant(engine: Engine) -> None:
    # Three devices of one place: the end of job 0 on the last lets job 1 and job 2 move on, and job
    # 3 in from outside, all at 10.
    network = blocking_network([(1, 1)] * 3, [[0, 1, 2]])
    services = [[1.0, 1.0, 7.0]] + [[1.0] * 3] * 3
    run = play(engine, network, [FixedDraws([1.0, 2.0, 3.0, 10.0], services)])
    assert [event for event in trace(run) if event[0] == 10.0] == [
        (10.0, "finished", 0, 0, 2, "left"),
        (10.0, "arrived", 0, 1, 2, "started"),
        (10.0, "arrived", 0, 2, 1, "started"),
        (10.0, "arrived", 0, 3, 0, "started"),
    ]
    assert run.tally.lost.sum() == 0


def test_the_first_at_a_door_is_not_overtaken(engine: Engine) -> None:
    # Three units on device 1: one is taken until 9. Chain 0 needs three and waits; chain 1 needs
    # one and would fit, but came later.
    network = blocking_network(
        [(2, INF), (2, 3)], [[0, 1], [0, 1], [1]], demands=[[1, 3], [1, 1], [1]]
    )
    draws = [
        FixedDraws([2.0], [[1.0, 1.0]]),
        FixedDraws([3.0], [[1.0, 1.0]]),
        FixedDraws([1.0], [[8.0]]),
    ]
    assert trace(play(engine, network, draws))[2:] == [
        (3.0, "finished", 0, 0, 0, "moved"),
        (3.0, "arrived", 1, 0, 0, "started"),
        (4.0, "finished", 1, 0, 0, "moved"),
        (9.0, "finished", 2, 0, 0, "left"),
        (9.0, "arrived", 0, 0, 1, "started"),
        (10.0, "finished", 0, 0, 1, "left"),
        (10.0, "arrived", 1, 0, 1, "started"),
        (11.0, "finished", 1, 0, 1, "left"),
    ]


def test_a_job_that_has_been_sent_keeps_its_units_alone(engine: Engine) -> None:
    # 1 s of travel: job 1 is served at 3 and there at 4, but enters at 6 only; the server of device
    # 0 goes on meanwhile, its two places are free at 6 and 9.
    network = blocking_network([(1, 2), (1, 1)], [[0, 1]], delays=[[1.0, 0.0]])
    run = play(engine, network, [FixedDraws([1.0, 2.0, 2.5, 3.5], [[1.0, 3.0]] * 4)])
    assert trace(run)[4:] == [
        (3.0, "sent", 0, 0, 0, "moved"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (3.0, "arrived", 0, 0, 1, "started"),
        (3.5, "arrived", 0, 3, 0, "started"),
        (4.0, "sent", 0, 1, 0, "moved"),
        (4.5, "finished", 0, 3, 0, "moved"),
        (5.5, "sent", 0, 3, 0, "moved"),
        (6.0, "finished", 0, 0, 1, "left"),
        (6.0, "arrived", 0, 1, 1, "started"),
        (9.0, "finished", 0, 1, 1, "left"),
        (9.0, "arrived", 0, 3, 1, "started"),
        (12.0, "finished", 0, 3, 1, "left"),
    ]
    assert run.tally.busy.tolist() == [3.0, 9.0]


def test_a_second_step_on_the_same_device_waits_for_nobody_but_others(engine: Engine) -> None:
    # Fragments that are steps of their own: the job gives its place back before it asks for the
    # next, and finds it.
    network = blocking_network([(1, 1)], [[0, 0]])
    run = play(engine, network, [FixedDraws([1.0, 2.0], [[1.0, 1.0]] * 2)])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "arrived", 0, 0, 1, "started"),
        (2.0, "arrived", 0, 1, 0, "lost"),
        (3.0, "finished", 0, 0, 1, "left"),
    ]


def test_a_deadlock_worked_out_by_hand(engine: Engine) -> None:
    # Two devices of one place, visited in opposite orders. At 2 the first job waits for device 1,
    # which the second holds until 2.5: then that waits for device 0, and both for ever.
    network = blocking_network([(1, 1), (1, 1)], [[0, 1], [1, 0]])
    draws = [FixedDraws([1.0, 5.0], [[1.0, 1.0]] * 2), FixedDraws([1.5], [[1.0, 1.0]])]
    run = play(engine, network, draws)
    assert run.deadlock == 2.5
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.5, "arrived", 1, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.5, "finished", 1, 0, 0, "moved"),
    ]


def test_a_circle_with_a_way_out_is_no_deadlock(engine: Engine) -> None:
    # The same with a second server on device 1, at work until 4 for a job that leaves: its place is
    # then free for the first job, whose place is for the second.
    network = blocking_network([(1, 1), (2, 2)], [[0, 1], [1, 0], [1]])
    draws = [
        FixedDraws([1.0], [[1.0, 1.0]]),
        FixedDraws([1.5], [[1.0, 1.0]]),
        FixedDraws([1.0], [[3.0]]),
    ]
    run = play(engine, network, draws)
    assert run.deadlock is None
    assert trace(run)[3:] == [
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.5, "finished", 1, 0, 0, "moved"),
        (4.0, "finished", 2, 0, 0, "left"),
        (4.0, "arrived", 0, 0, 1, "started"),
        (4.0, "arrived", 1, 0, 1, "started"),
        (5.0, "finished", 0, 0, 1, "left"),
        (5.0, "finished", 1, 0, 1, "left"),
    ]


def test_whoever_enters_where_nobody_is_served_any_more_closes_a_circle(engine: Engine) -> None:
    # Device 0 has one server and two places. Its served job waits for device 1, whose job needs two
    # units there: the one that is free is no way out, as the other never will be.
    network = blocking_network([(1, 2), (1, 1)], [[0, 1], [1, 0]], demands=[[1, 1], [1, 2]])
    draws = [FixedDraws([1.0], [[1.0, 1.0]]), FixedDraws([1.5], [[1.0, 1.0]])]
    assert play(engine, network, draws).deadlock == 2.5


def crossing(capacity: int | None) -> Deployment:
    """Two chains that visit two busy devices in opposite orders."""
    fragments = tuple(Fragment(name=f"f{k}", service=Exponential(mean=1.0)) for k in range(2))
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=0.4), fragments=fragments) for name in ("x", "y")
    )
    devices = tuple(Device(name=name, capacity=capacity) for name in ("a", "b"))
    problem = Problem(devices=devices, chains=chains, overflow="block")
    return Deployment(problem=problem, placement={"x": (("a", "b"),), "y": (("b", "a"),)})


def test_deadlocks_are_reported() -> None:
    with pytest.raises(DeadlockError, match=r"deadlock at [\d.]+ s: with overflow=block"):
        simulate([crossing(1)], events=1e4)
    options = SimulationOptions(events=1e4)
    measures = simulate_batch(pack([crossing(1), crossing(None)]), options)
    assert measures.deployment["deadlocked"].tolist() == [True, False]
    assert np.isnan(measures.chain["throughput_ratio"]).tolist() == [True, True, False, False]


@pytest.mark.parametrize("delays", [[[0.0, 0.0]], [[0.5, 0.0]]])
def test_who_waits_for_room_that_there_never_is_is_a_deadlock(
    engine: Engine, delays: list[list[float]]
) -> None:
    network = blocking_network([(1, 2), (1, 1)], [[0, 1]], demands=[[1, 2]], delays=delays)
    draws = FixedDraws([1.0, 1.5], [[1.0, 1.0]] * 2)
    assert play(engine, network, [draws]).deadlock == 2.0 + delays[0][0]


def too_large(share: float = 1.0) -> Deployment:
    """Devices a and b in a row; a share of jobs goes to b, which never has room for them."""
    fragments = (
        Fragment(name="small", service=Exponential(mean=1.0)),
        Fragment(name="large", service=Exponential(mean=1.0), demand=2),
    )
    chain = Chain(name="x", arrivals=Poisson(rate=0.4), fragments=fragments)
    devices = tuple(
        Device(name=name, capacity=size) for name, size in {"a": 2, "b": 1, "c": 3}.items()
    )
    problem = Problem(devices=devices, chains=(chain,), overflow="block")
    paths = (("a", "b"), ("a", "c"))
    return Deployment(problem=problem, placement={"x": paths}, routing={"x": (share, 1.0 - share)})


def test_only_a_deployment_whose_jobs_wait_in_vain_has_no_measures() -> None:
    with pytest.raises(InvalidInputError, match="demand must be <= the capacity .* demand=2"):
        simulate([too_large()], events=1e4)
    assert simulate([too_large(0.0)], events=1e4).chain["throughput_ratio"][0] > 0.5
    options = SimulationOptions(events=1e4)
    measures = simulate_batch(pack([too_large(), too_large(0.5), too_large(0.0)]), options)
    assert measures.deployment["deadlocked"].tolist() == [True, True, False]
    assert np.isnan(measures.chain["throughput_ratio"]).tolist() == [True, True, False]
