"""Split tasks in simulation: times by hand, theory where there is one, every task done once."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from datagen.frozen import FrozenMap
from datagen.simulator.arrival_times import arrival_times
from datagen.splitting import (
    Always,
    Application,
    AtRandom,
    Finished,
    Host,
    LeastLoaded,
    Piece,
    Placer,
    RandomHosts,
    Split,
    Task,
    draw_tasks,
    interval_starts,
    simulate_splits,
)
from tests.helpers import assert_estimates

ONE, TWO = (Host(name="one"),), (Host(name="one"), Host(name="two", speed=2.0))

APPLICATION = Application(
    name="toy",
    share=1.0,
    layer=(Piece(work=10.0, received=100.0), Piece(work=4.0, received=50.0)),
    semantic=(Piece(work=3.0, received=100.0),) * 3,
    accuracy=FrozenMap({"layer": 0.9, "semantic": 0.8}),
    deadlines=4,
    latency=20.0,
)


def task(index: int, arrival: float, noise: float = 1.0) -> Task:
    return Task(
        index=index,
        application=APPLICATION,
        arrival=arrival,
        deadline=20.0,
        noise=(noise,) * 3,
        luck=0.0,
    )


def responses(tasks: list[Task], split: Split, hosts: tuple[Host, ...]) -> list[float]:
    finished = simulate_splits(tasks, Always(split), hosts=hosts, handoff=1.0, bandwidth=50.0)
    assert [done.task.index for done in finished] == [own.index for own in tasks]
    return [done.response for done in finished]


def test_a_chain_by_hand() -> None:
    # Hand-off 1, 100 bytes take 2 s, work 10 s; then 1 + 4 s, since what is read lies there.
    assert responses([task(0, 5.0)], "layer", ONE) == [pytest.approx(13 + 5)]
    # The second task waits for the first piece of the first one; its own first piece is served
    # before the second piece of the first one, which comes later: 13, 26, 31, 36.
    assert responses([task(0, 0.0), task(1, 0.0)], "layer", ONE) == pytest.approx([31, 36])
    assert responses([task(0, 0.0, noise=1.5)], "layer", ONE) == [pytest.approx(1.5 * 18)]
    # On the fast host: 1 + 2 + 5, then 1 + 2.
    assert responses([task(0, 0.0)], "layer", TWO) == [pytest.approx(11.0)]


def test_branches_join_by_hand() -> None:
    # Three branches of 1 + 2 + 3 s on one host are done one after the other.
    assert responses([task(0, 2.0)], "semantic", ONE) == [pytest.approx(18.0)]
    # 6 s on the slow, 4.5 s on the fast host: the first goes to the fast one (4.5), the second to
    # the slow one (6 < 9), the third to the fast one (9 < 12): the join is at 9.
    assert responses([task(0, 0.0)], "semantic", TWO) == [pytest.approx(9.0)]


def test_a_placer_sees_what_hosts_still_have_to_do() -> None:
    seen = []

    class Watching(Placer):
        def place(self, seconds: np.ndarray, backlog: np.ndarray) -> np.ndarray:
            seen.append((seconds.tolist(), backlog.tolist()))
            return LeastLoaded().place(seconds, backlog)

    tasks = [task(0, 0.0), task(1, 2.0)]
    simulate_splits(tasks, Always("layer"), Watching(), hosts=TWO, handoff=1.0, bandwidth=50.0)
    assert seen[0] == ([[13.0, 8.0]], [0.0, 0.0])
    assert seen[1] == ([[13.0, 8.0]], [0.0, 6.0])
    # At 8 s the first piece is done on the fast host, where what comes next finds its input; the
    # other task's piece has been placed on the slow one (13 < 6 + 8) at 2 s.
    assert seen[2] == ([[6.0, 3.0]], [7.0, 0.0])


@pytest.mark.parametrize("placer", [LeastLoaded(), RandomHosts(np.random.default_rng(0))])
def test_every_task_is_done_once(placer: Placer) -> None:
    rng = np.random.default_rng(4)
    tasks = draw_tasks(interval_starts(2.0, 400, rng), rng)
    told: list[Finished] = []

    class Told(AtRandom):
        def learn(self, finished: Finished) -> None:
            told.append(finished)

    finished = simulate_splits(tasks, Told(np.random.default_rng(1)), placer)
    assert [done.task for done in finished] == list(tasks)
    assert sorted(told, key=lambda done: done.task.index) == list(finished)
    for done in finished:
        pieces = [piece for stage in done.task.application.stages(done.split) for piece in stage]
        # No task is faster than its longest piece on the fastest host.
        assert done.response > 0.6 * max(300.0 + piece.work / 2.0 for piece in pieces)
        assert done.accuracy == done.task.accuracy(done.split)


def test_a_single_piece_waits_as_theory_says() -> None:
    """Poisson tasks of one piece on one host are an M/D/1 queue."""
    single = Application(
        name="single",
        share=1.0,
        layer=(Piece(work=0.5, received=0.0),),
        semantic=(Piece(work=0.5, received=0.0),),
        accuracy=FrozenMap({"layer": 1.0, "semantic": 1.0}),
        deadlines=3,
        latency=1.0,
    )
    means = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        times = arrival_times(Poisson(rate=1.0), rng).next(1000)
        fixed = Deterministic(mean=1.0)
        tasks = draw_tasks(times, rng, applications=(single,), noise=fixed)
        finished = simulate_splits(tasks, Always("layer"), hosts=ONE, handoff=0.0)
        means.append(np.mean([done.response for done in finished[100:]]))
    assert_estimates(means, 0.5 + 0.5 * 0.5 / (2 * 0.5), max_rel_se=0.03)


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="hosts must be at least one"):
        simulate_splits([], Always("layer"), hosts=())
    with pytest.raises(InvalidInputError, match="handoff"):
        simulate_splits([], Always("layer"), handoff=-1.0)
    with pytest.raises(InvalidInputError, match="bandwidth"):
        simulate_splits([], Always("layer"), bandwidth=0.0)
