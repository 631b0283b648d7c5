"""The compiled loop's own affairs: slots and log grow, chunks do not matter, no index strays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Problem
from datagen.distributions import Exponential, LogNormal
from datagen.simulator import numba_engine, simpy_engine
from datagen.simulator.engine import Run
from datagen.simulator.kernel import _batch_of, _latency_bin
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import FIRST_BIN, HISTOGRAM_BINS, RunLength, bin_edges, latency_bin
from tests.datagen.simulator.systems import packed, same_bits

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


def play(deployment: Deployment) -> Run:
    network, sources = packed(deployment, seed=3)
    return NumbaEngine().run(network, sources, LENGTH, log=True)


def reference(deployment: Deployment) -> Run:
    network, sources = packed(deployment, seed=3)
    return SimpyEngine().run(network, sources, LENGTH, log=True)


def test_slots_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    run = play(overloaded())
    assert run.log is not None
    waiting = np.cumsum((run.log["step"] == 0) * np.where(run.log["kind"] == 0, 1, -1))
    assert waiting.max() > 4 * numba_engine._FIRST_SLOTS
    same_bits(run, reference(overloaded()))
    for slots in (1, 2, 7):
        monkeypatch.setattr(numba_engine, "_FIRST_SLOTS", slots)
        same_bits(run, play(overloaded()))


def test_the_log_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    run = play(overloaded())
    for room in (2, 3, 64):
        monkeypatch.setattr(numba_engine, "_FIRST_LOG", room)
        same_bits(run, play(overloaded()))


@pytest.mark.parametrize("size", [2, 3, 64, 100_000])
def test_chunks_of_draws_do_not_matter(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    deployment = overloaded(1.5)
    run = play(deployment)
    monkeypatch.setattr(numba_engine, "_CHUNK", size)
    monkeypatch.setattr(numba_engine, "_SMALLEST_CHUNK", size)
    monkeypatch.setattr(simpy_engine, "CHUNK", size)
    same_bits(run, play(deployment))
    same_bits(run, reference(deployment))


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


def test_no_index_strays(repository: Path) -> None:
    # In a process of its own: the flag is read when numba is imported. Slots, log and draws grow.
    code = """
from datagen.simulator import numba_engine
numba_engine._FIRST_SLOTS, numba_engine._FIRST_LOG, numba_engine._CHUNK = 2, 2, 32
numba_engine._SMALLEST_CHUNK = 2
import numba
from tests.datagen.simulator.test_kernel import overloaded, play, reference
from tests.datagen.simulator.systems import same_bits
assert numba.config.BOUNDSCHECK
for rate in (1.5, 5.0):
    same_bits(play(overloaded(rate)), reference(overloaded(rate)))
"""
    environment = os.environ | {"NUMBA_BOUNDSCHECK": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=repository, env=environment, check=True)
