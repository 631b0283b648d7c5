"""Blocking against Ciw, which blocks those who come from another node and loses all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from datagen.simulator import simulate
from tests.datagen.simulator.test_ciw import (
    EVENTS_OF_OURS,
    RUNS,
    Z_MAX,
    Node,
    Stream,
    ciw,
    ours,
    play_ciw,
    theirs,
)

NODES = [Node("a", 4), Node("b", 2), Node("c", 3, 2)]
STREAMS = [
    Stream("x", 0.7, ("a", "b", "c"), (1.0, 0.9, 0.8)),
    Stream("y", 0.4, ("b", "c"), (1.2, 1.0)),
]


def test_ciw_agrees_within_joint_intervals() -> None:
    names = [stream.name for stream in STREAMS]
    horizon = 4_000.0 / sum(stream.rate for stream in STREAMS)
    network = theirs(NODES, STREAMS, "fcfs")
    runs = np.stack([play_ciw(network, names, horizon, seed, ciw.Node) for seed in range(RUNS)])
    base = ours(NODES, STREAMS, "fcfs")
    deployment = replace(base, problem=replace(base.problem, overflow="block"))
    measures = simulate([deployment], events=EVENTS_OF_OURS, seed=1)[0]
    for row, name in enumerate(names):
        mine = measures.chains[name]
        pairs = [(mine.loss_ratio, mine.loss_ratio_se), (mine.latency, mine.latency_se)]
        for (value, own_se), estimates in zip(pairs, runs[:, row].T, strict=True):
            their_se = estimates.std(ddof=1) / np.sqrt(RUNS)
            joint = np.hypot(own_se, their_se)
            assert joint <= 0.03 * value, "too noisy to test"
            assert abs(estimates.mean() - value) <= Z_MAX * joint
