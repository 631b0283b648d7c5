"""What happens when, worked out by hand; both engines."""

from __future__ import annotations

import numpy as np

from datagen.simulator.engine import Engine, Run
from datagen.simulator.network import Network
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.systems import (
    FixedDraws,
    area,
    as_sources,
    network_of,
    trace,
)

INF = np.inf


def play(
    engine: Engine,
    network: Network,
    draws: list[FixedDraws],
    warmup: float = 0.0,
    horizon: float = 100.0,
) -> Run:
    length = RunLength.of(warmup, horizon)
    return engine.run(network, as_sources(draws), length, log=True)


def test_a_queue_of_two_step_by_step(engine: Engine) -> None:
    network = network_of([(1, 2)], [[0]])
    run = play(engine, network, [FixedDraws([1.0, 1.5, 2.0, 3.0], [[1.5], [1.0], [9.0], [0.25]])])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.5, "arrived", 0, 1, 0, "queued"),
        (2.0, "arrived", 0, 2, 0, "lost"),
        (2.5, "finished", 0, 0, 0, "left"),
        (3.0, "arrived", 0, 3, 0, "queued"),
        (3.5, "finished", 0, 1, 0, "left"),
        (3.75, "finished", 0, 3, 0, "left"),
    ]
    tally = run.tally
    assert (tally.offered.sum(), tally.completed.sum(), tally.lost.sum()) == (4, 3, 1)
    assert tally.latency.sum() == 1.5 + 2.0 + 0.75
    assert tally.busy.tolist() == [2.75]
    assert tally.jobs.tolist() == [1.5 + 2.0 + 0.75]
    assert run.events == 7
    assert not run.truncated


def test_a_service_of_one_period_without_a_place_to_wait_loses_nothing(engine: Engine) -> None:
    times = np.arange(1.0, 41.0)
    run = play(engine, network_of([(1, 1)], [[0]]), [FixedDraws(times, [[1.0]] * 40)])
    assert run.tally.lost.sum() == 0
    assert run.tally.latency.sum() == 40.0


def test_a_saturated_tandem_of_equal_services_loses_at_its_door_only(engine: Engine) -> None:
    times = np.arange(1, 161) * 0.5
    network = network_of([(1, 1)] * 3, [[0, 1, 2]])
    run = play(engine, network, [FixedDraws(times, [[1.0] * 3] * 160)])
    assert run.tally.step_lost.tolist() == [80, 0, 0]
    assert run.tally.completed.sum() == 80


def test_units_decide_who_enters(engine: Engine) -> None:
    # Three units: a job of two and one of one fit; a second of two does not, and a later small one
    # passes it by. Units become free at the end of the service, and the line is FIFO.
    network = network_of([(1, 3)], [[0], [0]], demands=[[2], [1]])
    large = FixedDraws([1.0, 2.0, 4.0], [[2.0], [1.0], [1.0]])
    small = FixedDraws([1.5, 2.5], [[1.0], [1.0]])
    assert trace(play(engine, network, [large, small])) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.5, "arrived", 1, 0, 0, "queued"),
        (2.0, "arrived", 0, 1, 0, "lost"),
        (2.5, "arrived", 1, 1, 0, "lost"),
        (3.0, "finished", 0, 0, 0, "left"),
        (4.0, "finished", 1, 0, 0, "left"),
        (4.0, "arrived", 0, 2, 0, "started"),
        (5.0, "finished", 0, 2, 0, "left"),
    ]


def test_a_job_larger_than_the_buffer_is_always_lost(engine: Engine) -> None:
    network = network_of([(1, 1)], [[0]], demands=[[2]])
    run = play(engine, network, [FixedDraws([1.0, 2.0], [[1.0], [1.0]])])
    assert (run.tally.lost.sum(), run.tally.completed.sum()) == (2, 0)
    assert run.tally.units.tolist() == [0.0]


def test_units_change_from_step_to_step(engine: Engine) -> None:
    network = network_of([(1, INF), (1, INF)], [[0, 1]], demands=[[3, 2]])
    tally = play(engine, network, [FixedDraws([1.0], [[2.0, 4.0]])]).tally
    assert tally.units.tolist() == [6.0, 8.0]
    assert tally.jobs.tolist() == [2.0, 4.0]


def test_a_service_of_nothing_ends_in_the_same_instant(engine: Engine) -> None:
    # Two chains at the same time and one place: the first is gone before the second comes.
    network = network_of([(1, 1), (1, 1)], [[0, 1], [0]])
    draws = [FixedDraws([1.0], [[0.0, 0.0]]), FixedDraws([1.0], [[0.0]])]
    run = play(engine, network, draws)
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (1.0, "finished", 0, 0, 0, "moved"),
        (1.0, "arrived", 0, 0, 1, "started"),
        (1.0, "finished", 0, 0, 1, "left"),
        (1.0, "arrived", 1, 0, 0, "started"),
        (1.0, "finished", 1, 0, 0, "left"),
    ]
    assert run.tally.latency.sum() == 0.0
    assert run.tally.histogram[:, 0].tolist() == [1, 1]


def test_completions_go_before_arrivals_and_arrivals_by_chain_job_step(engine: Engine) -> None:
    # At 2.0: chain 1 hands its job over to device 1, chain 2 and chain 0 come there from outside.
    network = network_of([(1, INF), (1, 3)], [[1], [0, 1], [1]])
    draws = [
        FixedDraws([2.0], [[1.0]]),
        FixedDraws([1.0], [[1.0, 1.0]]),
        FixedDraws([2.0], [[1.0]]),
    ]
    at_two = [event for event in trace(play(engine, network, draws)) if event[0] == 2.0]
    assert at_two == [
        (2.0, "finished", 1, 0, 0, "moved"),
        (2.0, "arrived", 0, 0, 0, "started"),
        (2.0, "arrived", 1, 0, 1, "queued"),
        (2.0, "arrived", 2, 0, 0, "queued"),
    ]


def test_of_one_chain_the_older_job_comes_first(engine: Engine) -> None:
    # A revisit: job 0 comes back to device 0 just when job 1 arrives there; one place.
    network = network_of([(1, 1), (1, 1)], [[0, 1, 0]])
    run = play(engine, network, [FixedDraws([1.0, 3.0], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])])
    assert [event[2:] for event in trace(run) if event[0] == 3.0] == [
        (0, 0, 1, "moved"),
        (0, 0, 2, "started"),
        (0, 1, 0, "lost"),
    ]


def test_a_chain_hands_over_to_the_device_it_is_on(engine: Engine) -> None:
    # Fragments that are steps of their own: the units are given back, the line is joined anew.
    network = network_of([(1, 2)], [[0, 0]])
    run = play(engine, network, [FixedDraws([1.0, 1.5], [[1.0, 1.0], [1.0, 1.0]])])
    assert trace(run)[2:] == [
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "arrived", 0, 0, 1, "queued"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (3.0, "arrived", 0, 1, 1, "queued"),
        (4.0, "finished", 0, 0, 1, "left"),
        (5.0, "finished", 0, 1, 1, "left"),
    ]


def test_servers_that_end_together_take_the_line_in_order(engine: Engine) -> None:
    network = network_of([(2, 4)], [[0], [0]])
    first = FixedDraws([1.0, 1.25], [[2.0], [1.0]])
    second = FixedDraws([1.0, 1.5], [[2.0], [0.5]])
    run = play(engine, network, [first, second])
    assert trace(run)[4:] == [
        (3.0, "finished", 0, 0, 0, "left"),
        (3.0, "finished", 1, 0, 0, "left"),
        (3.5, "finished", 1, 1, 0, "left"),
        (4.0, "finished", 0, 1, 0, "left"),
    ]
    assert run.tally.busy.tolist() == [5.5]


def test_the_cohort_arrives_in_the_window_and_is_played_to_its_end(engine: Engine) -> None:
    # Warm-up until 2, horizon 4: jobs at 3 and 4 count; the one at 2 and the one at 5 do not.
    network = network_of([(1, INF)], [[0]])
    run = play(engine, network, [FixedDraws([2.0, 3.0, 4.0, 5.0], [[1.5]] * 4)], 2.0, 4.0)
    assert trace(run)[-1] == (6.5, "finished", 0, 2, 0, "left")
    assert (run.tally.offered.sum(), run.tally.completed.sum()) == (2, 2)
    assert run.tally.latency.sum() == 2.0 + 2.5
    assert run.tally.busy.tolist() == [2.0]
    assert run.tally.jobs.tolist() == [1.5 + 1.0]
    assert run.events == 7
    assert not run.truncated


def test_a_cohort_that_does_not_leave_is_given_up(engine: Engine) -> None:
    run = play(
        engine, network_of([(1, INF)], [[0]]), [FixedDraws([1.0, 2.0], [[99.0]] * 2)], 0.0, 10.0
    )
    assert run.truncated
    assert (run.tally.offered.sum(), run.tally.completed.sum()) == (2, 0)
    assert run.tally.jobs.tolist() == [9.0 + 8.0]
    assert run.tally.busy.tolist() == [9.0]


def test_a_job_between_two_devices_at_the_end_is_at_neither(engine: Engine) -> None:
    # The last cohort job leaves at 11, when a job of the warm-up has left device 0 and not yet
    # come to device 2.
    network = network_of([(1, INF)] * 3, [[0, 2], [1]])
    draws = [FixedDraws([0.5], [[10.5, 1.0]]), FixedDraws([9.0], [[2.0]])]
    run = play(engine, network, draws, 1.0, 10.0)
    assert trace(run)[-1] == (11.0, "finished", 1, 0, 0, "left")
    assert run.tally.jobs.tolist() == [9.0, 1.0, 0.0]


def test_deadlines_are_met_up_to_their_last_instant(engine: Engine) -> None:
    network = network_of([(1, INF)], [[0], [0]], deadlines=[1.0, np.nan])
    first = FixedDraws([1.0, 3.0], [[1.0], [1.25]])
    run = play(engine, network, [first, FixedDraws([6.0], [[1.0]])])
    assert run.tally.on_time.tolist() == [1, 0]


def test_sojourns_of_the_served_and_of_those_that_complete(engine: Engine) -> None:
    # Job 1 is served at device 0 and then lost at device 1, which job 0 still occupies.
    network = network_of([(1, INF), (1, 1)], [[0, 1]])
    tally = play(engine, network, [FixedDraws([1.0, 2.0], [[1.0, 5.0], [0.5, 1.0]])]).tally
    assert tally.step_offered.tolist() == [2, 2]
    assert tally.step_lost.tolist() == [0, 1]
    assert tally.step_served.tolist() == [2, 1]
    assert tally.step_sojourn.tolist() == [1.5, 5.0]
    assert tally.step_sojourn_completed.tolist() == [1.0, 5.0]


def test_without_a_log_the_same_is_counted(engine: Engine) -> None:
    network = network_of([(1, 2)], [[0, 0]])
    draws = [FixedDraws(np.arange(1.0, 50.0) * 0.75, [[0.5, 0.5]] * 49)]
    logged = play(engine, network, draws)
    again = [FixedDraws(np.arange(1.0, 50.0) * 0.75, [[0.5, 0.5]] * 49)]
    silent = engine.run(network, as_sources(again), RunLength.of(0.0, 100.0))
    assert silent.log is None
    assert silent.events == logged.events
    for mine, theirs in zip(silent.tally, logged.tally, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_integral_of_a_step_function() -> None:
    times, changes = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, -2.0])
    assert area(times, changes, RunLength.of(1.5, 3.0)) == 0.5 + 2.0
