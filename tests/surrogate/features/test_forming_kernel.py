"""How full batches form: rests of lines as counted, and starts as simulated."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from datagen.compiled import compiled
from surrogate.features.batch_queue_kernel import Scratch
from surrogate.features.forming_kernel import fill_counts, split_rests


@compiled
def _split(lines: int, largest: int, load: float, most: int, work: Scratch) -> None:
    split_rests(lines, largest, load, most, work)


@compiled
def _count(counts: np.ndarray, mean: float, excess: float, most: int) -> None:
    fill_counts(counts, mean, excess, most)


@pytest.mark.parametrize(("lines", "largest"), [(1, 4), (2, 2), (3, 4), (4, 3)])
def test_the_next_to_come_fills_a_batch_as_often_as_counted(lines: int, largest: int) -> None:
    work = Scratch.new()
    _split(lines, largest, 0.5, lines * (largest - 1) + 2, work)
    rests = np.array(list(itertools.product(range(largest), repeat=lines)))
    for waiting in range(lines * (largest - 1) + 1):
        alike = rests[rests.sum(axis=1) == waiting]
        # Any line is as likely to be the next: all splits are there, and so are their mirrors.
        counted = (alike[:, 0] == largest - 1).mean()
        assert work.fills[waiting] == pytest.approx(counted)
    assert work.fills[lines * (largest - 1) + 1] == 1.0


def test_a_full_batch_is_there_as_often_as_its_load_says() -> None:
    work = Scratch.new()
    _split(2, 2, 0.5, 6, work)
    # Two rests of 0 or 1 make 0, 1, 2 in 1, 2, 1 ways; each full batch takes two and weighs 1/2.
    assert work.none[:4] == pytest.approx([1.0, 1.0, 1.0 / (1.0 + 0.5), 0.0])


def test_rests_of_lines_are_uniform_and_independent() -> None:
    """The premise: whatever starts when, what has come modulo B is uniform."""
    rng = np.random.default_rng(3)
    which = rng.choice(3, size=60_000, p=[0.6, 0.3, 0.1])
    come = np.cumsum(which[:, None] == np.arange(3), axis=0) % 4
    code = come @ [16, 4, 1]
    shares = np.bincount(code, minlength=64) / len(code)
    assert shares == pytest.approx(np.full(64, 1.0 / 64.0), abs=0.006)


@pytest.mark.parametrize("excess", [0.0, 2.0])
def test_counts_have_the_mean_and_dispersion_asked_for(excess: float) -> None:
    counts = np.zeros(96)
    _count(counts, 6.0, excess, 95)
    number = np.arange(96)
    mean = counts @ number
    assert counts.sum() == pytest.approx(1.0, abs=1e-6)
    assert mean == pytest.approx(6.0, abs=1e-4)
    assert (counts @ number**2 - mean**2) / mean == pytest.approx(1.0 + excess, abs=1e-3)
