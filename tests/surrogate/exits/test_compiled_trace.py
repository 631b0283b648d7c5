"""The compiled network predicts what the torch module predicts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from datagen.exits.counts import checked_thresholds
from surrogate import load_exit_predictor
from surrogate.exits.compiled_trace import LEAST_PER_THREAD, compiled_prediction
from surrogate.exits.draws import random_thresholds
from surrogate.exits.predictor import TracePredictor
from surrogate.exits.tables import ConfidenceTable, table_of
from surrogate.exits.trace_kernel import TILE
from surrogate.exits.trace_network import TraceNet
from tests.contracts.models import scatter_weights
from tests.surrogate.exits.cases import CONTEXTS, EXITS, KNOTS, made_up_trace, trace_net

CLOSE = 1e-6
"""A few roundings of single precision, of numbers up to 1."""


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def vectors(count: int, seed: int = 2) -> np.ndarray:
    """Thresholds of all kinds: open to all, closed, and exactly 1 among them."""
    rng = np.random.default_rng(seed)
    tau = random_thresholds(made_up_trace().confidences, count, rng)
    for value in (0.0, 1.0, 1.5):
        tau[rng.random(tau.shape) < 0.05] = value
    return tau


def assert_alike(
    network: TraceNet, tau: np.ndarray, row: np.ndarray, table: ConfidenceTable | None = None
) -> None:
    found = compiled_prediction(network, tau, row, table)
    with torch.inference_mode():
        expected = network(torch.from_numpy(tau).float(), torch.from_numpy(row), table)
    for name, values in found._asdict().items():
        gap = np.abs(values - getattr(expected, name).numpy())
        assert gap.max(initial=0.0) <= CLOSE, name
    assert found.mix.sum(axis=1) == pytest.approx(np.ones(len(tau)), abs=CLOSE)


@pytest.mark.parametrize("count", [0, 1, TILE - 1, TILE, TILE + 1, 300])
def test_predicts_what_the_module_predicts(count: int) -> None:
    tau = vectors(count)
    assert_alike(trace_net(torch.float32), tau, np.arange(count) % CONTEXTS)


def test_threads_share_the_vectors(two_threads: None) -> None:
    count = 2 * LEAST_PER_THREAD + TILE + 3
    tau, row = vectors(count), np.arange(count) % CONTEXTS
    network = trace_net(torch.float32)
    assert_alike(network, tau, row)
    shared = compiled_prediction(network, tau, row)
    torch.set_num_threads(1)
    for one, other in zip(shared, compiled_prediction(network, tau, row), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("width", "heads", "layers"), [(5, 1, 1), (6, 3, 2), (12, 2, 3)], ids=lambda size: str(size)
)
def test_sizes_that_fill_no_group_of_weights(width: int, heads: int, layers: int) -> None:
    network = TraceNet(EXITS, CONTEXTS, KNOTS, width, layers, heads)
    network.set_table(table_of(made_up_trace(), KNOTS))
    scatter_weights(network)
    assert_alike(network, vectors(50), np.zeros(50, dtype=np.int64))


def test_mixtures_of_contexts_and_two_exits() -> None:
    network = trace_net(torch.float32)
    mixed = network.table.mixed(torch.tensor([[0.2, 0.5, 0.3]]))
    assert_alike(network, vectors(40), np.zeros(40, dtype=np.int64), mixed)
    smallest = TraceNet(2, knots=4, width=4, heads=1)
    assert_alike(smallest, vectors(40)[:, :1], np.zeros(40, dtype=np.int64))


def test_the_released_network() -> None:
    known = load_exit_predictor("eenn-digits")
    assert isinstance(known, TracePredictor)
    rng = np.random.default_rng(5)
    confidences = known.network.knots.double().numpy().T
    tau = random_thresholds(confidences, 500, rng)
    row = rng.integers(known.contexts, size=len(tau))
    found = known.predict(tau, row)
    with torch.inference_mode():
        own = torch.from_numpy(checked_thresholds(tau, known.exits)).float()
        expected = known.network(own, torch.from_numpy(row))
    assert np.abs(found.mix - expected.mix.numpy()).max() <= CLOSE
    # Of those who hardly exist, shares are quotients of roundings.
    right = found.mix * found.accuracy - (expected.mix * expected.accuracy).numpy()
    assert np.abs(right).max() <= CLOSE
    assert np.abs(found.confidence - expected.confidence.numpy()).max() <= CLOSE
