"""Gaps before jobs against those that a simulation shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen import Chain, Deployment, Device, Fragment, Problem
from datagen.arrivals import Poisson
from datagen.distributions import Deterministic
from datagen.evaluation import pack
from datagen.simulator.event_log import ARRIVED
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.tally import RunLength
from surrogate.features.arrays import flow_arrays
from surrogate.features.decomposition import Decomposition
from surrogate.features.spacing import Spacing
from surrogate.models import ChainNet
from tests.datagen.simulator.systems import packed
from tests.surrogate.cases import close, extremes, random_deployments

HORIZON = 2e4


def shared(load: float) -> Deployment:
    """Two flows with short and long services come through device ``up``, a third one directly."""
    rate = load / 0.5
    chains = [
        Chain(
            name=name,
            arrivals=Poisson(rate=per_second),
            fragments=[
                Fragment(name=f"{name}{k}", service=Deterministic(mean=mean))
                for k, mean in enumerate(means)
            ],
        )
        for name, per_second, means in (
            ("short", rate, (0.1, 0.3)),
            ("long", rate, (0.4, 0.3)),
            ("direct", 0.5, (0.3,)),
        )
    ]
    devices = [Device(name="up", capacity=40), Device(name="here", capacity=40)]
    placement = {"short": [["up", "here"]], "long": [["up", "here"]], "direct": [["here"]]}
    return Deployment(problem=Problem(devices=devices, chains=chains), placement=placement)


def gaps_of(deployment: Deployment) -> np.ndarray:
    """Mean time since the last arrival at device ``here`` before a job of each chain [s]."""
    network, draws = packed(deployment, seed=3)
    log = NumbaEngine().run(network, draws, RunLength.of(10.0, HORIZON), log=True).log
    assert log is not None
    last = np.array([1, 1, 0])  # of each chain, the step at device "here"
    here = log[(log["kind"] == ARRIVED) & (log["step"] == last[log["chain"]])]
    gap = np.diff(here["time"], prepend=0.0)
    return np.array([gap[here["chain"] == chain].mean() for chain in range(3)])


@pytest.mark.parametrize("load", [0.3, 0.8, 1.2])
def test_gaps_are_those_of_a_simulation(load: float) -> None:
    deployment = shared(load)
    arrays = flow_arrays(pack([deployment]))
    prior = Decomposition()(arrays)
    columns, of_devices, of_flows = Spacing().columns(arrays, prior)
    assert of_devices.shape == (arrays.devices, 0)
    assert of_flows.shape == (len(arrays.flow_rate), 0)
    here = (arrays.step_device == 1).nonzero()[:, 0]
    chain = arrays.flow_chain[arrays.step_flow[here]]
    said = (columns[here, 2].exp() * prior.mean[1])[chain.argsort()]
    expected = gaps_of(deployment)
    assert expected[1] > 1.3 * expected[0]  # or nothing is told apart
    assert said.numpy() == pytest.approx(expected, rel=0.2)


def test_independent_streams_have_gaps_of_the_mean() -> None:
    chains = [
        Chain(
            name=name,
            arrivals=Poisson(rate=rate),
            fragments=[Fragment(name=name, service=Deterministic(mean=0.1))],
        )
        for name, rate in (("often", 3.0), ("seldom", 0.5))
    ]
    problem = Problem(devices=[Device(name="here", capacity=4)], chains=chains)
    deployment = Deployment(problem=problem, placement={c.name: [["here"]] for c in chains})
    arrays = flow_arrays(pack([deployment]))
    columns, *_ = Spacing().columns(arrays, Decomposition()(arrays))
    close(columns[:, 0], torch.zeros(2))


def test_is_finite_at_the_edges_and_has_a_gradient() -> None:
    arrays = flow_arrays(extremes())
    columns, *_ = Spacing().columns(arrays, Decomposition()(arrays))
    assert torch.isfinite(columns).all()
    arrays = flow_arrays(pack(random_deployments(12, seed=4)))
    arrays.step_mean.requires_grad_()
    columns, *_ = Spacing().columns(arrays, Decomposition()(arrays))
    (gradient,) = torch.autograd.grad(columns.sum(), arrays.step_mean)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).any()


def test_a_network_reads_it_by_name() -> None:
    network = ChainNet(hidden=8, groups=["spacing"])
    assert network.features.names.step[-3:] == Spacing.names.step
