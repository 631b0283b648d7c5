"""Nothing appears and nothing vanishes: laws that every run obeys exactly, on both engines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.simulator.engine import Engine, Run
from datagen.simulator.kernel import ARRIVED, CHOSEN, FINISHED, LEFT, LOST, SENT
from datagen.simulator.network import Network
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.systems import (
    ENGINES,
    GridDraws,
    area,
    as_sources,
    deployments,
    grid_sources,
    network_of,
    packed,
)

LENGTH = RunLength.of(5.0, 60.0)

pytestmark = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


def play(engine: Engine, deployment: Deployment, seed: int) -> tuple[Network, Run]:
    """A run of drawn times if the seed is even, of grid times if it is odd."""
    network, sources = packed(deployment, seed)
    if seed % 2:
        sources = grid_sources(network, seed)
    return network, engine.run(network, sources, LENGTH, log=True)


@settings(max_examples=60)
@given(deployment=deployments(), seed=st.integers(0, 1000))
def test_jobs_and_visits_balance(engine: Engine, deployment: Deployment, seed: int) -> None:
    network, run = play(engine, deployment, seed)
    tally = run.tally
    if not run.truncated:
        assert np.array_equal(tally.offered, tally.completed + tally.lost)
        assert np.array_equal(tally.step_offered, tally.step_served + tally.step_lost)
    completed = tally.completed.sum(axis=1)
    assert np.array_equal(tally.histogram.sum(axis=1), completed)
    assert (tally.on_time <= completed).all()
    for chain in range(network.chains):
        steps = slice(network.chain_start[chain], network.chain_start[chain + 1])
        served = tally.step_served[steps]
        assert tally.step_offered[steps.start] == tally.offered[chain].sum()
        # Given up, a run may leave jobs on the way.
        came = tally.step_offered[steps][1:]
        assert (came <= served[:-1]).all()
        assert run.truncated or np.array_equal(came, served[:-1])
        assert tally.step_lost[steps].sum() == tally.lost[chain].sum()
        assert served[-1] == completed[chain]
        # A latency is the sum of the times at the steps and of those on the way.
        latency = tally.latency[chain].sum()
        if network.features is not None:
            latency -= completed[chain] * network.features.step_delay[steps].sum()
        assert tally.step_sojourn_completed[steps].sum() == pytest.approx(
            latency, rel=1e-11, abs=1e-9
        )


@settings(max_examples=60)
@given(deployment=deployments(), seed=st.integers(0, 1000))
def test_areas_are_those_of_the_log(engine: Engine, deployment: Deployment, seed: int) -> None:
    network, run = play(engine, deployment, seed)
    assert run.log is not None
    log = run.log
    step = network.chain_start[log["chain"]] + log["step"]
    entered = (log["kind"] == ARRIVED) & (log["outcome"] != LOST)
    change = entered.astype(float) - (log["kind"] == FINISHED)
    held = np.zeros(len(log), dtype=bool)
    if network.features is not None:
        held = network.features.step_held[step] & (log["kind"] == FINISHED)
    occupied = change + held - (log["kind"] == SENT)
    assert run.events == np.sum(
        (log["kind"] == FINISHED) | ((log["kind"] == ARRIVED) & (log["step"] == 0))
    )
    for device in range(network.devices):
        here = network.step_device[step] == device
        times, demand = log["time"][here], network.step_demand[step][here]
        jobs, units = np.cumsum(change[here]), np.cumsum(occupied[here] * demand)
        assert (jobs >= 0).all()
        assert (units <= network.capacity[device]).all()
        busy = np.minimum(jobs, network.servers[device])
        for counted, level in (
            (run.tally.jobs, jobs),
            (run.tally.units, units),
            (run.tally.busy, busy),
        ):
            exact = area(times, np.diff(level, prepend=0.0), LENGTH)
            assert counted[device] == pytest.approx(exact, rel=1e-12, abs=1e-12)


@settings(max_examples=30)
@given(deployment=deployments(), seed=st.integers(0, 1000))
def test_every_job_runs_its_course(engine: Engine, deployment: Deployment, seed: int) -> None:
    network, run = play(engine, deployment, seed)
    assert run.log is not None
    assert (np.diff(run.log["time"]) >= 0).all()
    courses: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for _, kind, chain, job, step, outcome in run.log.tolist():
        courses.setdefault((chain, job), []).append((step, kind, outcome))
    for (chain, _), course in courses.items():
        steps = network.chain_start[chain + 1] - network.chain_start[chain]
        course = [event for event in course if event[1] not in (CHOSEN, SENT)]
        expected = [(step, kind) for step in range(steps) for kind in (ARRIVED, FINISHED)]
        assert [event[:2] for event in course] == expected[: len(course)]
        assert all(outcome not in (LOST, LEFT) for _, _, outcome in course[:-1])
        if len(course) == len(expected):
            assert course[-1][2] == LEFT


def test_littles_law(engine: Engine) -> None:
    # From empty to empty, with no warm-up, L = lambda W holds for a sample path without any error.
    network = network_of([(2, 4), (1, np.inf)], [[0, 1, 0], [1]])
    sources = as_sources([_Ending(1, 3, longest_gap=5), _Ending(2, 1, longest_gap=6)])
    tally = engine.run(network, sources, RunLength.of(0.0, 2000.0)).tally
    assert tally.lost.sum() > 0
    sojourn = np.bincount(network.step_device, weights=tally.step_sojourn)
    assert tally.jobs.tolist() == sojourn.tolist()  # grid times: sums are exact


class _Ending(GridDraws):
    """Grid draws whose arrivals stop long before the horizon."""

    def next_chunk(self, count):  # type: ignore[no-untyped-def]
        chunk = super().next_chunk(count)
        chunk.arrivals[chunk.arrivals > 1000.0] += 1e6
        return chunk
