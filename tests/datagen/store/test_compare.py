from __future__ import annotations

import json

import numpy as np
import pytest

from datagen.evaluation import Measures, pack
from datagen.store.compare import LENGTH_REGIMES, LOAD_REGIMES, compare_measures
from tests.helpers import tandem

# Largest offered loads 0.1, 0.6, 0.9, 1.2 and 2.
BATCH = pack([tandem(0, rate=rate) for rate in (1.0, 6.0, 9.0, 12.0, 20.0)])


def measures(ratio: list[float], **bounds: list[float]) -> Measures:
    values = {"throughput_ratio": ratio, "loss_ratio": [1 - x for x in ratio], **bounds}
    chain = {name: np.array(column) for name, column in values.items()}
    return Measures.of(BATCH, "surrogate", chain=chain, level=0.9)


TRUE = measures([1.0, 0.9995, 0.995, 0.75, 0.5])


def test_equal_measures_differ_by_nothing() -> None:
    report = compare_measures(BATCH, TRUE, TRUE)
    assert report["throughput_ratio"]["mape"] == 0
    assert report["loss_ratio"]["log2_error"] == 0
    assert report["latency_ratio"] == {
        **dict.fromkeys(("mape", "mape_trimmed", "median", "p95", "p99", "mae")),
        "n": 0,
        "undefined": 5,
    }
    assert json.dumps(report, allow_nan=False)


def test_relative_errors() -> None:
    found = compare_measures(BATCH, measures([1.0, 0.9995, 0.995, 0.75, 0.6]), TRUE)
    ratio = found["throughput_ratio"]
    assert ratio["mape"] == pytest.approx(0.1 / 0.50001 / 5)
    assert (ratio["median"], ratio["n"], ratio["undefined"]) == (0.0, 5, 0)
    assert ratio["mae"] == pytest.approx(0.02)


def test_undefined_chains_are_counted_and_left_out() -> None:
    found = compare_measures(BATCH, measures([1.0, np.nan, 0.995, 0.75, 0.5]), TRUE)
    assert (found["throughput_ratio"]["n"], found["throughput_ratio"]["undefined"]) == (4, 1)
    assert found["throughput_ratio"]["mape"] == 0


def test_losses_are_judged_by_octaves() -> None:
    found = compare_measures(BATCH, measures([1.0, 0.999, 1.0, 0.5, 0.5]), TRUE)["loss_ratio"]
    assert found["log2_n"] == 4  # a loss of 0 has no logarithm
    assert found["log2_error_by_decade"] == {
        "1e-04": pytest.approx(1.0),
        "1e-03": pytest.approx(np.log2(5e-3 / 1e-6)),
        "1e-02": None,
        "1e-01": pytest.approx(0.5),
    }


def test_the_worst_thousandth_is_trimmed() -> None:
    batch = pack([tandem(0)] * 2000)
    true = {"throughput_ratio": np.full(2000, 0.5)}
    off = {"throughput_ratio": np.where(np.arange(2000) < 2, 1.0, 0.5)}
    found = compare_measures(
        batch,
        Measures.of(batch, "surrogate", chain=off),
        Measures.of(batch, "simulation", chain=true),
    )["throughput_ratio"]
    assert found["mape"] == pytest.approx(1e-3, rel=1e-4)
    assert found["mape_trimmed"] == 0


def test_regimes_split_the_chains() -> None:
    found = compare_measures(BATCH, TRUE, TRUE)["by_load"]
    assert list(found) == list(LOAD_REGIMES)
    assert [found[name]["throughput_ratio"]["n"] for name in found] == [1, 1, 1, 1, 1]


def test_coverage_of_bounds() -> None:
    low, high = [0.9, 0.99, 0.9, 0.8, 0.4], [1.0, 1.0, 1.0, 0.9, 0.6]
    given = measures(
        [1.0, 1.0, 1.0, 0.8, 0.5], throughput_ratio_low=low, throughput_ratio_high=high
    )
    found = compare_measures(BATCH, given, TRUE)["coverage"]
    assert found["level"] == 0.9
    assert found["throughput_ratio"]["covered"] == pytest.approx(0.8)
    assert found["throughput_ratio"]["width"] == pytest.approx(np.mean(np.subtract(high, low)))
    assert "latency_ratio" not in found


def test_coverage_by_load_and_length() -> None:
    low, high = [0.9, 0.99, 0.9, 0.8, 0.4], [1.0, 1.0, 1.0, 0.9, 0.6]
    given = measures(
        [1.0, 1.0, 1.0, 0.8, 0.5], throughput_ratio_low=low, throughput_ratio_high=high
    )
    report = compare_measures(BATCH, given, TRUE)["coverage"]["throughput_ratio"]
    true = TRUE.chain["throughput_ratio"]
    inside = [low <= value <= high for low, value, high in zip(low, true, high, strict=True)]
    by_load = report["by_load"]  # one chain in each
    assert [by_load[name]["covered"] for name in LOAD_REGIMES] == [float(x) for x in inside]
    assert [by_load[name]["width_median"] for name in LOAD_REGIMES] == pytest.approx(
        np.subtract(high, low)
    )
    assert list(report["by_length"]) == list(LENGTH_REGIMES)
    assert sum(part["n"] for part in report["by_length"].values()) == 5
    longest = np.maximum.reduceat(BATCH.counts("step"), BATCH.path_start[:-1])
    for name, (least, beyond) in LENGTH_REGIMES.items():
        rows = (longest >= least) & (longest < beyond)
        assert report["by_length"][name]["n"] == rows.sum()
        both = [report["by_load_and_length"][load][name]["n"] for load in LOAD_REGIMES]
        assert sum(both) == rows.sum()
        empty = report["by_length"][name]["covered"] is None
        assert empty == (not rows.any())
