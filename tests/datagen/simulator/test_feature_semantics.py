"""Priorities, links, paths and exits: what happens when, worked out by hand; both engines."""

from __future__ import annotations

import pytest

from datagen.simulator.engine import Engine
from tests.datagen.simulator.systems import FixedDraws, network_of, trace
from tests.datagen.simulator.test_semantics import INF, play


def test_the_highest_class_goes_first_and_nobody_is_interrupted(engine: Engine) -> None:
    # Classes 1, 0 and 1 (0 is the highest): the job in service is finished; then the high one,
    # then the low ones as they came, whatever their chains.
    network = network_of([(1, 4)], [[0], [0], [0]], classes=[1, 0, 1])
    low, high, other = [1.0, 2.5], [2.0], [1.5]
    draws = [FixedDraws(times, [[2.0]] * len(times)) for times in (low, high, other)]
    assert trace(play(engine, network, draws)) == [
        (1.0, "arrived", 0, 0, 0, "queued"),
        (1.0, "chosen", 0, 0, 0, "started"),
        (1.5, "arrived", 2, 0, 0, "queued"),
        (2.0, "arrived", 1, 0, 0, "queued"),
        (2.5, "arrived", 0, 1, 0, "queued"),
        (3.0, "finished", 0, 0, 0, "left"),
        (3.0, "chosen", 1, 0, 0, "started"),
        (5.0, "finished", 1, 0, 0, "left"),
        (5.0, "chosen", 2, 0, 0, "started"),
        (7.0, "finished", 2, 0, 0, "left"),
        (7.0, "chosen", 0, 1, 0, "started"),
        (9.0, "finished", 0, 1, 0, "left"),
    ]


def test_a_device_chooses_after_all_else_at_that_instant(engine: Engine) -> None:
    # At 2.0 the server is free again, a low job waits, and a high one is handed over by device 0
    # in that instant: it is served first. Both servers of device 0 choose at 1.0.
    network = network_of([(2, INF), (1, INF)], [[1], [0, 1]], classes=[1, 0])
    draws = [FixedDraws([1.0, 1.5], [[1.0], [1.0]]), FixedDraws([1.0, 1.0], [[1.0, 0.0]] * 2)]
    events = trace(play(engine, network, draws))
    assert [event for event in events if event[0] == 1.0] == [
        (1.0, "arrived", 0, 0, 0, "queued"),
        (1.0, "arrived", 1, 0, 0, "queued"),
        (1.0, "arrived", 1, 1, 0, "queued"),
        (1.0, "chosen", 1, 0, 0, "started"),
        (1.0, "chosen", 1, 1, 0, "started"),
        (1.0, "chosen", 0, 0, 0, "started"),
    ]
    assert [event for event in events if event[0] == 2.0] == [
        (2.0, "finished", 0, 0, 0, "left"),
        (2.0, "finished", 1, 0, 0, "moved"),
        (2.0, "finished", 1, 1, 0, "moved"),
        (2.0, "arrived", 1, 0, 1, "queued"),
        (2.0, "arrived", 1, 1, 1, "queued"),
        (2.0, "chosen", 1, 0, 1, "started"),
        (2.0, "finished", 1, 0, 1, "left"),
        (2.0, "chosen", 1, 1, 1, "started"),
        (2.0, "finished", 1, 1, 1, "left"),
        (2.0, "chosen", 0, 1, 0, "started"),
    ]


def test_a_job_keeps_its_units_until_it_is_sent(engine: Engine) -> None:
    # One place on device 0, 2 s of travel: the server is free at 2, the place at 4. In the instant
    # of that a job may enter, and the one delivered finds device 1 free.
    network = network_of([(1, 1), (1, 1)], [[0, 1]], delays=[[2.0, 0.0]])
    draws = [FixedDraws([1.0, 3.0, 4.0], [[1.0, 0.5]] * 3)]
    run = play(engine, network, draws)
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (3.0, "arrived", 0, 1, 0, "lost"),
        (4.0, "sent", 0, 0, 0, "moved"),
        (4.0, "arrived", 0, 0, 1, "started"),
        (4.0, "arrived", 0, 2, 0, "started"),
        (4.5, "finished", 0, 0, 1, "left"),
        (5.0, "finished", 0, 2, 0, "moved"),
        (7.0, "sent", 0, 2, 0, "moved"),
        (7.0, "arrived", 0, 2, 1, "started"),
        (7.5, "finished", 0, 2, 1, "left"),
    ]
    assert run.tally.jobs.tolist() == [2.0, 1.0]
    assert run.tally.units.tolist() == [6.0, 1.0]
    assert run.tally.busy.tolist() == [2.0, 1.0]
    assert run.tally.step_sojourn.tolist() == [2.0, 1.0]
    assert run.tally.latency.sum() == 2 * 3.5


def test_a_job_may_leave_its_units_when_it_sets_off(engine: Engine) -> None:
    network = network_of([(1, 1), (1, 1)], [[0, 1]], delays=[[2.0, 0.0]], held=False)
    run = play(engine, network, [FixedDraws([1.0, 2.0], [[1.0, 5.0]] * 2)])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "arrived", 0, 1, 0, "started"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (4.0, "arrived", 0, 0, 1, "started"),
        (5.0, "arrived", 0, 1, 1, "lost"),
        (9.0, "finished", 0, 0, 1, "left"),
    ]
    assert run.tally.units.tolist() == [2.0, 5.0]


@pytest.mark.parametrize("held", [True, False])
def test_a_job_on_its_way_at_the_end_has_its_units_only(engine: Engine, held: bool) -> None:
    # The run ends with the cohort job at 12; the other is on its way from 8 to 28.
    network = network_of(
        [(1, INF), (1, INF)], [[0, 1], [1]], delays=[[20.0, 0.0], [0.0]], held=held
    )
    draws = [FixedDraws([1.0], [[7.0, 1.0]]), FixedDraws([9.0], [[3.0]])]
    run = play(engine, network, draws, 2.0, 10.0)
    assert trace(run)[-1] == (12.0, "finished", 1, 0, 0, "left")
    assert run.tally.jobs.tolist() == [6.0, 1.0]
    assert run.tally.units.tolist() == [8.0 if held else 6.0, 1.0]


def test_each_job_takes_its_own_path(engine: Engine) -> None:
    # Two paths: over device 0 to device 2, and device 1 alone. Job 1 takes the second.
    network = network_of([(1, INF), (1, INF), (1, INF)], [[0, 2], [1]], chain_route=[0, 2])
    services = [[1.0, 0.5, 9.0], [9.0, 9.0, 0.25], [0.5, 1.0, 9.0]]
    run = play(engine, network, [FixedDraws([1.0, 1.5, 1.75], services, [0, 1, 0])])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.5, "arrived", 0, 1, 0, "started"),
        (1.75, "finished", 0, 1, 0, "left"),
        (1.75, "arrived", 0, 2, 0, "queued"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "arrived", 0, 0, 1, "started"),
        (2.5, "finished", 0, 0, 1, "left"),
        (2.5, "finished", 0, 2, 0, "moved"),
        (2.5, "arrived", 0, 2, 1, "started"),
        (3.5, "finished", 0, 2, 1, "left"),
    ]
    assert run.route_completed.tolist() == [2, 1]
    assert run.tally.step_offered.tolist() == [2, 2, 1]
    assert run.tally.step_sojourn_completed.tolist() == [1.75, 1.5, 0.25]


def test_a_job_ends_with_the_step_of_its_exit(engine: Engine) -> None:
    # One path of two steps with a travel of 1 s between; jobs of route 0 leave after the first,
    # and give their units back at once.
    network = network_of(
        [(1, 1), (1, INF)],
        [[0, 1], [0, 1]],
        chain_route=[0, 2],
        route_steps=[1, 2],
        delays=[[1.0, 0.0], [1.0, 0.0]],
    )
    network.features.route_first[:] = 0
    services = [[1.0, 0.5, 0.0, 0.0]] * 4
    draws = [FixedDraws([1.0, 2.0, 3.5, 4.0], services, [0, 1, 0, 0])]
    run = play(engine, network, draws)
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "left"),
        (2.0, "arrived", 0, 1, 0, "started"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (3.5, "arrived", 0, 2, 0, "lost"),
        (4.0, "sent", 0, 1, 0, "moved"),
        (4.0, "arrived", 0, 1, 1, "started"),
        (4.0, "arrived", 0, 3, 0, "started"),
        (4.5, "finished", 0, 1, 1, "left"),
        (5.0, "finished", 0, 3, 0, "left"),
    ]
    assert run.route_completed.tolist() == [2, 1]
    assert run.tally.step_sojourn_completed.tolist()[:2] == [3.0, 0.5]
    assert run.tally.latency.sum() == 1.0 + 2.5 + 1.0
