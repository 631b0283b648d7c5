"""Laws of accelerators, read from the event logs of random deployments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.simulator.engine import Run
from datagen.simulator.event_log import ARRIVED, CHOSEN, FINISHED, LEFT, LOST
from datagen.simulator.network import Network
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.accelerated import random_deployment
from tests.datagen.simulator.systems import grid_sources, packed

LENGTH = RunLength.of(0.0, 30.0)
JOBS = 2000
"""More jobs of a chain than any of these runs sees."""

Sample = tuple[int, int]


@dataclass(frozen=True)
class Story:
    """A run, and what it was drawn from."""

    deployment: Deployment
    network: Network
    run: Run
    routes: list[list[int]]

    def row(self, chain: int, job: int, step: int) -> int:
        """The step of the network that a job is at."""
        assert self.network.features is not None
        route = self.network.features.chain_route[chain] + self.routes[chain][job]
        return int(self.network.features.route_first[route]) + step

    def last(self, chain: int, job: int) -> int:
        """The last step that a job passes."""
        assert self.network.features is not None
        route = self.network.features.chain_route[chain] + self.routes[chain][job]
        return int(self.network.features.route_steps[route]) - 1

    def events(self) -> Iterator[tuple[float, int, int, int, int, int]]:
        """The log."""
        assert self.run.log is not None
        yield from self.run.log.tolist()


def stories(seed: int) -> Story:
    """Play a random deployment; every other one on grid times."""

    def drawn():  # type: ignore[no-untyped-def]
        network, sources = packed(random_deployment(seed), seed)
        return network, grid_sources(network, seed) if seed % 2 else sources

    network, sources = drawn()
    chunks = [source.chunk_in(np.empty(JOBS)).route for source in drawn()[1]]
    routes = [[0] * JOBS if route is None else route.tolist() for route in chunks]
    run = NumbaEngine().run(network, sources, LENGTH, log=True)
    return Story(random_deployment(seed), network, run, routes)


seeds = st.integers(0, 10**6)


@settings(max_examples=60)
@given(seeds)
def test_every_sample_runs_each_segment_up_to_its_exit_once(seed: int) -> None:
    story = stories(seed)
    begun, ended = defaultdict(list), defaultdict(list)
    left, lost = set(), set()
    for _, kind, chain, job, step, outcome in story.events():
        if kind == CHOSEN:
            begun[chain, job].append(step)
        if kind == FINISHED:
            ended[chain, job].append(step)
        if outcome == LEFT and kind == FINISHED:
            left.add((chain, job))
        if outcome == LOST and kind == ARRIVED:
            lost.add((chain, job))
    for sample, steps in ended.items():
        # One after the other: nothing is run again, nothing skipped, nothing run after the exit.
        assert steps == list(range(len(steps)))
        assert len(steps) <= story.last(*sample) + 1
        assert (sample in left) == (len(steps) == story.last(*sample) + 1)
        assert len(begun[sample]) == len(set(begun[sample]))
    assert not left & lost
    if not story.run.truncated:
        assert story.run.tally.completed.sum() + story.run.tally.lost.sum() == (
            story.run.tally.offered.sum()
        )


@settings(max_examples=60)
@given(seeds)
def test_batches_are_of_one_segment_and_take_its_time(seed: int) -> None:
    story = stories(seed)
    batching = story.network.batching
    assert batching is not None
    ends = {
        (chain, job, step): time
        for time, kind, chain, job, step, _ in story.events()
        if kind == FINISHED
    }
    batches: dict[tuple[int, float], list[tuple[int, float | None]]] = defaultdict(list)
    for time, kind, chain, job, step, _ in story.events():
        row = story.row(chain, job, step)
        if kind == CHOSEN and batching.step_line[row] >= 0:
            line = batching.step_line[row]
            segment = int(batching.line_start[line] + batching.step_segment[row])
            device = int(batching.line_device[line])
            batches[device, time].append((segment, ends.get((chain, job, step))))
    for (device, begin), members in batches.items():
        assert len(set(members)) == 1, "all run one segment, to one end"
        segment, end = members[0]
        size = len(members)
        assert size <= batching.max_batch[device]
        if end is None:
            continue
        paid = begin + batching.seconds[segment, size - 1 : batching.max_batch[device]]
        allowed = paid[:1] if batching.compacts[device] else paid
        assert end in allowed.tolist()


@settings(max_examples=60)
@given(seeds)
def test_accelerators_that_do_not_wait_for_company_work_while_anybody_is_there(seed: int) -> None:
    story = stories(seed)
    batching = story.network.batching
    assert batching is not None
    eager = {
        index
        for index, device in enumerate(story.deployment.problem.devices)
        if device.npu is not None
        and (config := story.deployment.batch_config(device.name)).policy != "static"
        and config.timeout == 0
    }
    present: dict[int, set[Sample]] = defaultdict(set)
    running: dict[int, set[Sample]] = defaultdict(set)
    events = list(story.events())
    for place, (time, kind, chain, job, step, outcome) in enumerate(events):
        row = story.row(chain, job, step)
        device, sample = int(story.network.step_device[row]), (chain, job)
        if kind == ARRIVED and outcome != LOST:
            present[device].add(sample)
        if kind == CHOSEN:
            running[device].add(sample)
        if kind == FINISHED:
            running[device].discard(sample)
            if outcome == LEFT or not batching.step_stays[row]:
                present[device].discard(sample)
        is_over = place + 1 == len(events) or events[place + 1][0] > time
        if is_over and place + 1 < len(events):
            assert all(bool(present[own]) == bool(running[own]) for own in eager)


@settings(max_examples=30)
@given(seeds)
def test_counted_batches_are_those_of_the_log(seed: int) -> None:
    story = stories(seed)
    batching, counts = story.network.batching, story.run.batches
    assert batching is not None
    assert counts is not None
    served = defaultdict(int)
    for time, kind, chain, job, step, _ in story.events():
        row = story.row(chain, job, step)
        if kind == CHOSEN and 0.0 < time <= LENGTH.horizon and batching.step_line[row] >= 0:
            line = batching.step_line[row]
            served[int(batching.line_start[line] + batching.step_segment[row])] += 1
    sizes = np.arange(1, counts.sizes.shape[1] + 1)
    assert (counts.sizes @ sizes).tolist() == [served[g] for g in range(len(counts.sizes))]
