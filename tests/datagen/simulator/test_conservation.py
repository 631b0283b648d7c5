"""Nothing appears and nothing vanishes: laws that every run obeys exactly, on both engines."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datagen.deployment import Deployment
from datagen.simulator.engine import Engine, Run
from datagen.simulator.event_log import ARRIVED, CHOSEN, FINISHED, LEFT, LOST, MOVED, SENT
from datagen.simulator.network import Network
from datagen.simulator.randomness import ChainDraws
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
MANY = 4000
"""More jobs than a chain has in that time."""

pytestmark = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


class Played(NamedTuple):
    """A run, and where each of its jobs went: first step and steps by chain and job."""

    network: Network
    run: Run
    ways: list[NDArray[np.int64]]

    def of_log(self) -> NDArray[np.int64]:
        """First step and steps of the job of each logged event [N, 2]."""
        assert self.run.log is not None
        jobs = zip(self.run.log["chain"], self.run.log["job"], strict=True)
        return np.array([self.ways[chain][job] for chain, job in jobs]).reshape(-1, 2)


def play(engine: Engine, deployment: Deployment, seed: int) -> Played:
    """A run of drawn times if the seed is even, of grid times if it is odd."""

    def sources() -> tuple[Network, list[ChainDraws]]:
        network, drawn = packed(deployment, seed)
        return network, grid_sources(network, seed) if seed % 2 else drawn

    network, drawn = sources()
    features = network.features
    if features is None:
        start, route = network.chain_start, np.arange(network.chains + 1)
        table = np.stack([start[:-1], np.diff(start)], axis=1)
    else:
        table = np.stack([features.route_first, features.route_steps], axis=1)
        route = features.chain_route
    ways = []
    for chain, source in enumerate(sources()[1]):
        own = source.chunk_in(np.empty(MANY)).route
        ways.append(table[route[chain] + (np.zeros(MANY, dtype=int) if own is None else own)])
    return Played(network, engine.run(network, drawn, LENGTH, log=True), ways)


@settings(max_examples=60)
@given(deployment=deployments(), seed=st.integers(0, 1000))
def test_jobs_and_visits_balance(engine: Engine, deployment: Deployment, seed: int) -> None:
    network, run, _ = play(engine, deployment, seed)
    tally = run.tally
    if not run.truncated:
        assert np.array_equal(tally.offered, tally.completed + tally.lost)
        assert np.array_equal(tally.step_offered, tally.step_served + tally.step_lost)
    completed = tally.completed.sum(axis=1)
    assert np.array_equal(tally.histogram.sum(axis=1), completed)
    assert (tally.on_time <= completed).all()
    for chain in range(network.chains):
        steps = slice(network.chain_start[chain], network.chain_start[chain + 1])
        assert tally.step_lost[steps].sum() == tally.lost[chain].sum()
        entries, ways = [steps.start], [(steps.start, steps.stop, completed[chain])]
        if network.features is not None:
            features = network.features
            routes = slice(features.chain_route[chain], features.chain_route[chain + 1])
            entries = sorted(set(features.route_first[routes].tolist()))
            assert run.route_completed[routes].sum() == completed[chain]
            ends = features.route_first + features.route_steps
            every = zip(features.route_first, ends, run.route_completed, strict=True)
            ways = list(every)[routes]
        assert tally.step_offered[entries].sum() == tally.offered[chain].sum()
        for first, stop in zip(entries, [*entries[1:], steps.stop], strict=True):
            served, came = tally.step_served[first:stop], tally.step_offered[first:stop][1:]
            left = np.zeros(stop - first, dtype=np.int64)
            for start, end, jobs in ways:
                if start == first:
                    left[end - 1 - first] += jobs
            # Given up, a run may leave jobs on the way.
            assert (came + left[:-1] <= served[:-1]).all()
            assert run.truncated or np.array_equal(came + left[:-1], served[:-1])
            assert served[-1] == left[-1]
        # A latency is the sum of the times at the steps and of those on the way.
        latency = tally.latency[chain].sum()
        if network.features is not None:
            delay = network.features.step_delay
            latency -= sum(jobs * delay[start : end - 1].sum() for start, end, jobs in ways)
        assert tally.step_sojourn_completed[steps].sum() == pytest.approx(
            latency, rel=1e-11, abs=1e-9
        )


@settings(max_examples=60)
@given(deployment=deployments(), seed=st.integers(0, 1000))
def test_areas_are_those_of_the_log(engine: Engine, deployment: Deployment, seed: int) -> None:
    played = play(engine, deployment, seed)
    network, run = played.network, played.run
    assert run.log is not None
    log = run.log
    step = played.of_log()[:, 0] + log["step"]
    entered = (log["kind"] == ARRIVED) & (log["outcome"] != LOST)
    change = entered.astype(float) - (log["kind"] == FINISHED)
    held = np.zeros(len(log), dtype=bool)
    if network.features is not None:
        moved = (log["kind"] == FINISHED) & (log["outcome"] == MOVED)
        held = network.features.step_held[step] & moved
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
    _, run, ways = play(engine, deployment, seed)
    assert run.log is not None
    assert (np.diff(run.log["time"]) >= 0).all()
    courses: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for _, kind, chain, job, step, outcome in run.log.tolist():
        courses.setdefault((chain, job), []).append((step, kind, outcome))
    for (chain, job), course in courses.items():
        steps = ways[chain][job][1]
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

    def chunk_in(self, arrivals):  # type: ignore[no-untyped-def]
        chunk = super().chunk_in(arrivals)
        chunk.arrivals[chunk.arrivals > 1000.0] += 1e6
        return chunk
