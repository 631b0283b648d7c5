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


def test_a_result_file_of_generation_says_how_it_was_measured(generation: ModuleType) -> None:
    report = dict.fromkeys(generation.SHOWN, 0.0) | {
        "deployments": 20_000,
        "workers": 2,
        "wall_s": 100.4,
        "workers_cpu_s": 194.0,
        "worker_vs_loop": 0.8123,
        "machine": generation.machine(generation.PACKAGES),
    }
    text = generation.result_text(report, "python benchmarks/generation.py", "board")
    assert text.startswith("# Generation: what a worker gets out of the compiled engine\n")
    assert "- machine: board (" in text
    assert "20,000 deployments, seed 0, 2 workers; bare rates on 256 deployments" in text
    assert "(100 s by the clock, 194 s of processor time in the workers)" in text
    assert "| worker / loop alone | 0.812 |\n" in text
    assert all(title in text for title, _ in generation.SHOWN.values())
