"""The analytic evaluator on the public labels: as accurate, and as fast, as it is meant to be."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.store import read_dataset
from datagen.store.chainnet import import_chainnet
from datagen.store.compare import compare_measures

MILLISECONDS = 0.03
"""Longest time per deployment on one thread, in batches of 1,024."""


@pytest.mark.slow
def test_public_validation_set(public_data: Path, tmp_path: Path) -> None:
    import_chainnet(public_data / "chainnet" / "val", tmp_path / "public")
    dataset = read_dataset(tmp_path / "public")
    batch, evaluator = dataset.batch(), AnalyticEvaluator()
    report = compare_measures(batch, evaluator.evaluate(batch), dataset.measures())
    assert report["throughput_ratio"]["mape"] <= 0.027
    assert report["throughput_ratio"]["mape_trimmed"] <= 0.023
    assert report["latency_ratio"]["mape"] <= 0.024
    assert report["latency_ratio"]["mape_trimmed"] <= 0.022
    part = batch.select(np.arange(1024))
    seconds = []
    for _ in range(9):
        began = time.process_time()
        evaluator.evaluate(part)
        seconds.append(time.process_time() - began)
    assert 1e3 * min(seconds) / len(part) <= MILLISECONDS
