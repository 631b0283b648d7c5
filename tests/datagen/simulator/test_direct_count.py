"""Jobs that leave by thresholds on a trace do exactly what their rows of it say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, LogNormal
from datagen.evaluation import pack
from datagen.exits import ExitTrace, Thresholds
from datagen.exits.likeness import exit_mixes
from datagen.exits.synthetic import SyntheticExits
from datagen.simulator import simulate
from datagen.simulator.randomness import stream
from datagen.simulator.sources import chain_draws

TRACE = SyntheticExits.of_accuracy([0.5, 0.7, 0.8, 0.9], spread=2.0).sample(137, seed=4, name="t")

RUNS, LENGTH, WARMUP, SEED = 2, 3000.0, 0.25, 11


def leaving(tau: tuple[float, ...]) -> Deployment:
    """Every fragment on a device of its own with room for all, so that no job is lost."""
    fragments = tuple(
        Fragment(
            name=f"f{place}",
            service=LogNormal(mean=0.3, scv=0.5),
            exit=Exit(head=Deterministic(mean=0.01)) if place < 3 else None,
        )
        for place in range(4)
    )
    chain = Chain(name="c", arrivals=Poisson(rate=1.0), fragments=fragments, trace="t")
    devices = tuple(Device(name=f"d{place}") for place in range(4))
    problem = Problem(devices=devices, chains=(chain,), traces=(TRACE,))
    path = tuple(device.name for device in devices)
    return Deployment(problem=problem, placement={"c": (path,)}, exits={"c": Thresholds(tau=tau)})


def drawn_rows(deployment: Deployment) -> ExitTrace:
    """The rows of the trace that the jobs of the cohort drew, made into a trace."""
    batch = pack([deployment])
    rows = []
    for run in range(RUNS):
        most = int(2 * LENGTH)
        arrivals = chain_draws(batch, 0, seed=SEED, replication=run)[0].next_chunk(most).arrivals
        counted = (arrivals > WARMUP * LENGTH) & (arrivals <= LENGTH)
        uniforms = stream(SEED, int(batch.key[0]), run, "exits", 0).random(most)
        rows.append((uniforms * TRACE.samples).astype(int)[counted])
    chosen = np.concatenate(rows)
    return ExitTrace(name="r", confidences=TRACE.confidences[chosen], correct=TRACE.correct[chosen])


@pytest.mark.parametrize("engine", ["numba", "simpy"])
@pytest.mark.parametrize("tau", [(0.6, 0.7, 0.8), (0.4, 1.5, 0.9), (2.0, 0.0, 0.3)])
def test_histogram_and_accuracy_are_the_direct_count(tau: tuple[float, ...], engine: Any) -> None:
    deployment = leaving(tau)
    rows = drawn_rows(deployment)
    ((mix,), (right,)) = exit_mixes(rows, np.array([tau]))
    measures = simulate(
        [deployment],
        engine=engine,
        horizon=RUNS * LENGTH,
        replications=RUNS,
        warmup=WARMUP,
        seed=SEED,
    )
    chain, reached = measures.chain, measures.step["offered"]
    assert chain["offered"][0] == chain["completed"][0] == rows.samples > 3000
    left = reached - np.append(reached[1:], 0)
    assert left.tolist() == np.rint(mix * rows.samples).tolist()
    for name in ("accuracy_completed", "accuracy_offered"):
        assert chain[name][0] == pytest.approx(right, rel=1e-12)
