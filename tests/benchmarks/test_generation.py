"""The benchmarks of data sets measure what they say, on sizes that take no time."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datagen.simulator import numba_engine
from datagen.store import read_dataset
from tests.conftest import REPOSITORY


@pytest.fixture
def generation(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("generation")


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    return import_module("streaming")


def test_bare_rates_are_of_the_loop_and_of_the_loop_with_its_draws(
    generation: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "SAMPLE", 3)
    monkeypatch.setattr(generation, "PASSES", 1)
    play = numba_engine.play
    rates = generation.bare_rates(0, 10)
    assert rates["loop"] > rates["engine"] > 1e4
    assert numba_engine.play is play  # what was timed is back in its place


def test_a_streamed_pass_meets_every_whole_batch_once(
    streaming: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "OWN_ROWS", 8)
    monkeypatch.setattr(streaming, "ROWS_PER_SHARD", 16)
    monkeypatch.setattr(streaming, "BATCH", 7)
    streaming.make_set(tmp_path / "set", 40)
    dataset = read_dataset(tmp_path / "set")
    assert dataset.keys().tolist() == list(range(40))
    offered = dataset.measures().chain["offered"]
    chains = dataset.batch().chain_start
    assert np.array_equal(offered[: chains[8]], offered[chains[8] : chains[16]])
    report = streaming.train(tmp_path / "set", every=2)
    assert (report["rows"], report["steps"]) == (35, 3)  # five batches of seven
    assert 0 < report["peak_gib"] < 8
