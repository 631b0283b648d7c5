"""Exact M/PH/c/K by its Markov chain, an oracle that shares no code with the package."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import lil_array
from scipy.sparse.linalg import spsolve

Array = NDArray[np.float64]
State = tuple[int, tuple[int, ...]]


def erlang_phases(stages: int) -> tuple[Array, Array]:
    """Start probabilities and generator of an Erlang law of mean 1, scv 1/stages."""
    start = np.zeros(stages)
    start[0] = 1.0
    return start, stages * (np.eye(stages, k=1) - np.eye(stages))


def mphck(
    arrival_rate: float, phases: tuple[Array, Array], servers: int, capacity: int
) -> tuple[float, float]:
    """Loss probability and mean jobs of M/PH/c/K.

    A state is the number of jobs and how many busy servers are in each phase.
    """
    start, generator = phases
    finish = -generator.sum(axis=1)
    kinds = range(start.size)
    states: list[State] = [
        (jobs, occupied)
        for jobs in range(capacity + 1)
        for occupied in itertools.product(range(servers + 1), repeat=start.size)
        if sum(occupied) == min(jobs, servers)
    ]
    index = {state: i for i, state in enumerate(states)}
    flow = lil_array((len(states), len(states)))

    def move(source: State, target: State, rate: float) -> None:
        flow[index[target], index[source]] += rate
        flow[index[source], index[source]] -= rate

    def changed(occupied: tuple[int, ...], phase: int, by: int) -> tuple[int, ...]:
        return tuple(n + by * (i == phase) for i, n in enumerate(occupied))

    for jobs, occupied in states:
        here = (jobs, occupied)
        if jobs < servers:
            for i in kinds:
                move(here, (jobs + 1, changed(occupied, i, 1)), arrival_rate * start[i])
        elif jobs < capacity:
            move(here, (jobs + 1, occupied), arrival_rate)
        for i in kinds:
            if occupied[i] == 0:
                continue
            left = changed(occupied, i, -1)
            for j in kinds:
                if j != i:
                    move(here, (jobs, changed(left, j, 1)), occupied[i] * generator[i, j])
                if jobs > servers:
                    rate = occupied[i] * finish[i] * start[j]
                    move(here, (jobs - 1, changed(left, j, 1)), rate)
            if jobs <= servers:
                move(here, (jobs - 1, left), occupied[i] * finish[i])
    flow[0, :] = 1.0
    right = np.zeros(len(states))
    right[0] = 1.0
    probability = spsolve(flow.tocsc(), right)
    count = np.array([jobs for jobs, _ in states])
    return float(probability[count == capacity].sum()), float(count @ probability)
