"""The compiled loop's own affairs: slots and log grow, chunks do not matter, no index strays."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import BatchConfig, Chain, Deployment, Device, Exit, Fragment, Link, Problem
from datagen.distributions import Exponential, LogNormal
from datagen.evaluation import pack
from datagen.exits import ExitMix
from datagen.simulator import kernel, numba_engine, simpy_work, warm_up
from datagen.simulator.arrival_kernel import batch_of as _batch_of
from datagen.simulator.engine import Replications, Run
from datagen.simulator.leave_kernel import latency_bin as _latency_bin
from datagen.simulator.network import Network
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.randomness import ChainDraws, Chunk
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import FIRST_BIN, HISTOGRAM_BINS, RunLength, bin_edges, latency_bin
from tests.datagen.simulator.accelerated import one_accelerator, random_deployment
from tests.datagen.simulator.systems import (
    FixedDraws,
    as_sources,
    network_of,
    packed,
    same_bits,
)

BOTH = ["plain", "featured"]
UNIT = Exponential(mean=1.0)
LENGTH = RunLength.of(10.0, 400.0)


def overloaded(rate: float = 5.0) -> Deployment:
    """Two chains on an unlimited device that serves 2 jobs a second, and a small one after it."""
    first = Fragment(name="f0", service=Exponential(mean=0.5))
    second = Fragment(name="f1", service=LogNormal(mean=0.5, scv=2.0), demand=2)
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=own), fragments=(first, second))
        for name, own in (("busy", rate), ("rare", 0.3))
    )
    devices = (Device(name="large"), Device(name="small", capacity=5))
    path = (("large", "small"),)
    problem = Problem(devices=devices, chains=chains)
    return Deployment(problem=problem, placement={"busy": path, "rare": path})


def featured(rate: float = 5.0) -> Deployment:
    """The same with priorities, links, two paths and an exit."""
    base = overloaded(rate)
    first = replace(
        base.problem.chains[0].fragments[0], output=1e6, exit=Exit(head=Exponential(mean=0.1))
    )
    chains = tuple(
        replace(chain, fragments=(first, chain.fragments[1]), priority=rank)
        for rank, chain in enumerate(base.problem.chains)
    )
    large, small = base.problem.devices
    problem = replace(
        base.problem,
        chains=chains,
        devices=(replace(large, discipline="priority"), small, Device(name="third", capacity=2)),
        links=(
            Link(source="large", target="small", bandwidth=1e6),
            Link(source="large", target="third", bandwidth=1e6, latency=0.5, release="start"),
        ),
    )
    paths = (("large", "small"), ("large", "third"))
    return Deployment(
        problem=problem,
        placement=dict.fromkeys(("busy", "rare"), paths),
        routing=dict.fromkeys(("busy", "rare"), (0.5, 0.5)),
        exits={"busy": ExitMix(p=(0.2, 0.8)), "rare": ExitMix(p=(0.6, 0.4))},
    )


def play(deployment: Deployment) -> Run:
    network, sources = packed(deployment, seed=3)
    return NumbaEngine().run(network, sources, LENGTH, log=True)


def reference(deployment: Deployment) -> Run:
    network, sources = packed(deployment, seed=3)
    return SimpyEngine().run(network, sources, LENGTH, log=True)


@pytest.mark.parametrize("made", [overloaded, featured])
def test_slots_grow(monkeypatch: pytest.MonkeyPatch, made: Callable[[], Deployment]) -> None:
    run = play(made())
    assert run.log is not None
    change = np.array([1, -1, 0, 0])[run.log["kind"]]
    waiting = np.cumsum((run.log["step"] == 0) * change)
    assert waiting.max() > 4 * numba_engine._FIRST_SLOTS
    same_bits(run, reference(made()))
    for slots in (1, 2, 7):
        monkeypatch.setattr(numba_engine, "_FIRST_SLOTS", slots)
        same_bits(run, play(made()))


@pytest.mark.parametrize("made", [overloaded, featured])
def test_the_log_grows(monkeypatch: pytest.MonkeyPatch, made: Callable[[], Deployment]) -> None:
    run = play(made())
    for room in (2, 3, 64):
        monkeypatch.setattr(numba_engine, "_FIRST_LOG", room)
        same_bits(run, play(made()))


@pytest.mark.parametrize("size", [2, 3, 64, 100_000])
@pytest.mark.parametrize("made", [overloaded, featured])
def test_chunks_of_draws_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, size: int, made: Callable[[float], Deployment]
) -> None:
    deployment = made(1.5)
    run = play(deployment)
    monkeypatch.setattr(numba_engine, "_CHUNK", size)
    monkeypatch.setattr(numba_engine, "_SMALLEST_CHUNK", size)
    monkeypatch.setattr(simpy_work, "CHUNK", size)
    same_bits(run, play(deployment))
    same_bits(run, reference(deployment))


@pytest.mark.parametrize("made", [overloaded, featured])
def test_what_one_run_leaves_in_the_arrays_does_not_matter(
    made: Callable[..., Deployment],
) -> None:
    network, sources = packed(made(), seed=3)
    engine = NumbaEngine()
    engine.run(network, packed(made(), seed=4)[1], RunLength.of(0.0, 90.0))  # stops amid jobs
    same_bits(engine.run(network, sources, LENGTH, log=True), play(made()))
    other, others = packed(made(0.5), seed=3)
    same_bits(engine.run(other, others, LENGTH, log=True), play(made(0.5)))


@pytest.mark.parametrize("horizon", [400.0, 40_000.0])
def test_hardly_more_jobs_are_drawn_than_arrive(
    monkeypatch: pytest.MonkeyPatch, horizon: float
) -> None:
    network, sources = packed(overloaded(1.5), seed=3)
    drawn = dict.fromkeys(sources, 0)
    original = ChainDraws.chunk_in

    def counted(draws: ChainDraws, arrivals: np.ndarray) -> Chunk:
        drawn[draws] += len(arrivals)
        return original(draws, arrivals)

    monkeypatch.setattr(ChainDraws, "chunk_in", counted)
    run = NumbaEngine().run(network, sources, RunLength.of(0.0, horizon))
    for source, arrived in zip(sources, run.tally.offered.sum(axis=1), strict=True):
        spare = drawn[source] - arrived
        assert 0 < spare < 6.0 * np.sqrt(arrived) + 2 * numba_engine._SMALLEST_CHUNK


def accelerated() -> Deployment:
    """One accelerator that takes one sample after the other."""
    return one_accelerator([[1.0]], BatchConfig())


def test_networks_of_batches_and_those_made_by_hand_share_their_loops() -> None:
    assert not pack([overloaded()]).device_capacity.flags.writeable
    run = NumbaEngine().run
    run(*packed(overloaded(), seed=3), LENGTH)
    run(*packed(featured(), seed=3), LENGTH)
    run(*packed(accelerated(), seed=3), LENGTH)
    compiled = list(kernel.play.signatures)
    by_hand = network_of([(1, 5.0)], [[0]])
    run(by_hand, as_sources([FixedDraws([1.0], [[1.0]])]), LENGTH)
    with_priorities = network_of([(1, 5.0)], [[0]], classes=[0])
    run(with_priorities, as_sources([FixedDraws([1.0], [[1.0]])]), LENGTH)
    run(*packed(random_deployment(3), seed=3), LENGTH)
    assert kernel.play.signatures == compiled


def blocking() -> Deployment:
    """The two chains again, whose jobs wait for room."""
    base = overloaded(1.5)
    return replace(base, problem=replace(base.problem, overflow="block"))


def blocking_accelerator() -> Deployment:
    """One accelerator in a problem whose jobs wait for room."""
    base = accelerated()
    return replace(base, problem=replace(base.problem, overflow="block"))


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of the loops that networks are played by; nothing is compiled for it."""
    loops = set()

    class Spy(SimpyEngine):
        def replicate(self, network: Network, *arguments: Any) -> Replications:
            has = {
                "featured": network.features is not None,
                "contended": network.contention is not None or network.sharing is not None,
                "accelerated": network.batching is not None,
            }
            loops.add(" ".join(name for name, flag in has.items() if flag) or "plain")
            return super().replicate(network, *arguments)

    monkeypatch.setattr(numba_engine, "NumbaEngine", Spy)
    return loops


@pytest.mark.parametrize(
    ("deployments", "loops"),
    [
        ([overloaded], ["plain"]),
        ([featured], ["featured"]),
        ([accelerated], ["featured accelerated"]),
        ([blocking], ["featured contended"]),
        ([blocking_accelerator], ["featured contended accelerated"]),
        ([overloaded, featured], BOTH),
    ],
)
def test_warming_up_plays_the_loops_that_are_asked_for(
    played: set[str], deployments: list[Callable[[], Deployment]], loops: list[str]
) -> None:
    warm_up(pack([make() for make in deployments]))
    assert played == set(loops)


def test_warming_up_plays_the_common_loops_unless_all_are_wanted(played: set[str]) -> None:
    warm_up()
    assert played == set(BOTH)
    warm_up(every=True)
    special = {"contended", "accelerated", "contended accelerated"}
    assert played == {*BOTH, *(f"featured {kind}" for kind in special)}


def peak_of_arrays(jobs: float) -> int:
    """Peak memory of the arrays of a run of about so many jobs [bytes]."""
    chain = Chain(
        name="c", arrivals=Poisson(rate=0.9), fragments=(Fragment(name="f", service=UNIT),)
    )
    problem = Problem(devices=(Device(name="d", capacity=10),), chains=(chain,))
    network, sources = packed(Deployment(problem=problem, placement={"c": (("d",),)}), seed=3)
    tracemalloc.start()
    run = NumbaEngine().run(network, sources, RunLength.of(0.0, jobs / 0.9))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.tally.offered.sum() > 0.99 * jobs
    return peak


def test_memory_does_not_grow_with_the_horizon() -> None:
    peak_of_arrays(3e4)  # loads what is loaded once
    # Hundreds of times the jobs; a few small objects more or less are alive at the peak.
    assert peak_of_arrays(1e7) < 1.5 * peak_of_arrays(3e4)


def test_bins_are_those_of_the_readable_code() -> None:
    edges = bin_edges()
    latencies = [0.0, 1e-300, 1e300, *edges, *np.nextafter(edges, 0.0)]
    for latency in latencies:
        assert _latency_bin(float(latency)) == latency_bin(float(latency))
    assert FIRST_BIN > 0
    assert _latency_bin(1e300) == HISTOGRAM_BINS - 1


def test_batches_are_those_of_the_readable_code() -> None:
    for length in (RunLength.of(0.0, 1.0), RunLength.of(5.0, 99.0), RunLength.of(0.1, 0.7)):
        inside = np.linspace(length.warmup, length.horizon, 129)
        times = [*inside, *np.nextafter(inside, 0.0), *np.nextafter(inside, 1e9), 1e9]
        for time in times:
            assert _batch_of(float(time), length) == length.batch_of(float(time))


BOUNDS_CHECKED = """
from datagen.simulator import numba_engine
numba_engine._FIRST_SLOTS, numba_engine._FIRST_LOG, numba_engine._CHUNK = 2, 2, 32
numba_engine._SMALLEST_CHUNK = 2
import numba
import numpy as np
import pytest
from hypothesis import given, settings, strategies
from datagen.simulator.index_kernel import unsigned
from tests.datagen.simulator.systems import deployments, same_bits
from tests.datagen.simulator.test_engines_agree import WINDOWS, agree
from tests.datagen.simulator.test_kernel import featured, overloaded, play, reference
assert numba.config.BOUNDSCHECK

@numba.njit
def element(values, index):
    return values[unsigned(index)]

assert element(np.arange(3), 2) == 2
for stray in (-1, 3):
    with pytest.raises(IndexError):
        element(np.arange(3), stray)

for rate in (1.5, 5.0):
    same_bits(play(overloaded(rate)), reference(overloaded(rate)))
    same_bits(play(featured(rate)), reference(featured(rate)))

@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(deployments(), WINDOWS, strategies.booleans())
def any_deployment(deployment, length, on_grid):
    agree(deployment, 1, length, on_grid=on_grid)

any_deployment()
"""


def test_no_index_strays(repository: Path) -> None:
    # In a process of its own: the flag is read when numba is imported. Slots, log and draws grow.
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1"}
    command = [sys.executable, "-c", BOUNDS_CHECKED]
    subprocess.run(command, cwd=repository, env=environment, check=True)
