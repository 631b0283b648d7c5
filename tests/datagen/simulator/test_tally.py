"""Latency bins, batches and the window of a run."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.simulator.tally import (
    BATCHES,
    HISTOGRAM_BINS,
    RunLength,
    Tally,
    bin_edges,
    histogram_of,
    latency_bin,
)
from tests.datagen.simulator.systems import network_of


def test_bins_are_narrow_and_without_gaps() -> None:
    edges = bin_edges()
    assert len(edges) == HISTOGRAM_BINS + 1
    widths = np.diff(edges) / edges[:-1]
    assert (widths > 0).all()
    assert widths.max() <= 2.0**-7
    assert edges[0] == 2.0**-30
    assert edges[-1] == 2.0**30


def test_a_latency_lies_in_its_bin() -> None:
    edges = bin_edges()
    latencies = np.geomspace(1e-8, 1e8, 1001)
    for latency in latencies.tolist():
        index = latency_bin(latency)
        assert edges[index] <= latency < edges[index + 1]


def test_edges_belong_to_the_bin_above() -> None:
    edges = bin_edges()
    for index in (0, 1, 127, 128, HISTOGRAM_BINS - 1):
        assert latency_bin(float(edges[index])) == index
        assert latency_bin(float(np.nextafter(edges[index + 1], 0.0))) == index


@pytest.mark.parametrize("latency", [0.0, 5e-324, 1e-12])
def test_the_first_bin_takes_what_is_shorter(latency: float) -> None:
    assert latency_bin(latency) == 0


@pytest.mark.parametrize("latency", [2.0**30, 1e300])
def test_the_last_bin_takes_what_is_longer(latency: float) -> None:
    assert latency_bin(latency) == HISTOGRAM_BINS - 1


def test_the_window_is_open_on_the_left() -> None:
    length = RunLength.of(5.0, 105.0)
    assert length.batch_of(5.0) == -1
    assert length.batch_of(np.nextafter(5.0, 6.0)) == 0
    assert length.batch_of(105.0) == BATCHES - 1
    assert length.batch_of(np.nextafter(105.0, 106.0)) == -1
    assert length.limit == 210.0


def test_batches_are_equally_long() -> None:
    length = RunLength.of(5.0, 105.0)
    middles = 5.0 + (np.arange(BATCHES) + 0.5) * 100.0 / BATCHES
    assert [length.batch_of(time) for time in middles.tolist()] == list(range(BATCHES))


def test_an_empty_tally_has_the_shape_of_its_network() -> None:
    network = network_of([(1, 2), (1, 2)], [[0, 1, 0], [1]])
    tally = Tally.zeros(network, histogram_of(network))
    assert tally.offered.shape == tally.latency.shape == (2, BATCHES)
    assert tally.histogram.shape == (2, HISTOGRAM_BINS)
    assert tally.step_sojourn.shape == (4,)
    assert tally.busy.shape == (2,)
    assert all(not values.any() for values in tally)
