"""Both engines give the same event log to the last bit, whatever the deployment."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.deployment import Deployment
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.systems import deployments, grid_sources, packed, same_bits

SEEDS = st.integers(0, 1000)
WINDOWS = st.sampled_from([RunLength.of(0.0, 40.0), RunLength.of(5.0, 100.0)])


@settings(max_examples=300)
@given(deployments(), SEEDS, WINDOWS)
def test_engines_agree(deployment: Deployment, seed: int, length: RunLength) -> None:
    network, _ = packed(deployment, seed)
    runs = [
        engine.run(network, packed(deployment, seed)[1], length, log=True)
        for engine in (NumbaEngine(), SimpyEngine())
    ]
    same_bits(*runs)


@settings(max_examples=200)
@given(deployments(), SEEDS, WINDOWS)
def test_engines_agree_where_ties_are_the_rule(
    deployment: Deployment, seed: int, length: RunLength
) -> None:
    network, _ = packed(deployment, seed)
    runs = [
        engine.run(network, grid_sources(network, seed), length, log=True)
        for engine in (NumbaEngine(), SimpyEngine())
    ]
    same_bits(*runs)
