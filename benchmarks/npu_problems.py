"""Random problems of the benchmark of searches for batching: hubs that no search was tuned on."""

from __future__ import annotations

import numpy as np

from datagen.arrivals import Arrivals, Poisson, Renewal
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Link, Npu, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.exits import ExitTrace, Thresholds
from datagen.npu import ARRAYS, NETWORKS

__all__ = ["hub", "mixed", "wanted_accuracy"]

SEGMENTS = 3
"""Fragments of every network, an exit after each but the last."""

SAMPLES = 2000
"""Recorded samples of each network."""

CAPACITY = 48
"""Samples that an accelerator and its queue hold."""

CLUSTERED = (2.0, 6.0)
"""Range of the squared coefficient of variation of times between arrivals that come in clusters."""

FIRST, LAST = (0.5, 0.7), 0.92
"""Range of the accuracy of the first exit, and that of the last."""

WANTED = (0.4, 0.8)
"""Range of the accuracy that is asked for: how far from the first exit's to the last one's."""

OPEN = 0.7
"""Threshold of all exits to start with."""


def _trace(name: str, rng: np.random.Generator) -> ExitTrace:
    """Return recorded samples: confidences tell how likely an answer is right."""
    ease = rng.standard_normal((SAMPLES, 1)) + 0.5 * rng.standard_normal((SAMPLES, SEGMENTS))
    reach = np.linspace(rng.uniform(*FIRST), LAST, SEGMENTS)
    sure = 1.0 / (1.0 + np.exp(-(1.6 * ease + 1.7 * np.log(reach / (1.0 - reach)))))
    return ExitTrace(name=name, confidences=sure, correct=rng.random(sure.shape) < sure)


def wanted_accuracy(base: Deployment, number: int) -> dict[str, float]:
    """Return the accuracy that every chain decided by thresholds has to have.

    Args:
        base: A random problem.
        number: Its number.

    Returns:
        Chain -> least share of right answers.
    """
    rng = np.random.default_rng([2028, number])
    traces = {trace.name: trace.correct.mean(axis=0) for trace in base.problem.traces}
    floors = {}
    for chain in base.problem.chains:
        if isinstance((base.exits or {}).get(chain.name), Thresholds):
            right = traces[str(chain.trace)]
            floors[chain.name] = float(right[0] + rng.uniform(*WANTED) * (right[-1] - right[0]))
    return floors


def _arrivals(rate: float, rng: np.random.Generator) -> Arrivals:
    """Return samples at random times, or in clusters."""
    if rng.random() < 0.5:
        return Poisson(rate=rate)
    return Renewal(mean=1.0 / rate, scv=float(rng.uniform(*CLUSTERED)))


def _chains(
    npu: Npu, names: list[str], load: float, rng: np.random.Generator
) -> tuple[tuple[Chain, ...], tuple[ExitTrace, ...]]:
    """Return one chain per network, that share a load, and what is recorded of them."""
    shares = rng.dirichlet(np.full(len(names), 4.0))
    chains, traces = [], []
    for name, share in zip(names, shares.tolist(), strict=True):
        seconds = npu.times(name, (True,) * (SEGMENTS - 1) + (False,), 1).seconds[:, 0]
        fragments = tuple(
            Fragment(
                name=f"segment{k}",
                # A processor takes some times as long as the accelerator alone.
                service=Exponential(mean=float(rng.uniform(2.0, 4.0) * own)),
                weights=float(rng.uniform(2e6, 12e6)),
                output=float(rng.uniform(2e4, 2e5)),
                exit=Exit(head=Deterministic(mean=0.02 * float(own))) if k + 1 < SEGMENTS else None,
            )
            for k, own in enumerate(seconds.tolist())
        )
        rate = load * share / float(seconds.sum())
        chains.append(
            Chain(
                name=name,
                model=name,
                arrivals=_arrivals(rate, rng),
                fragments=fragments,
                deadline=float(rng.uniform(3.0, 8.0) * seconds.sum()),
                trace=name,
            )
        )
        traces.append(_trace(name, rng))
    return tuple(chains), tuple(traces)


def hub(number: int) -> Deployment:
    """Return a hub with one accelerator, serving one sample after the other to start with.

    Args:
        number: Which of the random problems, >= 0.

    Returns:
        Its start: exits half open.
    """
    rng = np.random.default_rng([2026, number])
    names = [str(rng.choice(NETWORKS))]
    npu = Npu(
        network={name: name for name in names}, array=str(rng.choice(list(ARRAYS))), variant="fixed"
    )
    chains, traces = _chains(npu, names, float(rng.uniform(0.5, 1.0)), rng)
    device = Device(name="hub", capacity=CAPACITY, npu=npu, power=(2.0, 9.0))
    return Deployment(
        problem=Problem(devices=(device,), chains=chains, traces=traces),
        placement={chain.name: (("hub",) * SEGMENTS,) for chain in chains},
        exits={chain.name: Thresholds(tau=(OPEN,) * (SEGMENTS - 1)) for chain in chains},
    )


def mixed(number: int) -> Deployment:
    """Return a home with an accelerator and processors, everything on these to start with.

    Args:
        number: Which of the random problems, >= 0.

    Returns:
        Its start: chains dealt out to the devices in turn, half of the samples sent elsewhere where
        a chain has two paths.
    """
    rng = np.random.default_rng([2027, number])
    names = rng.permutation(NETWORKS)[: int(rng.integers(2, 4))].tolist()
    npu = Npu(
        network={name: name for name in names}, array=str(rng.choice(list(ARRAYS))), variant="fixed"
    )
    chains, traces = _chains(npu, names, float(rng.uniform(0.9, 1.6)), rng)
    processors = [
        Device(
            name=f"cpu{k}",
            capacity=int(rng.integers(8, 20)),
            speed=float(rng.uniform(0.5, 1.5)),
            memory=float(rng.uniform(40e6, 80e6)),
            power=(1.0, 5.0),
        )
        for k in range(int(rng.integers(2, 4)))
    ]
    hub_ = Device(name="hub", capacity=CAPACITY, npu=npu, memory=60e6, power=(2.0, 9.0))
    devices = (hub_, *processors)
    links = tuple(
        Link(source=a.name, target=b.name, bandwidth=20e6, latency=1e-3)
        for a in devices
        for b in devices
        if a is not b
    )
    order = [device.name for device in devices]
    placement, routing = {}, {}
    for c, chain in enumerate(chains):
        first, second = order[c % len(order)], order[(c + 1) % len(order)]
        paths = [(first,) * SEGMENTS]
        if c == 0:
            paths.append((second,) * SEGMENTS)
            routing[chain.name] = (0.5, 0.5)
        placement[chain.name] = tuple(paths)
    return Deployment(
        problem=Problem(devices=devices, chains=chains, links=links, traces=traces),
        placement=placement,
        routing=routing,
        exits={chain.name: Thresholds(tau=(OPEN,) * (SEGMENTS - 1)) for chain in chains},
    )
